"""Images without a test split: a part of every class is held out, always the same, and read once."""

import os
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from kernel_core.errors import DataError, SourceError
from kernel_core.results.keys import plan_keys
from kernel_core.results.store import Store
from kernel_core.sources import images
from kernel_core.sources.catalog import open_source
from kernel_core.sources.held_out import rows_of
from kernel_core.sources.images_table import images_table
from kernel_core.sources.source import ImagesFrom, SourceRequest
from kernel_core.sources.source_toml import read_images_table
from tests.support.planted import png

COUNTS = {"ant": 31, "bee": 12, "cat": 5, "dog": 1}


@pytest.fixture
def folder(tmp_path):
    """A folder of class folders; the color of each image is its number."""
    number = 0
    for name, count in COUNTS.items():
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "pets" / name / f"{i:03}.png")
            number += 1
    return tmp_path / "pets"


@pytest.fixture
def table(tmp_path):
    """The same images in a Parquet file."""
    pixels = [np.full((8, 8, 3), (number, 0, 0), np.uint8) for number in range(sum(COUNTS.values()))]
    labels = [name for name, count in COUNTS.items() for _ in range(count)]
    names = [f"{name}/{i}.png" for name, count in COUNTS.items() for i in range(count)]
    cells = [{"bytes": png(of), "path": name} for of, name in zip(pixels, names, strict=True)]
    pq.write_table(pa.table({"image": cells, "label": labels}), tmp_path / "pets.parquet")
    return tmp_path / "pets.parquet"


def of(path):
    return open_source(SourceRequest(str(path))).images


@pytest.mark.parametrize("counts", [(50, 30, 20), (31, 12, 5, 1), (3,) * 40, (1, 1, 1, 18), (1000, 7)])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_each_class_gives_its_share_and_keeps_one(counts, share):
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
    test = rows_of("test", labels, share, "x")
    np.testing.assert_array_equal(rows_of("train", labels, share, "x"), ~test)
    held = np.bincount(labels[test], minlength=len(counts))
    assert all(c - h >= 1 for c, h in zip(counts, held, strict=True))
    assert all(abs(h - c * share) <= 1 for c, h in zip(counts, held, strict=True))
    possible = sum(min(c - 1, int(np.ceil(c * share))) for c in counts)
    assert min(round(len(labels) * share), possible) <= test.sum() <= round(len(labels) * share)


def test_choice_is_the_same_on_every_machine():
    test = rows_of("test", np.arange(40) % 2, 0.1, "x")
    assert np.flatnonzero(test).tolist() == [9, 15, 16, 34]


@pytest.mark.parametrize("counts", [(3,), (10, 9), (1,) * 30])
def test_too_few_to_hold_some_out_are_refused(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    with pytest.raises(
        DataError, match=f"x has {sum(counts)} examples and no test split.*expected 20 or more"
    ):
        rows_of("test", labels, 0.1, "x")


def test_folder_and_table_are_divided_alike_and_names_lead_back(folder, table):
    for path in (folder, table):
        source = of(path)
        read = images.load_splits(source)
        assert {split: len(of_split) for split, of_split in read.items()} == {"train": 44, "test": 5}
        for split, of_split in read.items():
            labels, classes = images.example_labels(source, split)
            np.testing.assert_array_equal(labels, of_split.labels)
            assert classes == of_split.class_names == tuple(COUNTS)
            names = images.example_names(source, split)
            assert [classes[label] for label in labels] == [name.split("/")[0] for name in names]
            numbers = [list(COUNTS).index(n.split("/")[0]) for n in names]
            first = np.cumsum([0, *COUNTS.values()])[numbers]
            expected = first + [int(name.split("/")[1].removesuffix(".png")) for name in names]
            np.testing.assert_array_equal(of_split.images[:, 0, 0, 0], expected)
    in_table, in_folder = (images.load_examples(of(path), "test") for path in (table, folder))
    np.testing.assert_array_equal(in_table.images, in_folder.images)


def test_each_image_is_decoded_once(folder, monkeypatch):
    from kernel_core.sources import decode

    decoded, source = [], of(folder)
    monkeypatch.setattr(decode, "resized", lambda image, _: decoded.append(image.filename) or image)
    images.load_splits(source)
    assert sorted(decoded) == sorted(str(path) for path in folder.glob("*/*"))


def test_inventory_says_what_is_held_out(folder):
    (folder / "ant" / "deep").mkdir()
    for i in range(30, 20, -1):
        os.rename(folder / f"ant/{i:03}.png", folder / f"ant/deep/{i:03}.png")
    (folder / "notes.txt").touch()
    found = images.image_inventories(of(folder))
    assert found["test"].line.startswith("test: 5 images in 4 classes, held out of 49")
    assert "no images of dog" in found["test"].line
    assert "passed over: 1 file of another ending (notes.txt)" in found["train"].line
    assert "passed over" not in found["test"].line
    assert found["train"].nested + found["test"].nested == 10
    assert found["train"].classes["ant"] == 28


def test_description_keeps_the_split(folder, table, tmp_path):
    for path in (folder, table):
        source = of(path)
        lines = [
            f"{key} = {value!r}" for key, value in images_table(source, tmp_path).items() if key != "splits"
        ]
        lines += ['splits = {train = "."}'] if source.split_names else []
        (tmp_path / "source.toml").write_text("\n".join(["[images]", *lines]))
        again = read_images_table(tmp_path / "source.toml")
        for split in ("train", "test"):
            expected = images.load_examples(source, split)
            np.testing.assert_array_equal(images.load_examples(again, split).images, expected.images)
        assert again.held_out == 0.1
        assert again.choose_size


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('folder = "x"\nheld_out = 0.6', "a share above 0, up to 0.5"),
        ('folder = "x"\nheld_out = 0.0', "a share above 0"),
        ('folder = "x"\nheld_out = true', "a share above 0"),
        ('train = "a.parquet"\ntest = "b.parquet"\nheld_out = 0.1', "without a test split of their own"),
        ('torchvision = "MNIST"\nheld_out = 0.1', "without a test split of their own"),
        ('folder = "x"\nsize = "large"', 'or "auto"'),
    ],
)
def test_wrong_share_is_refused(tmp_path, lines, message):
    (tmp_path / "source.toml").write_text(f"[images]\n{lines}\n")
    with pytest.raises(SourceError, match=message):
        read_images_table(tmp_path / "source.toml")


def test_cache_tells_shares_apart_and_forgets_none(tmp_path, folder):
    def key(**fields):
        source = ImagesFrom("folder", {"folder": folder}, split_names={"train": "."}, **fields)
        opened = open_source(SourceRequest(str(folder)))
        return plan_keys(
            replace(opened, images=source), SourceRequest(str(folder)), Store(tmp_path / "c")
        ).examples

    assert len({key(held_out=0.1), key(held_out=0.2), key(held_out=0.1, choose_size=True)}) == 3
