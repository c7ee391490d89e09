"""Lists of example names as short text, both ways."""

import random

import numpy as np
import pytest

from kernel_core.errors import RequestError
from pages.ui.names import MOST, from_text, indices_of, to_text

COUNTS = {"test": 500, "train": 1297}


def test_text_and_names_round_trip():
    rng = random.Random(3)
    for _ in range(400):
        names = []
        for _ in range(rng.randrange(1, 12)):  # single examples and runs, in any order, some of them twice
            split = rng.choice(["test", "train"])
            start, step = rng.randrange(COUNTS[split]), rng.choice([1, 1, -1])
            run = range(start, start + step * rng.choice([1, 1, 2, 30]), step)
            names += [(split, i) for i in run if 0 <= i < COUNTS[split]]
        once = list(dict.fromkeys(names))
        assert from_text(to_text(names), COUNTS) == once
        assert to_text(from_text(to_text(names), COUNTS)) == to_text(once)


def test_text_is_short():
    assert to_text([]) == ""
    assert to_text([("train", 7)]) == "train:7"
    assert to_text([("test", i) for i in range(MOST)]) == f"test:0-{MOST - 1}"
    scattered = [("test", 49_999 - 2 * i) for i in range(MOST)]
    assert len(to_text(scattered)) < 7_000


def test_people_write_names_freely():
    expected = [("test", 5), ("train", 7), ("train", 8), ("train", 3)]
    for text in (
        "test:5;train:7-8,3",
        "5 train:7 8 train:3",
        "TEST:5,Train:7–8\n3\n",
        "5,train:7-8;;train:3;",
    ):
        assert from_text(text, COUNTS) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no example"),
        ("cat", "'cat' names no example"),
        ("test:", "names no example"),
        ("test:-1", "names no example"),
        ("test:1-", "names no example"),
        ("valid:1", "names no example"),
        ("test:1:2", "names no example"),
        ("²", "names no example"),
        ("test:9-3", "goes backward"),
        ("test:500", "out of range; expected test:0 … test:499"),
        ("3,490-500", "out of range"),
        ("0-999999999", "out of range"),
        ("9" * 5000, "names no example"),
        ("train:0-600;test:0-499", "More than 1,000"),
    ],
)
def test_wrong_text_is_refused_in_one_line(text, words):
    with pytest.raises(RequestError, match=words) as refused:
        from_text(text, COUNTS)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 140


def test_split_that_the_source_lacks_is_refused():
    with pytest.raises(RequestError, match="no training examples"):
        from_text("train:1", {"test": 500})


def test_indices_of_a_text():
    def named(text):
        return np.flatnonzero(indices_of(text, 20)).tolist()

    assert named("4") == [4]
    assert named(" 4, 7-9;12 ") == [4, 7, 8, 9, 12]
    assert named("17-") == [17, 18, 19]
    assert named("-2") == [0, 1, 2]
    assert named("18–400") == [18, 19]
    assert named("25") == []
    for wrong in ("", "-", "a", "4-2", "1-2-3", "test:4", "1.5", "4²"):
        with pytest.raises(RequestError, match="45 or 100-199"):
            indices_of(wrong, 20)
