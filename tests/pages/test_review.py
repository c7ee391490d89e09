"""The review page: what it offers and says, and what it takes from browsers."""

import json
import os

import pytest

from pages.ui import load, read_only, verdicts
from pages.ui.panels.review_stop import so_far
from pages.ui.review_intake import take
from pages.ui.review_queue import queue_of
from tests.support.app import data_of, open_page, text_of
from tests.support.verdicts import Plant

LIST = "near_duplicates:kernel"


@pytest.fixture
def path(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_VERDICTS", str(tmp_path / "verdicts.jsonl"))
    return tmp_path / "verdicts.jsonl"


def opened(text=LIST, reviewer="Ann", **more):
    """Open the page; return its driver, the results, and the queue."""
    app = open_page("review", list=text, reviewer=reviewer, **more)
    results = load.base(next(found for found in load.by_id.values() if found.name == "digits"))
    return app, results, queue_of(results, text, reviewer)


def entry(queue, place, verdict="different", number=0, **more):
    """What a browser sends of a verdict."""
    made = {"id": f"{number or place:032x}", "queue": queue.text, "kind": queue.kind, "reviewer": "Ann"}
    return {**made, "item": queue.items[place].name, "verdict": verdict, "milliseconds": 900, **more}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_a_browser_sends_twice_is_written_once_with_what_the_server_knows(path):
    _, results, queue = opened()
    sent = [entry(queue, 0, "exact", 1, note="n", browser="b" * 99), entry(queue, 1, "different", 2)]
    assert take(results, queue, sent).saved == [sent[0]["id"], sent[1]["id"]]
    assert take(results, queue, [*sent, entry(queue, 2, "unsure", 3)]).problem == ""
    first, second, _ = lines(path)
    assert (first["verdict"], first["note"], first["milliseconds"]) == ("exact", "n", 900)
    assert first["shown"]["value"] == pytest.approx(queue.items[0].value)
    assert (first["shown"]["rank"], first["shown"]["filter"]) == (1, LIST)
    assert len(first["a"]["sha256"]) == 64
    assert second["id"] == sent[1]["id"]


def test_what_makes_no_sense_is_not_written(path):
    _, results, queue = opened()
    nonsense = [
        entry(queue, 0, "banana", 1), entry(queue, 0, "given", 2), {**entry(queue, 0, number=3), "id": "x"},
        {**entry(queue, 0, number=4), "item": "test:0~train:99999"}, "text", None,
        entry(queue, 0, "withdrawn", 5, supersedes="f" * 32),
        {**entry(queue, 0, number=6), "queue": "no:list"},
    ]  # fmt: skip
    take(results, queue, nonsense)
    take(results, queue, {"no": "list"})
    assert not path.exists()


def test_page_says_what_was_judged_and_begins_after_it(path):
    _, results, queue = opened()
    take(results, queue, [entry(queue, at, "exact" if at == 1 else "different", at + 1) for at in range(70)])
    app, *_ = opened()
    data = data_of(app, "review")
    assert data["total"] == len(queue.items) - 70
    assert data["items"][0]["name"] == queue.items[70].name
    saved = data_of(app, "review_saved")
    assert (saved["judged"], saved["counts"]) == (70, "1 exact, 69 different")
    assert saved["stop"].startswith("You can stop: 68 negatives in a row")
    take(results, queue, [entry(queue, 72, "different", 100)])
    assert "(1 so far)" in so_far(queue, verdicts.judged(results), "Ann").stop, (
        "one that is left out breaks the run"
    )
    take(results, queue, [entry(queue, at, number=200 + at) for at in range(70, len(queue.items))])
    app, *_ = opened()
    assert data_of(app, "review")["total"] == 0


def test_others_are_shown_unless_blind_and_their_names_are_plain_text(path, digits):
    pair = opened()[2].items[0].shown
    Plant(digits, path)(*pair, "exact", "<b>*Bob*</b>\n# x", note="$x$")
    assert "<b>*Bob*</b>" in data_of(opened()[0], "review")["items"][0]["others"]
    assert data_of(opened(blind="true")[0], "review")["items"][0]["others"] == ""
    app, *_ = opened(reviewer="**A** <i>")
    assert data_of(app, "review")["reviewer"] == "**A** <i>"


@pytest.mark.parametrize(
    "text", ["nonsense", "sample:kernel:up:5:0", "sample:kernel:kernel:x:0", "again:", "disputed:<b>"]
)
def test_address_that_is_no_list_is_said_and_lists_are_offered(path, text):
    app = open_page("review", list=text)
    assert "no list" in app.warning[0].value
    assert "Labels" in [header.value for header in app.header]


def test_sample_shows_what_it_estimates(path):
    app, results, queue = opened("sample:kernel:kernel:40:0")
    assert "Nothing is judged yet" in text_of(app)
    take(results, queue, [entry(queue, at, "exact" if at < 4 else "different", at + 1) for at in range(30)])
    assert {line["design"] for line in lines(path)} == {"sample"}
    app, *_ = opened("sample:kernel:kernel:40:0")
    assert "30 judged pairs, 30 of these drawn at random" in text_of(app)
    within = queue_of(results, "sample@train:kernel:kernel:40:0", "Ann")
    assert within is None or within.text.startswith("sample@train:kernel:kernel:40")


def test_second_look_and_dispute_say_what_they_are_of(path, digits):
    queue = opened()[2]
    plant, old = Plant(digits, path), "2020-01-01T00:00:00.000Z"
    first = plant(*queue.items[0].shown, "exact", "Ann", at=old)
    plant(*queue.items[0].shown, "different", "Bob", at=old)
    app, results, again = opened("again:pair")
    assert data_of(app, "review")["items"][0]["mine"] == ""
    take(results, again, [entry(again, 0, "near-duplicate", 1)])
    assert lines(path)[-1]["repeats"] == first.id
    _, results, disputed = opened("disputed:pair")
    take(results, disputed, [entry(disputed, 0, "exact", 2)])
    assert lines(path)[-1]["design"] == "gold"


def test_broken_line_is_named_and_a_file_without_rights_refuses(path, digits, monkeypatch):
    plant = Plant(digits, path)
    plant(("test", 0), ("train", 1))
    with path.open("a") as file:
        file.write('{"kind": "pair"')
    app, results, queue = opened()
    assert "cut off" in app.warning[0].value
    path.unlink()
    path.mkdir()
    answer = take(results, queue, [entry(queue, 0)])
    assert answer.saved == []
    assert str(path) in answer.problem
    for text in ("", LIST):
        assert "verdicts.jsonl" in open_page("review", list=text).error[0].value.replace("\\", "")


def test_read_only_server_takes_nothing(path, monkeypatch):
    _, results, queue = opened()
    monkeypatch.setenv(read_only.VARIABLE, "1")
    assert take(results, queue, [entry(queue, 0)]).saved == []
    app = open_page("review", list=LIST)
    assert "only shows" in text_of(app)
    assert not os.path.exists(path)
