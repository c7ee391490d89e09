"""The pages that compare similarities, run by Streamlit's test driver on digits and on planted sources."""

import json

import numpy as np
import pandas as pd
import pytest

from kernel_core.findings import disagreement
from kernel_core.findings.pairs import (
    count_label_pairs,
    label_mismatches,
    most_mismatched_labels,
    nearest_pairs,
    rank_window,
)
from kernel_core.pipeline import build
from kernel_core.report import pair_quality
from kernel_core.results.opening import open_results
from kernel_core.sources.source import SourceRequest
from pages.ui import charts, load
from pages.ui import drawn as drawn_once
from pages.ui.jobs import arguments
from pages.ui.wording import escape
from tests.support.app import cells, digits_table, open_page, text_of
from tests.support.planted import write_parquet

PAGES = ["disagreement", "feature_pairs"]


def ids(app, key):
    return [cell["id"] for cell in cells(app, key)]


def test_disagreement_shows_lowest_overlap_first_with_both_lists(digits):
    app = open_page("disagreement")
    table = disagreement.select_examples(digits_table(digits), "lowest overlap")
    assert ids(app, "disagreement") == table["query_index"].tolist()[:10]
    row = table.iloc[0]
    shown = cells(app, "disagreement")[0]
    assert [len(group["tiles"]) for group in shown["groups"]] == [1, 5, 5]
    assert f"{round(row['overlap'] * 5)} of 5" in shown["head"]
    mark = "✓" if row["second_right"] else "✗"
    voted = digits.class_names[row["second_vote"]]
    expected = f"Features (cosine): {mark} {voted}, {row['second_share']:.0%} of the vote"
    assert shown["groups"][2]["title"] == expected


def test_disagreement_marks_the_neighbors_that_both_lists_have(digits):
    app = open_page("disagreement", k=3, page=40)
    marked = 0
    for cell in cells(app, "disagreement"):
        lists = [digits.neighbors_by(n).indices[cell["id"], :3].tolist() for n in ("kernel", "penultimate")]
        for group, indices in zip(cell["groups"][1:], lists, strict=True):
            both = ["both" in tile["note"] for tile in group["tiles"]]
            assert both == [i in lists[0] and i in lists[1] for i in indices]
            marked += sum(both)
    assert marked > 0


def test_disagreement_counts_of_the_address(digits):
    app = open_page(
        "disagreement",
        by="pixels",
        other="penultimate",
        vote="weighted 20",
        order="first wrong, second right",
    )
    table = digits_table(digits, first="pixels", second="penultimate", vote="weighted 20")
    counts = disagreement.count_agreement(table)
    shown = app.table[0].value.drop(columns="Vote").to_numpy().ravel().tolist()
    assert [int(cell.split()[0]) for cell in shown] == [
        counts.both, counts.only_first, counts.only_second, counts.neither
    ]  # fmt: skip
    assert f"Pixels on {counts.only_first}" in text_of(app)
    assert f"{counts.only_second} test examples" in " ".join(each.value for each in app.header)
    ranked = disagreement.select_examples(table, "first wrong, second right")
    if len(ranked):
        assert ids(app, "disagreement") == ranked["query_index"].tolist()[:10]


def test_disagreement_of_one_class_counts_that_class_alone(digits):
    app = open_page("disagreement", **{"class": "8"})
    counts = disagreement.count_agreement(digits_table(digits).query("query_label == 8"))
    assert f"of {counts.total} examples" in text_of(app) or "no example on which just one" in text_of(app)
    assert {cell["groups"][0]["tiles"][0]["label"] for cell in cells(app, "disagreement")} == {"8"}


def test_disagreement_offers_no_weighted_vote_by_minus_a_distance(digits):
    app = open_page("disagreement", vote="weighted 20")
    assert app.get_by_key("vote").value == "weighted 20"
    app.get_by_key("other").set_value("penultimate-euclidean").run()
    assert not app.exception
    assert app.get_by_key("vote").value == "majority of 3"


def test_disagreement_never_compares_a_similarity_with_itself(digits):
    app = open_page("disagreement", other="pixels")
    app.get_by_key("by").set_value("pixels").run()
    assert not app.exception
    assert app.get_by_key("other").value != "pixels"


