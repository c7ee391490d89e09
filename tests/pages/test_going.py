"""What people write to go somewhere."""

from types import SimpleNamespace

import pytest

from kernel_core.errors import RequestError
from kernel_core.spec import parse_example
from pages.ui.going import destination

SOURCE = SimpleNamespace(
    class_names=("cat", "Dog", "3", "fire truck"), example_counts={"train": 60, "test": 20}
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("test:12", ("example", "test:12")),
        ("  TRAIN:5 ", ("example", "train:5")),
        ("train 45", ("example", "train:45")),
        ("Training 7", ("example", "train:7")),
        ("test12", ("example", "test:12")),
        ("3", ("example", "test:3")),
        ("class 3", ("class", "3")),
        ("label: cat", ("class", "cat")),
        ("CAT", ("class", "cat")),
        ("dog", ("class", "Dog")),
        ("fire truck", ("class", "fire truck")),
    ],
)
def test_text_names_an_example_or_a_class(text, expected):
    assert destination(SOURCE, text) == expected
    if expected[0] == "example":
        assert "{}:{}".format(*parse_example(text, SOURCE.example_counts)) == expected[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cta", "no example .test:0 … test:19 or train:0 … train:59., and no class. Did you mean cat?"),
        ("class dgo", "Did you mean Dog?"),
        ("zebra", "no class.$"),
        ("test:20", "out of range; expected test:0 … test:19"),
        ("train 60", "out of range"),
        ("test:²", "no class"),
        ("test:-1", "no class"),
        ("", "no class"),
        ("testing 5", "no class"),
    ],
)
def test_another_text_is_refused_in_one_line(text, words):
    with pytest.raises(RequestError, match=words.replace("?", "[?]")) as refused:
        destination(SOURCE, text)
    assert "\n" not in str(refused.value)


def test_command_line_takes_the_same_forms():
    assert parse_example("TRAIN:5") == parse_example("train 5") == ("train", 5)
    for wrong in ("testing 5", "tr:5", "train:5:6", "train 5 6", "train:", "5 train", "train:٥"):
        with pytest.raises(RequestError, match="not the name of an example"):
            parse_example(wrong)
