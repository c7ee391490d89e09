"""Each page run by Streamlit's own test driver, from app.py as the server does."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from kernel_core import comparison, duplicates, failures
from kernel_core.pipeline import build
from kernel_core.results import evaluation, open_results
from kernel_core.sources import SourceRequest
from kernel_core.store import Store
from pages.ui.gallery import tile_size
from tests.conftest import ROOT

PAGES = ["overview", "near_duplicates", "failure_modes", "random_examples"]


def open_page(name, **query):
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)
    for key, value in query.items():
        app.query_params[key] = str(value)
    app.run()
    if name != "overview":
        app.switch_page(f"pages/{name}.py").run()
    assert not app.exception, app.exception
    return app


def cells(app, key):
    return json.loads(app.get_by_key(key).proto.json)["cells"]


def text_of(app):
    return " ".join(
        element.value for element in [*app.markdown, *app.caption, *app.error, *app.info, *app.success]
    )


@pytest.fixture
def digits(digits_cache, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", digits_cache["KERNEL_EXPLORER_CACHE"])
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", "digits")
    return open_results(SourceRequest("digits"), Store(Path(digits_cache["KERNEL_EXPLORER_CACHE"])))


def test_overview_shows_what_is_loaded_and_the_accuracies(digits):
    app = open_page("overview")
    assert [metric.value for metric in app.metric] == ["1,297", "500", "10", "8 × 8", "256"]
    table = app.dataframe[0].value
    shown = dict(zip(table["Prediction by"], table["Accuracy"], strict=True))
    accuracy = evaluation(digits)
    assert shown["Kernel, 3 nearest"] == f"{accuracy['kernel_knn3']:.2%}"
    assert shown["Ensemble, averaged logits"] == f"{accuracy['ensemble']:.2%}"
    assert len(shown) == 6
    assert "ranks 31–78" in text_of(app)
    assert "\\frac{1}{C}" in app.get("latex")[0].value


def test_near_duplicates_shows_48_pairs_of_the_default_window(digits):
    app = open_page("near_duplicates")
    expected = duplicates.rank_window(
        duplicates.nearest_pairs(digits.neighbors_by("kernel"), *digits.labels), 31, 78
    )
    shown = cells(app, "pairs")
    assert [cell["id"] for cell in shown] == expected["query_index"].tolist()
    assert len(shown) == 48
    first = shown[0]["groups"][0]["tiles"]
    assert [tile["note"] for tile in first] == [
        f"test {expected['query_index'].iloc[0]}", f"train {expected['database_index'].iloc[0]}",
    ]  # fmt: skip
    assert shown[0]["head"] == f"#31  ·  {expected['similarity'].iloc[0]:.3f}"
    assert all(tile["alt"] and tile["src"].startswith("data:image/png;base64,") for tile in first)


def test_near_duplicates_steps_by_the_window(digits):
    app = open_page("near_duplicates")
    app.get_by_key("next").click().run()
    assert (app.get_by_key("first").value, app.get_by_key("last").value) == (79, 126)
    assert cells(app, "pairs")[0]["head"].startswith("#79 ")
    for _ in range(2):
        app.get_by_key("previous").click().run()
    assert (app.get_by_key("first").value, app.get_by_key("last").value) == (31 - 30, 48)


def test_near_duplicates_window_from_the_address(digits):
    app = open_page("near_duplicates", first=490, last=500, by="pixels")
    pixels = duplicates.nearest_pairs(digits.neighbors_by("pixels"), *digits.labels)
    assert [cell["id"] for cell in cells(app, "pairs")] == pixels["query_index"].tolist()[489:]


def test_near_duplicates_filter_by_class_and_label(digits):
    app = open_page("near_duplicates", first=1, last=500)
    app.get_by_key("labels").set_value("different").run()
    mismatches = failures.label_mismatches(digits.neighbors_by("kernel"), *digits.labels)
    assert [cell["id"] for cell in cells(app, "pairs")] == mismatches["query_index"].tolist()
    assert all(cell["groups"][0]["tiles"][1]["differs"] for cell in cells(app, "pairs"))
    app.get_by_key("labels").set_value("all").run()
    app.get_by_key("class").set_value("3").run()
    pairs = duplicates.nearest_pairs(digits.neighbors_by("kernel"), *digits.labels)
    count = ((pairs["query_label"] == 3) | (pairs["database_label"] == 3)).sum()
    assert f"{count} pairs" in text_of(app)
    assert len(cells(app, "pairs")) == min(count, 96)


def test_near_duplicates_leaves_a_page_that_the_filter_emptied(digits):
    app = open_page("near_duplicates", first=1, last=500, page=6)
    assert cells(app, "pairs")[0]["head"].startswith("#481 ")
    app.get_by_key("class").set_value("3").run()
    assert not app.exception
    assert cells(app, "pairs"), "pairs are shown"
    app.get_by_key("labels").set_value("different").run()
    assert not app.exception
    assert cells(app, "pairs")


def test_near_duplicates_offers_all_ranks_when_the_filter_leaves_few(digits):
    app = open_page("near_duplicates", labels="different")
    assert "0 pairs" in text_of(app)
    app.get_by_key("all_ranks").click().run()
    assert len(cells(app, "pairs")) == len(
        failures.label_mismatches(digits.neighbors_by("kernel"), *digits.labels)
    )


def test_near_duplicates_window_upside_down_is_explained(digits):
    app = open_page("near_duplicates", first=90, last=80)
    assert "lies beyond the last" in app.error[0].value


def test_failure_modes_shows_rows_of_one_and_nine(digits):
    app = open_page("failure_modes")
    mismatches = failures.label_mismatches(digits.neighbors_by("kernel"), *digits.labels)
    shown = cells(app, "failures")
    assert [cell["id"] for cell in shown] == mismatches["query_index"].tolist()[:8]
    for cell in shown:
        assert [len(group["tiles"]) for group in cell["groups"]] == [1, 9]
        assert cell["groups"][1]["tiles"][0]["differs"]
        predicted = digits.class_names[digits.predictions.predicted[cell["id"]]]
        assert f"the ensemble says {predicted}" in cell["head"]
        assert f"{digits.predictions.confidence[cell['id']]:.0%}" in cell["head"]


def test_failure_modes_shows_more_on_demand_and_filters_by_label_pair(digits):
    app = open_page("failure_modes", by="penultimate")
    total = len(failures.label_mismatches(digits.neighbors_by("penultimate"), *digits.labels))
    assert total > 8
    assert len(cells(app, "failures")) == 8
    app.get_by_key("more").click().run()
    assert len(cells(app, "failures")) == min(16, total)
    options = app.get_by_key("labels_differ").options
    app.get_by_key("labels_differ").select_index(1).run()
    assert not app.exception
    label, other = options[1].split(" ≠ ")
    for cell in cells(app, "failures"):
        assert cell["groups"][0]["tiles"][0]["label"] == label
        assert cell["groups"][1]["tiles"][0]["label"] == other


def test_random_examples_are_those_of_the_seed(digits):
    app = open_page("random_examples", seed=5, k=3)
    shown = cells(app, "random")
    assert [cell["id"] for cell in shown] == comparison.random_queries(500, 5).tolist()
    assert [len(group["tiles"]) for group in shown[0]["groups"]] == [1, 3, 3]
    app.get_by_key("another").click().run()
    assert app.get_by_key("seed").value != 5
    assert [cell["id"] for cell in cells(app, "random")] != [cell["id"] for cell in shown]


def test_random_examples_say_how_often_labels_agree(digits):
    app = open_page("random_examples")
    shown = {metric.label: metric.value for metric in app.metric}
    for name, title in (("kernel", "by kernel"), ("penultimate", "by penultimate features (cosine)")):
        share = comparison.label_agreement(digits.neighbors_by(name), *digits.labels, 2)
        assert shown[title] == f"{share:.1%}"


def test_example_in_the_address_opens(digits):
    app = open_page("near_duplicates", example="test:123")
    assert "test:123" in text_of(app)
    rows = cells(app, "detail_rows")
    assert [len(row["groups"][0]["tiles"]) for row in rows] == [5] * 4


@pytest.mark.parametrize("wrong", ["test:500", "train:3", "abc", "test:-1", "test:²"])
def test_example_out_of_range_is_explained(digits, wrong):
    app = open_page("near_duplicates", example=wrong)
    assert "expected test:0 … test:499" in app.warning[0].value
    assert len(cells(app, "pairs")) == 48


@pytest.mark.parametrize("page", PAGES)
def test_page_without_features_shows_kernel_and_pixels(page, source_folder, cache, monkeypatch):
    text = (source_folder / "source.toml").read_text()
    (source_folder / "source.toml").write_text(text.split("[features]")[0])
    build(SourceRequest(str(source_folder)))
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    app = open_page(page)
    if page == "random_examples":
        assert "name it under `[features]`" in app.info[0].value
        assert [group["title"] for group in cells(app, "random")[0]["groups"]] == ["test", "kernel", "pixels"]
    if page == "near_duplicates":
        assert len(cells(app, "pairs")) == 40


@pytest.mark.parametrize("page", PAGES)
def test_page_of_a_source_not_built_offers_to_build_it(page, source_folder, cache, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    app = open_page(page)
    assert app.header[0].value == "Nothing is built yet"
    assert app.get_by_key("build").label == "Build it now"
    assert f"kernel-explorer build {source_folder}" in app.code[0].value


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("wrong", ["no/such/source.toml", "cifar100"])
def test_page_of_an_unknown_source_shows_an_error_box(page, wrong, cache, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", wrong)
    app = open_page(page)
    assert "Known: digits, cifar10-multirun" in app.error[0].value


def test_tiles_are_magnified_a_whole_number_of_times():
    assert tile_size((32, 32), 96) == (96, 96, "pixelated")
    assert tile_size((28, 28), 96) == (84, 84, "pixelated")
    assert tile_size((224, 112), 96) == (48, 96, "auto")
