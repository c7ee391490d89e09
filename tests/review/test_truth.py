"""Lists of known pairs in each form, and one clear line for each line that cannot be used."""

import json

import pytest

from kernel_core.errors import DataError
from kernel_core.review.truth import LISTED, read_truth
from tests.review.test_judged import EXAMPLES, on

A, B, C = ("test", 0), ("train", 1), ("train", 2)


@pytest.fixture
def read(tmp_path):
    def of(text, **options):
        (tmp_path / "truth").write_text(text)
        return read_truth(tmp_path / "truth", EXAMPLES, **options)

    return of


@pytest.mark.parametrize(
    "text",
    [
        "test:0,train:1\ntest:0,train:2",
        "test:0 train:1\n\n# a comment\ntest:0   train:2 # another",
        "first\tsecond\ntrain:1\ttest:0\ntrain:2\ttest:0",
        "a;b;verdict\ntest:0;train:1;\ntest:0;train:2;\n",
        "\ufefftest:0,train:1\r\nTEST:0,TRAIN:2\r\n",
    ],
)
def test_two_names_a_line(read, text):
    truth = read(text)
    assert truth.pairs == {(A, B): LISTED, (A, C): LISTED}
    assert truth.problems == []


def test_columns_of_cifair(read):
    text = "TestID,TrainID,Distance,Judgment\n0,1,0.08,1\n2,0,0.09,0\n1,2,0.2,3\n"
    pairs = read(text).pairs
    assert pairs == {
        (A, B): "near-duplicate", (("test", 2), ("train", 0)): "exact", (("test", 1), C): "different",
    }  # fmt: skip
    assert read("TrainID,TestID\n1,0\n").pairs == {(A, B): LISTED}
    assert read(text, within="test").pairs[A, ("test", 1)] == "near-duplicate"


def test_verdicts_after_names_and_in_a_file_of_verdicts(read):
    assert read("test:0,train:1,very similar\ntest:0,train:2,3").pairs == {
        (A, B): "very similar", (A, C): "different",
    }  # fmt: skip
    lines = [on(A, B, "exact"), on(A, B, "exact", "bob"), on(A, C, "unsure"), on(A, None, "given")]
    truth = read("\n".join(json.dumps(verdict.to_json()) for verdict in lines) + "\nno verdict\n")
    assert truth.pairs == {(A, B): "exact", (A, C): "unsure"}
    assert truth.problems == ["line 5 is no verdict (it is not JSON)"]


def test_lines_that_cannot_be_used_are_named_and_the_others_count(read):
    truth = read(
        "test:0,train:1\ntest:9,train:1\ntest:0\ntest:0,cat\ntest:0,test:0\ntest:0,train:2,twin\n"
        "train:1,test:0,exact\n"
    )
    assert truth.pairs == {(A, B): LISTED}
    for number, words in enumerate(
        ["'test:9' is out of range; expected test:0 … test:2 or train:0 … train:2", "expected two names",
         "'cat' is not the name", "it names one example twice", "found the verdict 'twin'",
         "the pair is listed before as another"], start=2,
    ):  # fmt: skip
        problem = truth.problems[number - 2]
        assert problem.startswith(f"line {number} is left out: ")
        assert words in problem
    assert len(truth.warnings) == 4
    assert truth.warnings[-1] == "and 3 more lines are left out"


@pytest.mark.parametrize("text", ["", "no pairs here", "test:9,train:9", "TestID,TrainID\n"])
def test_file_without_a_pair_of_the_source_is_refused(read, text):
    with pytest.raises(DataError, match=r"has no pair of this source.*expected ciFAIR's columns"):
        read(text)


def test_unreadable_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_truth(tmp_path / "none", EXAMPLES)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8"):
        read_truth(tmp_path / "binary", EXAMPLES)