def test_scoreboard_has_every_similarity_and_the_ensemble(digits):
    table = open_page("disagreement").dataframe[0].value
    board = disagreement.scoreboard(digits.neighbors, digits.predictions, digits.labels)
    assert len(table) == 4 * 2 - 1 + 1, (
        "four similarities by two votes, one without weights, and the ensemble"
    )
    kernel = board.query("by == 'kernel' and vote == 'weighted' and k == 20")["accuracy"].item()
    shown = table[(table["By"] == "Kernel") & (table["Vote"] == "weighted")]["k = 20"].item()
    assert shown.startswith(f"{kernel:.2%}")


def test_class_filters_every_number_of_the_page(digits, monkeypatch):
    drawn_once.accuracy_chart.clear()
    drawn_once.accuracy_table.clear()
    counted, count_right = [], load.scoreboard
    monkeypatch.setattr(load, "scoreboard", lambda *of: counted.append(of[-1]) or count_right(*of))
    app = open_page("disagreement", **{"class": "8"})
    count = int((digits.labels[0] == 8).sum())
    board = disagreement.scoreboard(digits.neighbors, digits.predictions, digits.labels, of_class=8)
    kernel = board.query("by == 'kernel' and vote == 'majority' and k == 3")["accuracy"].item()
    table = app.dataframe[0].value
    shown = table[(table["By"] == "Kernel") & (table["Vote"] == "majority")]["k = 3"].item()
    assert shown.startswith(f"{kernel:.2%}")
    assert f"Of all {count} test examples of class 8." in text_of(app)
    assert any(element.value.startswith(f"{count} test examples of class 8") for element in app.header)
    assert set(counted) == {8}, "the chart and the table count that class alone"


@pytest.mark.parametrize(
    "wrong",
    [
        {"k": 51},
        {"k": "x"},
        {"order": "best"},
        {"vote": "all"},
        {"by": "x"},
        {"class": "cat"},
        {"page": 9999},
    ],
)
def test_disagreement_puts_up_with_wrong_addresses(digits, wrong):
    app = open_page("disagreement", **wrong)
    assert len(cells(app, "disagreement")) == 10
    assert len(cells(app, "disagreement")[0]["groups"][1]["tiles"]) == 5
    ((name, value),) = wrong.items()
    assert f"The address has “{escape(f'{name}={value}')}”, which this page cannot use" in text_of(app)


def test_feature_pairs_show_both_rankings_of_one_window(digits):
    app = open_page("feature_pairs", first=101, last=110, other="penultimate-euclidean")
    for key, name in (("pairs_kernel", "kernel"), ("pairs_penultimate-euclidean", "penultimate-euclidean")):
        pairs = nearest_pairs(digits.neighbors_by(name), *digits.labels)
        window = rank_window(pairs, 101, 110)
        assert ids(app, key) == window["query_index"].tolist()
        query = int(window["query_index"].iloc[0])
        confidence = digits.predictions.confidence[query]
        assert cells(app, key)[0]["groups"][0]["tiles"][0]["note"].startswith(f"{confidence:.0%} ")
    numbers = pair_quality.describe_pairs(digits, window)
    row = app.dataframe[0].value.iloc[1]
    assert row["By"] == "Features (Euclidean)"
    assert row["Pixel correlation"] == f"{numbers['pixel_correlation']:.2f}"
    assert row["Same label"] == f"{numbers['same_label']:.0%}"
    assert row["Ensemble's probability"] == f"{numbers['confidence']:.0%}"


def test_feature_pairs_offer_to_build_fewer_runs_and_then_say_how_many_hold(
    source_folder, cache, monkeypatch
):
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    build(SourceRequest(str(source_folder)))
    app = open_page("feature_pairs")
    assert app.dataframe[1].value.iloc[:, 1].tolist() == ["not built", "not built", "40 of 40"]
    app = open_page("feature_pairs", by="kernel.first-10")
    assert app.code[0].value == f"kernel-explorer build {source_folder} --similarity kernel.first-10"
    results = build(SourceRequest(str(source_folder), similarities=("kernel.first-10",)))
    app = open_page("feature_pairs", by="kernel.first-10")
    assert not app.exception
    fewer = nearest_pairs(results.neighbors["kernel.first-10"], *results.labels)
    assert ids(app, "pairs_kernel.first-10") == fewer["query_index"].tolist()
    whole = open_results(SourceRequest(str(source_folder))).neighbors["kernel"]
    whole = nearest_pairs(whole, *results.labels)
    held = sum(
        tuple(pair) in set(zip(whole["query_index"], whole["database_index"], strict=True))
        for pair in zip(fewer["query_index"], fewer["database_index"], strict=True)
    )
    assert 5 <= held < 40
    assert app.dataframe[1].value.iloc[0, 1] == f"{held} of 40"


