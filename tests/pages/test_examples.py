"""The page of all examples: what its address asks for, what it shows, and where Next leads."""

from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from kernel_core.spec import parse_example
from pages.ui import all_examples, lists, load
from tests.support.app import cells, open_page, text_of, tiles

SHOWN = 120


@pytest.fixture(autouse=True)
def opened(digits):
    """The pages' caches know the results by their id."""
    load.by_id[digits.id] = digits


def facts(digits, split, index):
    """What the page filters by, of one example."""
    predictions, label = digits.predictions_of[split], int(digits.examples[split].labels[index])
    values = digits.neighbors_by("kernel").values[index] if split == "test" else None
    return {
        "label": label,
        "predicted": int(predictions.predicted[index]),
        "confidence": float(predictions.confidence[index]),
        "label_probability": float(predictions.mean[index][predictions.classes[index] == label][0]),
        "values": values,
    }


def names_of(app):
    return [tiles(cell)[0]["example"] for cell in cells(app, "examples")]


def expected_names(digits, keep, key=None):
    """The names that a plain loop keeps, sorted by a key of their facts; ties in order."""
    kept = [
        (f"{split}:{index}", of)
        for split in ("test", "train")
        for index in range(len(digits.examples[split]))
        if keep(of := facts(digits, split, index), split, index)
    ]
    return [name for name, of in (sorted(kept, key=lambda entry: key(entry[1])) if key else kept)]


CASES = [
    ({}, lambda of, split, index: True, None),
    ({"label": "3", "split": "test"}, lambda of, split, index: of["label"] == 3 and split == "test", None),
    ({"predicted": "8", "outcome": "wrong"},
     lambda of, split, index: of["predicted"] == 8 != of["label"], None),
    ({"sort": "least confident first", "outcome": "right"},
     lambda of, split, index: of["predicted"] == of["label"], lambda of: of["confidence"]),
    ({"sort": "most probable label first", "index": "100-199, 7"},
     lambda of, split, index: 100 <= index <= 199 or index == 7, lambda of: -of["label_probability"]),
    ({"confidence": ["20", "45"]}, lambda of, split, index: 0.2 <= of["confidence"] <= 0.45, None),
    ({"nearest_from": "0.5", "nearest_to": "0.6", "sort": "nearest first"},
     lambda of, split, index: split == "test" and 0.5 <= of["values"][0] <= 0.6, lambda of: -of["values"][0]),
    ({"near": "3", "near_at": "0.45"},
     lambda of, split, index: split == "test" and (of["values"] >= 0.45).sum() >= 3, None),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "keep", "key"), CASES)
def test_page_shows_what_a_loop_keeps(digits, asked, keep, key):
    expected = expected_names(digits, keep, key)
    assert len(expected) > 5
    app = open_list(asked)
    assert names_of(app) == expected[:SHOWN]
    assert f"**{len(expected):,}" in text_of(app)
    listed = parse_qs(urlsplit(tiles(cells(app, "examples")[0])[0]["href"]).query)["list"][0]
    # Next goes on beyond what the page shows, in the same order.
    last = min(len(expected), SHOWN + 1) - 2
    here = lists.place(digits, *parse_example(expected[last]), listed)
    assert (here.position, here.total, here.next) == (last + 1, len(expected), expected[last + 1])


def open_list(asked):
    """Open the page by its address; a range stands in it as two values."""
    from streamlit.testing.v1 import AppTest

    from tests.support.command import ROOT

    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for key, value in asked.items():
        app.query_params[key] = value
    app.switch_page("pages/examples.py").run()
    assert not app.exception, app.exception
    return app


def test_parts_of_the_list_follow_each_other(digits):
    first = open_page("examples")
    app = open_page("examples", page=2)
    assert names_of(app)[0] == f"test:{SHOWN}"
    assert len(names_of(first)) == len(names_of(app)) == SHOWN
    app.get_by_key("label").set_value("4").run()
    fours = np.flatnonzero(digits.examples["test"].labels == 4)
    assert names_of(app)[0] == f"test:{fours[0]}"  # a new filter shows the first part
    app.get_by_key("clear_filters").click().run()
    assert names_of(app)[0] == "test:0"


