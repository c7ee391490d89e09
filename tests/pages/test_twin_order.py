"""The twin score on the pages: order, filters, lists, the parts on the pair page, and where there is none."""

import numpy as np
import pytest

from kernel_core.findings.twins import BANDS, twin_pairs
from kernel_core.pipeline import build, build_aligned
from kernel_core.sources.source import SourceRequest
from pages.ui import jobs
from tests.support.app import cells, open_page, text_of


@pytest.fixture
def twins(digits):
    return twin_pairs(digits.neighbors_by("kernel"), digits.aligned["kernel"], *digits.labels)


def named(app):
    """The pairs on the page, as indices of test and training examples."""
    pairs = ([tile["example"] for tile in cell["groups"][0]["tiles"]] for cell in cells(app, "pairs"))
    return [tuple(int(name.split(":")[1]) for name in pair) for pair in pairs]


def rows_of(table):
    return list(zip(table["query_index"], table["database_index"], strict=True))


def test_twin_order_shows_each_examples_twin_with_its_numbers(digits, twins):
    app = open_page("near_duplicates", order="twin")
    assert named(app) == rows_of(twins.head(48))
    moved = digits.neighbors_by("kernel").indices[twins["query_index"], 0] != twins["database_index"]
    assert moved.any(), "a twin need not be the nearest"
    assert "**48 of 500 pairs**, ranks 1–48 by the twin score." in text_of(app)
    assert "Pairs are ranked by the twin score" in text_of(app)
    assert all(f"{(twins['band'] == band).sum()} “{band}”" in text_of(app) for band in BANDS)
    for cell, row in zip(cells(app, "pairs"), twins.itertuples(), strict=False):
        assert [number for *_, number in cell["values"]] == [f"{row.similarity:.3f}", f"{row.aligned:.2f}"]
        assert cell["badge"] == row.band
        parts = [float(word) for word in cell["tip"].replace("−", "-").split() if is_number(word)]
        assert parts[0] == pytest.approx(parts[1] - parts[2] / 2 + parts[3] / 2, abs=0.011)


def is_number(word):
    return word.strip("-").replace(".", "", 1).isdigit() and "." in word


def test_buttons_and_the_control_of_the_order_are_in_the_address(digits):
    app = open_page("near_duplicates")
    app.get_by_key("order").set_value("twin").run()
    assert dict(app.query_params) == {"order": "twin"}
    assert app.get_by_key("part_nearest").proto.type == "primary"
    app.get_by_key("order").set_value("kernel").run()
    assert dict(app.query_params) == {"first": "1", "last": "48"}, "the same ranks in the other order"
    app.get_by_key("part_border").click().run()
    assert dict(app.query_params) == {}
    app.get_by_key("next").click().run()
    app.get_by_key("order").set_value("twin").run()
    assert dict(app.query_params) == {"order": "twin", "first": "79", "last": "126"}


@pytest.mark.parametrize("order", ["kernel", "twin"])
def test_filters_by_pixels_and_band_hold_in_both_orders(digits, order):
    app = open_page("near_duplicates", order=order, pixels_at=0.8, first=1, last=500)
    shown = [float(cell["values"][1][2]) for cell in cells(app, "pairs")]
    assert shown
    assert min(shown) >= 0.795
    assert "pairs with pixels aligned of at least 0.8" in text_of(app)
    band = cells(app, "pairs")[0]["badge"]
    app.get_by_key("band").set_value(band).run()
    assert {cell["badge"] for cell in cells(app, "pairs")} == {band}
    assert f"pairs in the band “{band}” with pixels aligned of at least 0.8" in text_of(app)


def test_threshold_is_of_the_similarity_in_both_orders(digits, twins):
    app = open_page("near_duplicates", order="twin", threshold=0.8)
    kept = twins[twins["similarity"] >= np.float32(0.8)]
    assert named(app) == rows_of(kept.head(96))
    assert f"**{len(kept)} of 500 pairs** have a similarity by Kernel of at least 0.8000" in text_of(app)