def test_feature_pairs_window_upside_down_is_explained(digits):
    assert "is above the last" in open_page("feature_pairs", first=90, last=80).error[0].value


def test_command_of_a_build_says_all_that_was_asked():
    request = SourceRequest(
        "my source.toml", run_count=10, files=2, similarities=("kernel", "pixels"), precision="exact"
    )
    assert arguments(request) == [
        "build", "my source.toml", "--runs", "10", "--files", "2", "--precision", "exact",
        "--similarity", "kernel", "--similarity", "pixels",
    ]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_page_without_features(page, source_folder, cache, monkeypatch):
    text = (source_folder / "source.toml").read_text()
    (source_folder / "source.toml").write_text(text.split("[features]")[0])
    build(SourceRequest(str(source_folder)))
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    app = open_page(page)
    if page == "feature_pairs":
        assert f"kernel-explorer features {source_folder} --train RECIPE" in app.info[0].value
        assert len(cells(app, "pairs_kernel")) == 40
    else:
        assert app.get_by_key("other").value == "pixels"
        assert len(cells(app, "disagreement")) == 10


def labelled_anew(source_folder, planted, names, shift):
    """The planted source with other classes: test labels moved on by `shift`."""
    rng = np.random.default_rng(2)
    for split, labels in (("train", planted.train_labels), ("test", planted.test_labels + shift)):
        images = rng.integers(0, 256, (len(labels), 8, 8, 3), dtype=np.uint8)
        write_parquet(source_folder / f"{split}.parquet", images, labels % len(planted.test[0, 0]), names)


def test_disagreement_between_labels_that_hold_no_majority(source_folder, planted, cache, monkeypatch):
    """Every test label moved on by one: both votes are wrong nearly everywhere, and the page says so."""
    labelled_anew(source_folder, planted, ["ant", "bee", "cat", "dog", "elk"], 1)
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    results = build(SourceRequest(str(source_folder)))
    app = open_page("disagreement")
    counts = disagreement.count_agreement(digits_table(results))
    assert counts.neither > 20
    assert app.table[0].value.iloc[1, 2].startswith(f"{counts.neither} ")


def drawn(app):
    """The specification of the matrix on the page, and the counts in it."""
    return json.loads(app.get("vega_lite_chart")[0].proto.spec)


def test_confusion_cell_of_the_address_is_marked(digits):
    by = "penultimate"
    counts = count_label_pairs(label_mismatches(digits.neighbors_by(by), *digits.labels))
    query, database, count = (int(value) for value in counts.iloc[0])
    name = f"{digits.class_names[query]} ≠ {digits.class_names[database]}"
    app = open_page("failure_modes", by=by, labels_differ=name)
    (selection,) = [each for each in drawn(app)["params"] if each["name"] == "cell"]
    assert selection["value"] == [{"query_label": query, "database_label": database}]
    assert len(cells(app, "failures")) == min(count, 8)
    app.get_by_key("labels_differ").set_value("every pair of labels").run()
    (selection,) = [each for each in drawn(app)["params"] if each["name"] == "cell"]
    assert "value" not in selection


@pytest.mark.parametrize("classes", [2, 1000])
def test_confusion_of_few_and_many_long_classes(classes):
    rng = np.random.default_rng(0)
    query = rng.integers(0, classes, 3000)
    database = (query + rng.integers(1, classes, 3000)) % classes
    counts = count_label_pairs(pd.DataFrame({"query_label": query, "database_label": database}))
    names = [f"{'a class with a long name ' * 4}{c} \"'\\" for c in range(classes)]
    spec = charts.confusion(counts, names, None, dark=False).to_dict()
    axis = spec["layer"][0]["encoding"]["y"]
    assert axis["scale"]["domain"] == most_mismatched_labels(counts, classes, 20)
    assert len(axis["scale"]["domain"]) == min(classes, 20)
    assert axis["axis"]["labelLimit"] <= 150
    assert spec["height"] < 1000
    (rows,) = [rows for rows in spec["datasets"].values() if "count" in rows[0]]
    assert {row["query_name"] for row in rows} <= {names[label] for label in axis["scale"]["domain"]}