def test_named_examples_are_shown_in_their_order(digits):
    app = open_page("examples", names="train:9;test:3,1-2")
    assert names_of(app) == ["train:9", "test:3", "test:1", "test:2"]
    assert "list=examples:train:9" in tiles(cells(app, "examples")[0])[0]["href"].replace("%3B", ";")
    assert "**4 of 1,797 examples**: chosen by name" in text_of(app)
    app.get_by_key("sort").set_value("least confident first").run()
    order = sorted(names_of(app), key=lambda name: facts(digits, *parse_example(name))["confidence"])
    assert names_of(app) == order
    app.get_by_key("clear_filters").click().run()
    assert len(names_of(app)) == SHOWN


def test_rows_of_the_list_are_downloaded_in_its_order(digits):
    app = open_page("examples", label="3", outcome="wrong", sort="most confident first")
    assert app.get("download_button")[0].label.startswith(f"Download CSV: {len(names_of(app))} ")
    asked = {"label": "3", "outcome": "wrong", "sort": "most confident first"}
    rows = all_examples.listed_rows(digits, all_examples.find(digits, asked))
    assert [f"{row['split']}:{row['index']}" for _, row in rows.iterrows()] == names_of(app)
    assert set(rows["label_class"]) == {"3"}
    assert "3" not in set(rows["predicted_class"])


def test_neighbors_that_are_not_built_are_said_and_offered(digits):
    app = open_page("examples", near=1)
    assert "The neighbors of training examples by Kernel are not built" in app.info[0].value
    assert app.get_by_key("neighbors_of_train").label == "Build them now"
    assert not open_page("examples", near=1, split="test").info
    assert not open_page("examples").info
    last = open_page("examples", sort="nearest first", page=15)
    assert names_of(last)[-1] == "train:1296"
    assert tiles(cells(last, "examples")[-1])[0]["note"].endswith("\n–")


def test_wrong_addresses_show_all_examples(digits):
    wrong = {"label": "cat", "outcome": "maybe", "confidence": "x", "near": "-4", "nearest_from": "x"}
    for asked in (wrong, {"sort": "best", "page": "9999", "split": "valid", "by": "no"}):
        app = open_list(asked)
        assert names_of(app)[0] == "test:0"
        assert "**1,797 examples**" in text_of(app)
        assert not app.warning
    app = open_page("examples", index="abc")
    assert names_of(app)[0] == "test:0"
    assert "45 or 100-199" in app.warning[0].value


def test_wrong_names_are_said_in_one_line(digits):
    app = open_page("examples", names="test:3,cat")
    assert "'cat' names no example" in app.warning[0].value
    app.get_by_key("show_all_examples").click().run()
    assert names_of(app)[0] == "test:0"


@pytest.mark.parametrize(
    "wrong",
    ["cat", "label=cat", "color=red", "confidence=20", "confidence=a..b", "sort=best", "index=x", "near=x",
     "by=no", "names=test:999", "split=valid", "outcome=maybe", "near_at=x"],
)  # fmt: skip
def test_wrong_list_is_the_split(digits, wrong):
    assert lists.place(digits, "test", 3, f"all_examples:{wrong}").title == "the test split"


def test_list_of_everything_goes_from_split_to_split(digits):
    here = lists.place(digits, "test", 499, "all_examples")
    assert (here.position, here.total, here.title, here.next) == (500, 1797, "all examples", "train:0")


def test_list_says_back_what_it_was_made_with():
    words = {"label": "a&b=c, d:e", "confidence": "20..", "sort": "nearest first", "names": "test:1;train:2"}
    name, argument = all_examples.to_list(words)
    assert (name, all_examples.from_list(argument)) == ("all_examples", words)
