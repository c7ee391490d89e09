"""Near-duplicates and threshold: what is shown of a ranking, filters first, in every direction."""

import numpy as np
import pytest

from kernel_core.findings.pairs import border, nearest_pairs
from pages.ui.panels import ranks
from tests.support.app import cells, data_of, open_page, text_of


@pytest.fixture
def ranking(digits):
    return nearest_pairs(digits.neighbors_by("kernel"), *digits.labels)


def shown_ranks(app):
    """The ranks of the pairs on the page."""
    return [int(cell["head"].split()[0].strip("#")) for cell in cells(app, "pairs")]


def test_page_opens_with_the_border_and_says_why(digits):
    app = open_page("near_duplicates")
    assert app.get_by_key("part_border").proto.type == "primary"
    why = "the border between twins and look-alikes, as on the dataset card (there 601–648 of 10,000)"
    assert f"**48 of 500 pairs**, ranks 31–78: {why}." in text_of(app)


def test_nearest_pairs_and_back_are_one_click_each_and_in_the_address(digits):
    app = open_page("near_duplicates")
    app.get_by_key("part_nearest").click().run()
    assert shown_ranks(app) == list(range(1, 49))
    assert dict(app.query_params) == {"order": "twin"}
    assert app.get_by_key("part_nearest").proto.type == "primary"
    app.get_by_key("part_border").click().run()
    assert shown_ranks(app) == list(range(31, 79))
    assert dict(app.query_params) == {}


def test_filter_comes_first_and_shows_its_nearest_matches(digits, ranking):
    app = open_page("near_duplicates")
    app.get_by_key("labels").set_value("different").run()
    differ = ranking[ranking["query_label"] != ranking["database_label"]]["rank"].tolist()
    assert shown_ranks(app) == differ
    whole = f"**{len(differ)} of {len(differ)} pairs with different labels**, ranks {differ[0]}–{differ[-1]}."
    assert whole in text_of(app)
    app.get_by_key("labels").set_value("same").run()
    same = [rank for rank in range(1, 501) if rank not in differ]
    assert shown_ranks(app) == same[:48]
    app.get_by_key("next").click().run()
    assert shown_ranks(app) == same[48:96]
    app.get_by_key("part_border").click().run()
    assert shown_ranks(app) == [rank for rank in same if rank >= 31][:48]
    app.get_by_key("class").set_value("3").run()
    has_three = (ranking["query_label"] == 3) | (ranking["database_label"] == 3)
    both = [rank for rank in ranking["rank"][has_three] if rank in same]
    assert shown_ranks(app) == both[:48], "a filter begins with its nearest"
    assert f"of {len(both)} pairs with the same label and class 3**" in text_of(app)
    for key, value in (("class", "any class"), ("labels", "all")):
        app.get_by_key(key).set_value(value).run()
    assert shown_ranks(app) == list(range(31, 79)), "without a filter, as the page opens"


def test_filter_that_nothing_passes_says_so(digits, ranking):
    of_class = next(
        c for c in range(10)
        if not ((ranking["query_label"] != ranking["database_label"])
                & ((ranking["query_label"] == c) | (ranking["database_label"] == c))).any()
    )  # fmt: skip
    app = open_page("near_duplicates", labels="different", **{"class": str(of_class)})
    assert f"no pairs with different labels and class {of_class} among the 500" in text_of(app)


def test_above_a_threshold_shows_all_of_them_page_by_page(digits, ranking):
    app = open_page("near_duplicates")
    app.get_by_key("part_above").click().run()
    value = float(app.query_params["threshold"])
    assert border(ranking) - 1e-4 < value <= border(ranking)
    assert len(shown_ranks(app)) == 31
    app = open_page("near_duplicates", threshold=0.5)
    count = int((ranking["similarity"].astype(np.float64) >= 0.5).sum())
    assert shown_ranks(app) == list(range(1, 97))
    assert f"**{count} of 500 pairs** are at or above 0.5000, ranks 1–{count}" in text_of(app)
    met = shown_ranks(app)
    while not app.get_by_key("next").disabled:
        app.get_by_key("next").click().run()
        met += shown_ranks(app)
    assert met == list(range(1, count + 1))
    app.get_by_key("by").set_value("pixels").run()
    assert "threshold" not in app.query_params, "another similarity has another scale"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"first": 5, "last": 7}, [5, 6, 7]),
        ({"first": 490, "last": 9999}, list(range(490, 501))),
        ({"first": 999, "last": 1200}, list(range(31, 79))),
        ({"first": "x", "last": "²"}, list(range(31, 79))),
        ({"first": 0}, list(range(31, 79))),
        ({"first": 101}, list(range(101, 149))),
        ({"last": 20}, list(range(20, 21))),
        ({"first": 1, "last": 500, "page": 6}, list(range(481, 501))),
        ({"threshold": "nan"}, list(range(31, 79))),
    ],
)
def test_window_of_an_address(digits, query, expected):
    assert shown_ranks(open_page("near_duplicates", **query)) == expected


def test_threshold_page_counts_what_the_pairs_page_lists(digits, ranking):
    app = open_page("similarities")
    data = data_of(app, "threshold_chart")
    assert data["threshold"] == ranks.start_threshold(ranking)
    listed = open_page("near_duplicates", threshold=data["threshold"])
    assert len(shown_ranks(listed)) == int((ranking["similarity"] >= data["threshold"]).sum())
