"""The panels on why two examples are similar and how sure that is, run by Streamlit's test driver."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from kernel_core.explain import traces
from kernel_core.explain.bootstrap import neighbor_stability
from kernel_core.explain.contributions import explain, most_influential_runs
from kernel_core.pipeline import build
from kernel_core.results.store import Store
from kernel_core.results.upkeep import list_entries
from kernel_core.sources.source import SourceRequest
from pages.ui import jobs
from pages.ui.panels import how_sure, why
from tests.support.app import open_page, text_of


def page():
    import streamlit as st

    from pages.ui import load
    from pages.ui.panels import how_sure, why

    results = load.results()
    split, a, b, k = st.session_state["asked"]
    why.show_why(results, (split, a), ("train", b))
    how_sure.show_how_sure(results, (split, a), k)


@pytest.fixture(autouse=True)
def nothing_computed_yet():
    """Two tests show the same planted source by different numbers of runs."""
    st.cache_data.clear()
    how_sure._final.clear()


def show(split, a, b, k=5, **query):
    app = AppTest.from_function(page, default_timeout=30)
    app.session_state["asked"] = split, a, b, k
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception, app.exception
    return app


@pytest.fixture
def planted_source(source_folder, cache, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    return SourceRequest(str(source_folder))


def test_labels_of_runs_overlap_nothing():
    """Labels stand right of their dots or of lines up from them, and none meets a label, a dot or a line."""
    rng = np.random.default_rng(0)
    for case in range(500):
        x, y = rng.uniform(0, rng.choice([0.1, 0.8], 1), 3), rng.uniform(0, rng.choice([0, 20, 200], 1), 3)
        heights = why.label_heights(x, y)
        assert (heights >= y).all(), case
        assert heights.max() <= y.max() + why.NAMED * why.ROOM, "there is room for them in the chart"
        for i in range(3):
            for j in range(3):
                if i != j and 0 <= x[j] - x[i] < why.LABEL:
                    above, below = (
                        heights[i] >= heights[j] + why.ROOM - 0.1,
                        heights[i] <= y[j] - why.ROOM + 0.1,
                    )
                    assert above or below, case
    apart = np.array([10.0, 50.0, 90.0])
    assert (why.label_heights(np.array([0.5, 0.5, 0.5]), apart) == apart).all(), (
        "beside its dot where it can be"
    )


def test_bars_add_up_to_the_value_and_the_largest_class_is_open(digits):
    neighbors = digits.neighbors_by("kernel")
    b = int(neighbors.indices[3, 0])
    app = show("test", 3, b)
    found = explain(digits.traces["test"].standardized(3), digits.traces["train"].standardized(b))
    assert f"add up to **{neighbors.values[3, 0]:.3f}**" in text_of(app)
    assert "by all 256 runs" in text_of(app)
    c = int(found.by_class.argmax())
    assert app.get_by_key("class").value == digits.class_names[c]
    drawn = app.get("vega_lite_chart")[0].proto.data.data
    bars = pa.ipc.open_stream(drawn).read_pandas()
    assert bars["adds"].sum() == pytest.approx(neighbors.values[3, 0], abs=1e-4)
    assert bars["class"][bars["chosen"]].tolist() == [digits.class_names[c]]
    assert f"of **{found.by_class[c]:.4f}** that **{digits.class_names[c]}** adds" in text_of(app)


def test_runs_that_matter_most_are_those_of_the_class_in_the_address_or_of_all(digits):
    app = show("test", 3, 8, **{"class": "4"})
    found = explain(digits.traces["test"].standardized(3), digits.traces["train"].standardized(8))
    first = most_influential_runs(found.contributions[4])[0]
    assert f"matter most: **{first}** ({found.contributions[4][first]:+.4f})" in text_of(app)
    app.get_by_key("whole").set_value(True).run()
    first = most_influential_runs(found.by_run)[0]
    assert f"matter most: **{first}** ({found.by_run[first]:+.4f})" in text_of(app)
    assert f"of **{found.value:.4f}** in all" in text_of(app)
    assert f"{(found.by_run < 0).sum()} of 256 runs speak against" in text_of(app)


@pytest.mark.parametrize("split", ["test", "train"])
def test_lists_settle_and_say_how_often_each_stays(digits, split):
    app = show(split, 3, 8)
    found = neighbor_stability(
        digits.traces[split].raw(3), digits.traces["train"], 5, exclude=3 if split == "train" else None
    )
    shown = json.loads(app.get_by_key("lists_by_runs").proto.json)["cells"]
    assert [cell["id"] for cell in shown] == [10, 20, 50, 100, 200, 256]
    assert shown[0]["head"] == f"10 runs: {found.lists[0].shared_count(found.nearest)} of 5 as by all 256"
    for cell, listed in zip(shown[:-1], found.lists, strict=False):
        marked = sum("✓" in tile["note"] for tile in cell["groups"][0]["tiles"])
        assert marked == listed.shared_count(found.nearest)
    notes = [tile["note"] for tile in shown[-1]["groups"][0]["tiles"]]
    assert notes == [
        f"{v:.2f} · {s:.0%}" for v, s in zip(found.nearest.values, found.stay_shares, strict=True)
    ]
    assert f"train example {found.nearest.indices[0]}," in shown[-1]["groups"][0]["tiles"][0]["alt"]
    assert f"**{(found.stay_shares >= 0.95).sum()} of the 5 nearest** stay" in text_of(app)


def test_first_runs_of_more_are_named(planted_source, monkeypatch):
    monkeypatch.setattr(traces, "RUN_LIMIT", 10)
    build(planted_source)
    app = show("test", 0, 100)
    assert text_of(app).lower().count("by the first 10 of 24 runs") == 2
    assert "add up to **0.900**" in text_of(app)  # an exact duplicate: (M-1)/M


TOO_LARGE = 4 * 170 * 5 - 1  # bytes: two runs of 170 examples and 5 classes take one more


@pytest.mark.parametrize("limit", [TOO_LARGE, 2 * 9 * 170 * 5])
def test_outputs_of_a_large_source_are_read_anew_and_exact(planted_source, monkeypatch, limit):
    """Whether none are kept or those of nine runs: all numbers are by all 24."""
    monkeypatch.setattr(traces, "BYTE_LIMIT", limit)
    neighbors = build(planted_source).neighbors_by("kernel")
    i, j = 4, int(neighbors.indices[4, 1])
    app = show("test", i, j)
    text = text_of(app)
    assert text.lower().count("by all 24 runs") == 2
    assert f"add up to **{neighbors.values[i, 1]:.3f}**" in text
    assert "among its 50 nearest training examples by all runs" in text
    assert "Others are not looked at" in text
    (*_, whole) = json.loads(app.get_by_key("lists_by_runs").proto.json)["cells"]
    tiles = whole["groups"][0]["tiles"]
    assert [tile["example"] for tile in tiles] == [f"train:{n}" for n in neighbors.indices[i, :5]]
    values = [float(tile["note"].split(" · ")[0]) for tile in tiles]
    assert values == [round(value, 2) for value in neighbors.values[i, :5].astype(float).tolist()]
    assert not app.button


def test_how_sure_looks_at_few_where_reading_all_that_is_kept_takes_long(planted_source, monkeypatch):
    neighbors = build(planted_source).neighbors_by("kernel")
    monkeypatch.setattr(how_sure, "VAST", 130 * 5 * 24 - 1)
    app = show("test", 4, 64)
    assert "among its 50 nearest training examples by all runs" in text_of(app)
    (*_, whole) = json.loads(app.get_by_key("lists_by_runs").proto.json)["cells"]
    examples = [tile["example"] for tile in whole["groups"][0]["tiles"]]
    assert examples == [f"train:{n}" for n in neighbors.indices[4, :5]]


def test_how_sure_shows_half_of_those_it_looks_at(planted_source, monkeypatch):
    monkeypatch.setattr(traces, "BYTE_LIMIT", TOO_LARGE)
    build(planted_source)
    app = show("test", 4, 64, k=40)
    (cell, *_) = json.loads(app.get_by_key("lists_by_runs").proto.json)["cells"]
    assert len(cell["groups"][0]["tiles"]) == 25
    assert "Of the 40 nearest, half of those that are looked at are shown" in text_of(app)


def test_direction_that_is_not_built_is_offered_where_nothing_is_found_on_demand(planted_source, monkeypatch):
    monkeypatch.setattr(traces, "BYTE_LIMIT", TOO_LARGE)
    build(planted_source)
    app = show("train", 3, 8)
    assert "by all 24 runs" in text_of(app), "a pair needs two examples alone"
    (button,) = app.button
    assert (button.label, button.key) == ("Build them now", "how_sure_train_train")
    assert "neighbors train→train by the kernel are not built" in app.info[0].value
    build(replace(planted_source, query="train", database="train", similarities=("kernel",)))
    app.run()
    assert not app.button
    assert "among its 50 nearest training examples" in text_of(app)


def test_nothing_is_offered_where_the_source_is_too_large_to_be_read(planted_source, planted, monkeypatch):
    """Compressed files cannot be read here and there; a build would help nobody."""
    monkeypatch.setattr(traces, "BYTE_LIMIT", TOO_LARGE)
    folder = Path(planted_source.name)
    np.savez_compressed(folder / "runs/all.npz", logits=planted.test, logits_train=planted.train)
    text = (folder / "source.toml").read_text()
    (folder / "source.toml").write_text(text.replace("runs/*/log.pt", "runs/all.npz"))
    build(planted_source)
    app = show("test", 0, 100)
    assert not app.button
    said = "\n".join(info.value for info in app.info)
    assert said.count("This needs every run's outputs. Outputs run by run are not kept of this source") == 2
    assert "two runs of 170 examples and 5 classes take" in said
    assert "is compressed, so single examples cannot be read from it" in said.replace("\\", "")
    assert "Save it as" in said


def test_pages_of_a_source_too_large_offer_what_helps(planted_source, monkeypatch):
    """A list in a direction that is not built; a pair has its exact value, and its rank if that is kept."""
    monkeypatch.setattr(traces, "BYTE_LIMIT", TOO_LARGE)
    neighbors = build(planted_source).neighbors_by("kernel")
    app = open_page("example", example="train:3", among="train", by="kernel")
    assert [button.key for button in app.button if "Build" in button.label] == ["neighbors_train_train"]
    far = next(j for j in range(130) if j not in neighbors.indices[4])
    app = open_page("pair", a="test:4", b=f"train:{far}")
    (ranks, *_) = app.table
    assert ranks.value.iloc[0, 2:].tolist() == ["beyond #50", "–"]
    assert f"add up to **{float(ranks.value.iloc[0, 1]):.3f}**" in text_of(app)
    assert not [button for button in app.button if "Build" in button.label or "Prepare" in button.label]


@pytest.mark.parametrize("limit", [TOO_LARGE, 2 * 9 * 170 * 5])
def test_files_that_changed_are_said_and_nothing_is_offered_for_them(planted_source, monkeypatch, limit):
    """A build of other files is offered by the banner above every page."""
    monkeypatch.setattr(traces, "BYTE_LIMIT", limit)
    build(planted_source)
    show("test", 4, 64)
    (Path(planted_source.name) / "runs/b/log.pt").write_bytes(b"others")
    st.cache_data.clear()
    how_sure._final.clear()
    app = show("test", 4, 65)
    said = "\n".join(info.value for info in app.info)
    assert said.count("changed since these results were built") >= 2
    assert [button.label for button in app.button] == ["Build again"]


def test_more_neighbors_than_there_are_shows_all(planted_source):
    build(planted_source)
    app = show("train", 3, 8, k=500)
    (cell, *_) = json.loads(app.get_by_key("lists_by_runs").proto.json)["cells"]
    assert len(cell["groups"][0]["tiles"]) == 129


def test_results_of_an_older_cache_offer_to_prepare_what_is_missing(planted_source):
    build(planted_source)
    for entry in list_entries(Store()):
        if entry.kind == "rows":
            entry.path.unlink()
    app = show("test", 0, 100)
    assert "reads the logits once" in app.info[0].value
    (button,) = [b for b in app.button if b.key == "prepare_for_why"]
    button.click().run()
    while jobs.jobs().is_running(planted_source):
        time.sleep(0.1)
    app.run()
    app.run()
    assert re.search(r"add up to \*\*0\.958\*\*", text_of(app))  # 23/24
    assert not app.info


def test_many_classes_are_drawn_as_the_largest_bars_and_one_of_the_rest(planted_source, monkeypatch):
    monkeypatch.setattr(why, "BARS", 3)
    found = build(planted_source).neighbors_by("kernel")
    app = show("test", 4, 64)
    drawn = app.get("vega_lite_chart")[0].proto.data.data
    bars = pa.ipc.open_stream(drawn).read_pandas()
    assert bars["class"].tolist()[3:] == [why.REST]
    value = found.values[4, found.indices[4].tolist().index(64)]
    assert bars["adds"].sum() == pytest.approx(value, abs=1e-3)
