"""The static copy as files: what it holds, and that it is there whole or not at all."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from kernel_core.errors import RequestError
from kernel_core.records import ExampleSet
from kernel_core.results.opening import open_results
from kernel_core.results.pair_orders import ordered_pairs
from kernel_core.results.store import Store
from kernel_core.review.judged import Judged, PixelHashes
from kernel_core.review.verdicts import Verdict
from kernel_core.sources.source import SourceRequest
from kernel_core.static_copy import writing
from kernel_core.static_copy.numbered import Numbered
from kernel_core.static_copy.sprites import write_sheets
from kernel_core.static_copy.verdicts import verdicts_of
from tests.support.command import invoke

HOSTILE = "</script><img src=x onerror=alert(1)>\u2028"


@pytest.fixture
def digits(digits_cache, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", digits_cache["KERNEL_EXPLORER_CACHE"])
    return open_results(SourceRequest("digits"), Store())


def nobody(results):
    return Judged(PixelHashes(results.examples))


def data_of(folder, name):
    text = (folder / "data" / f"{name}.js").read_text()
    return json.loads(re.fullmatch(r'Copy\.take\("[\w-]+", (.*)\);\n', text)[1])


def test_verb_writes_what_is_built_and_names_what_is_not(digits, tmp_path):
    done = invoke("export", "digits", "--out", tmp_path / "copy", "--pairs", 100)
    assert done.exit_code == 0, done.stderr
    assert "pairs: 100 of 500 rows" in done.stdout
    assert "not copied: " in done.stderr
    about, pairs = data_of(tmp_path / "copy", "about"), data_of(tmp_path / "copy", "pairs")
    table, examples = ordered_pairs(digits, "kernel").head(100), data_of(tmp_path / "copy", "examples")
    assert [examples["index"][number] for number in pairs["a"]] == table["query_index"].tolist()
    assert [examples["index"][number] for number in pairs["b"]] == table["database_index"].tolist()
    assert {examples["split"][number] for number in pairs["b"]} == {0}
    assert np.array_equal(np.float32(pairs["value"]), table["similarity"].to_numpy())
    assert [of["count"] for of in about["lists"] if of["name"] == "pairs"] == [100]
    for path in (tmp_path / "copy").rglob("*"):
        assert str(tmp_path) not in path.read_text(errors="replace") if path.is_file() else True


def test_sheets_hold_the_images_to_the_pixel(digits, tmp_path):
    numbered = Numbered(digits.examples, digits.predictions_of)
    for index in (7, 3, 499, 0) * 80:
        numbered.number("test", index)
    for index in range(300):
        numbered.number("train", index)
    sheets = write_sheets(numbered, tmp_path / "images")
    assert len(numbered.listed) == 304
    for number, (split, index) in enumerate(numbered.listed):
        sheet = np.asarray(Image.open(tmp_path / "images" / f"{number // sheets.per_sheet}.webp"))
        row, column = divmod(number % sheets.per_sheet, sheets.across)
        found = sheet[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]
        assert np.array_equal(found, digits.examples[split].images[index])


def test_large_images_are_scaled_to_their_shape(tmp_path):
    images = np.full((3, 600, 300, 3), 200, np.uint8)
    numbered = Numbered({"test": ExampleSet("test", images, np.zeros(3, np.int64), ("a",))}, {})
    numbered.numbers(["test"] * 3, range(3))
    sheets = write_sheets(numbered, tmp_path / "images")
    assert (sheets.width, sheets.height, sheets.across, sheets.scaled) == (128, 256, 4, True)
    assert Image.open(tmp_path / "images" / "0.webp").size == (3 * 128, 256)
    assert numbered.columns()["predicted"] == [None] * 3


def test_copy_without_images_and_of_labels_alone_has_no_sheets(digits, tmp_path):
    writing.write_copy(
        [digits], "kernel", nobody(digits), tmp_path / "copy", writing.Options(9, images=False)
    )
    assert data_of(tmp_path / "copy", "about")["sheets"] is None
    assert not (tmp_path / "copy" / "images").exists()


def test_only_an_earlier_copy_is_replaced(digits, tmp_path):
    folder = tmp_path / "copy"

    def write(most):
        writing.write_copy([digits], "kernel", nobody(digits), folder, writing.Options(most, images=False))
        assert [path.name for path in tmp_path.iterdir()] == ["copy"]

    folder.mkdir()
    write(5)
    write(6)
    assert len(data_of(folder, "pairs")["a"]) == 6
    (folder / "mine.txt").write_text("kept")
    with pytest.raises(RequestError, match=r"also holds mine\.txt"):
        write(7)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").touch()
    done = invoke("export", "digits", "--out", other)
    assert done.exit_code == 2
    assert "a folder with other files" in done.stderr
    assert [path.name for path in other.iterdir()] == ["thesis.tex"]


def test_copy_that_cannot_be_finished_leaves_the_earlier_one(digits, tmp_path, monkeypatch):
    options = writing.Options(5, images=False)
    writing.write_copy([digits], "kernel", nobody(digits), tmp_path / "copy", options)

    def fail(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "_write_files", fail)
    with pytest.raises(RequestError, match="No space left on device"):
        writing.write_copy([digits], "kernel", nobody(digits), tmp_path / "copy", options)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    assert len(data_of(tmp_path / "copy", "pairs")["a"]) == 5


def test_scripts_of_data_are_plain_ascii_that_ends_no_element():
    text = writing._as_script("verdicts", {"reviewers": [HOSTILE]})
    assert text.isascii()
    assert "<" not in text
    assert json.loads(text[text.index("{") : text.rindex(")")]) == {"reviewers": [HOSTILE]}


def test_verdicts_are_told_by_number_and_without_names_where_asked(digits):
    judged, numbered = nobody(digits), Numbered(digits.examples, digits.predictions_of)
    a, b = judged.hashes.item(("train", 4)), judged.hashes.item(("test", 2))
    elsewhere = judged.hashes.item(("test", 77))
    judged.take(
        [
            Verdict("pair", a, b, "exact", HOSTILE, note="seen twice"),
            Verdict("pair", b, a, "different", "Bob"),
            Verdict("label", elsewhere, None, "given", "Bob"),
        ]
    )
    numbers = numbered.number("test", 2), numbered.number("train", 4)
    told = verdicts_of(judged, numbered)
    votes = [[HOSTILE, "exact", "", "seen twice"], ["Bob", "different", "", ""]]
    assert told["pairs"] == {"0-1": ["disputed", votes]}
    assert (numbers, told["labels"]) == ((0, 1), {})
    text = json.dumps(verdicts_of(judged, numbered, named=False))
    assert "reviewer 1" in text
    assert "Bob" not in text
    assert "seen twice" not in text