def test_distances_have_no_twin_score_and_say_why(digits):
    app = open_page("near_duplicates", by="penultimate-euclidean", order="twin")
    assert "There is no twin score by Features \\(Euclidean\\)" in text_of(app)
    assert "The address has “order=twin”, which this page cannot use" in text_of(app)
    assert all(control.key != "order" for control in app.get("button_group"))
    assert "values" not in cells(app, "pairs")[0]


@pytest.fixture
def source(source_folder, cache, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    build(SourceRequest(str(source_folder)))
    return str(source_folder)


@pytest.mark.parametrize(("by", "within"), [("pixels", ""), ("kernel", "train")])
def test_pixels_that_are_not_aligned_are_offered_and_then_shown(source, monkeypatch, by, within):
    asked = SourceRequest(source, similarities=(by,), query=within or "test", database=within or None)
    build(asked)
    started = []
    monkeypatch.setattr(jobs.Jobs, "start", lambda _, of, verb: started.append((of, verb)))
    query = {"by": by, "order": "twin", "first": 1, "last": 9} | ({"within": within} if within else {})
    app = open_page("near_duplicates", **query)
    assert "Pixels are not aligned yet" in text_of(app)
    assert "Until then, pairs are ranked by similarity." in text_of(app)
    assert "Pairs are ranked by that similarity" in text_of(app), "the page works without"
    app.get_by_key("align_pixels").click().run()
    ((of, verb),) = started
    assert (of.query, of.similarities) == (within or "test", (by,))
    assert jobs.arguments(of, verb)[0] == "aligned"
    build_aligned(of, by)
    app = open_page("near_duplicates", **query)
    assert "Pixels are not aligned yet" not in text_of(app)
    assert [cell["head"] for cell in cells(app, "pairs")] == [f"#{rank}" for rank in range(1, 10)]
    assert {cell["values"][0][0] for cell in cells(app, "pairs")} == {by}
    first = cells(app, "pairs")[0]["pair"]
    name = f"twins@{within}" if within else "twins"
    assert first.endswith(f"&list={name}:{by}:twin")


def test_pair_page_sums_the_parts_of_the_score(digits, twins):
    row = twins.iloc[3]
    pair = {"a": f"test:{row.query_index}", "b": f"train:{row.database_index}", "list": "twins:kernel:twin"}
    app = open_page("pair", **pair)
    parts = next(table.value for table in app.table if "twin score" in str(table.value))
    shown = [float(value) for value in parts["value"][:3]]
    assert shown == pytest.approx([row.similarity, row.background, row.aligned], abs=5.1e-4)
    added = [float(value.strip("*").replace("−", "-")) for value in parts["adds"]]
    assert sum(added[:3]) == pytest.approx(added[3], abs=2e-3)
    assert added[3] == pytest.approx(row.twin, abs=6e-4)
    assert f"**{row.band.capitalize()}**, by the rule below." in text_of(app)
    assert "No score proves a duplicate" in text_of(app)
    app.get_by_key("next").click().run()
    following = twins.iloc[4]
    assert app.query_params["b"] == f"train:{following.database_index}", "the twin, not the nearest"


def test_pair_that_is_no_candidate_has_its_parts_too(digits):
    index = digits.neighbors_by("kernel").indices[5]
    other = next(i for i in range(1297) if i not in index)
    for a, b in (("test:5", f"train:{other}"), (f"train:{other}", "test:5"), ("test:5", "test:9")):
        app = open_page("pair", a=a, b=b)
        assert any("twin score" in str(table.value) for table in app.table), (a, b)


def test_tooltips_of_an_examples_lists_say_how_well_pixels_match(digits):
    app = open_page("example", example="test:7")
    entries = cells(app, "lists")[0]["groups"][0]["tiles"]
    values = digits.aligned["kernel"].values[7]
    assert [entry["tip"] for entry in entries] == [f"pixels aligned {value:.2f}" for value in values]
