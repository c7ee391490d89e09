"""Lists by what was judged: the filter on each page, in its address, and in the lists that Next follows."""

import pytest

from kernel_core.findings.pairs import nearest_pairs
from kernel_core.results.judged_rows import Wanted
from pages.ui import lists
from pages.ui.review_queue import queue_of
from tests.support.app import cells, data_of, open_page, text_of
from tests.support.verdicts import Plant


@pytest.fixture
def plant(digits, tmp_path, monkeypatch):
    """Plants verdicts on the digits in the file that the pages read."""
    monkeypatch.setenv("KERNEL_EXPLORER_VERDICTS", str(tmp_path / "verdicts.jsonl"))
    return Plant(digits, tmp_path / "verdicts.jsonl")


def ids(app, key):
    return [cell["id"] for cell in cells(app, key)]


def test_pages_filter_by_what_was_judged(plant, digits):
    for page, key in (("labels", "labels_to_check"), ("failure_modes", "failures")):
        plant.path.unlink(missing_ok=True)
        app = open_page(page)
        assert not [box for box in app.selectbox if box.label == "Judged"], "nothing is judged"
        one, two, three, four = ids(app, key)[:4]
        plant(("test", one), verdict="given")
        plant(("test", two), verdict="guessed", reviewer="Bob: <i>", proposed_label="1")
        for reviewer, verdict in (("Ann", "given"), ("Bob: <i>", "unsure")):
            plant(("test", three), verdict=verdict, reviewer=reviewer)
        app.run()
        expected = {
            ("judged", None): [one, two, three],
            ("given", None): [one],
            ("disputed", None): [three],
            ("given", "Ann"): [one, three],
            ("judged", "Bob: <i>"): [two, three],
            ("both", None): [],
        }
        for (judged, reviewer), shown in expected.items():
            app.get_by_key("judged").set_value(judged)
            app.get_by_key("reviewer").set_value(reviewer)
            app.run()
            assert not app.exception
            if shown:
                assert ids(app, key) == shown, (page, judged, reviewer)
        app.get_by_key("judged").set_value("unjudged")
        app.get_by_key("reviewer").set_value(None).run()
        assert ids(app, key)[0] == four
        assert ids(open_page(page, judged="unjudged"), key)[0] == four, "by address alone"
        assert ids(open_page(page, judged="given", reviewer="Ann"), key) == [one, three]


def test_next_follows_the_filtered_list_after_a_verdict_too(plant, digits):
    app = open_page("near_duplicates", first=1, last=48)
    shown = [cell["groups"][0]["tiles"] for cell in cells(app, "pairs")][:3]
    pairs = [tuple(named(tile["example"]) for tile in pair) for pair in shown]
    plant(*pairs[1])
    app = open_page("near_duplicates", judged="unjudged", first=1, last=48)
    heads = [cell["head"].split()[0] for cell in cells(app, "pairs")]
    assert heads[:2] == ["#1", "#3"], "ranks stay"
    assert "of 499 unjudged pairs**" in text_of(app)
    assert "list=near_duplicates~unjudged:kernel" in cells(app, "pairs")[0]["pair"]
    listed, following = "near_duplicates~unjudged:kernel", f"test:{pairs[2][0][1]}"
    here = lists.place(digits, *pairs[0][0], listed)
    assert (here.position, here.total, here.next) == (1, 499, following)
    assert here.title.endswith(", unjudged")
    assert here.by == "kernel"
    app = open_page("pair", a=f"test:{pairs[0][0][1]}", b=f"train:{pairs[0][1][1]}", list=listed)
    plant(*pairs[0])
    app.get_by_key("next").click().run()
    assert app.query_params["a"] == following, "the judged one stays until it is left"
    assert "#1 of 498" in text_of(app)


def test_groups_are_filtered_by_judged_pairs_in_them(plant, digits):
    shown = cells(open_page("groups"), "groups")
    a, b = (named(tile["example"]) for tile in shown[1]["groups"][0]["tiles"][:2])
    plant(b, a, "exact")
    assert ids(open_page("groups", judged="judged"), "groups") == [shown[1]["id"]]
    assert ids(open_page("groups", judged="exact"), "groups") == [shown[1]["id"]]
    app = open_page("groups", judged="unjudged")
    assert ids(app, "groups")[:2] == [shown[0]["id"], shown[2]["id"]]
    listed = cells(app, "groups")[0]["pair"].split("list=")[1]
    unjudged, every = (lists.ranked(digits.id, text) for text in (listed, listed.replace("~unjudged", "")))
    members = [named(tile["example"]) for tile in shown[1]["groups"][0]["tiles"]]
    listed_now = list(zip(unjudged.split.tolist(), unjudged.order.tolist(), strict=True))
    assert len(every.order) - len(listed_now) == len(members)
    assert not set(members) & set(listed_now)


def test_list_with_a_wrong_filter_is_no_list(plant, digits):
    assert lists.ranked(digits.id, "near_duplicates~good:kernel") is None


def named(name):
    split, index = name.split(":")
    return split, int(index)


def test_queue_of_a_filtered_list_keeps_every_item_and_asks_for_those_wanted(plant, digits):
    first = nearest_pairs(digits.neighbors_by("kernel"), *digits.labels).iloc[0]
    a, b = ("test", int(first["query_index"])), ("train", int(first["database_index"]))
    plant(a, b, "exact", "Bob")
    asked = {"list": "near_duplicates~unjudged:kernel", "kind": "pair", "reviewer": "Ann"}
    queue = queue_of(digits, asked["list"], "Ann", "pair")
    assert (len(queue.items), queue.text, queue.wanted) == (500, "near_duplicates:kernel", Wanted("unjudged"))
    assert queue_of(digits, "labels~given:kernel", "Ann").kind == "label"
    assert queue_of(digits, "near_duplicates~good:kernel", "Ann") is None
    assert data_of(open_page("review", **asked), "review")["total"] == 499
    asked |= {"list": "near_duplicates~exact:kernel", "all": "true"}
    assert data_of(open_page("review", **asked), "review")["total"] == 1
    groups = queue_of(digits, "groups:kernel:0.5", "Ann", "pair")
    (kept, other), found = groups.items[0].shown, cells(open_page("groups", threshold=0.5), "groups")[0]
    assert [named(tile["example"]) for tile in found["groups"][0]["tiles"][:2]] == [kept, other]
