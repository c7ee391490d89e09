"""Labeled images without a description are found as people keep them; what is none is refused in one line."""

import os
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from kernel_core.cli.main import main as cli
from kernel_core.errors import KernelExplorerError, NotBuilt, RequestError, SourceError
from kernel_core.recipes import HEADS
from kernel_core.sources import images
from kernel_core.sources.catalog import HEADS_TRAINING, open_source
from kernel_core.sources.source import SourceRequest
from tests.support.planted import png


def pictures(folder, classes=("ant", "bee"), count=12, size=(8, 8), ending="png"):
    """Write images into a folder per class, and return the folder of these folders."""
    for c, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.new("RGB", size, (c, i, 0)).save(folder / name / f"{i}.{ending}")
    return folder


def table(path, count=24):
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [{"bytes": png(np.full((8, 8, 3), i, np.uint8)), "path": None} for i in range(count)]
    pq.write_table(pa.table({"image": cells, "label": [i % 2 for i in range(count)]}), path)
    return path


def opened(path, **fields):
    return open_source(SourceRequest(str(path), **fields), offline=True)


def counts(path):
    """Return the number of examples of each split, as they are read."""
    return {split: len(of) for split, of in images.load_splits(opened(path).images).items()}


@pytest.mark.parametrize(
    ("train", "test"),
    [("train", "test"), ("train", "val"), ("training", "validation"), ("Train", "Test"), ("train", "dev")],
)
def test_folders_of_splits_are_known_by_many_names(tmp_path, train, test):
    pictures(tmp_path / train)
    pictures(tmp_path / test, count=3)
    assert counts(tmp_path) == {"train": 24, "test": 6}
    assert opened(tmp_path).name == tmp_path.name


def test_test_split_comes_before_others_if_it_has_labels(tmp_path):
    pictures(tmp_path / "train")
    pictures(tmp_path / "val", count=3)
    pictures(tmp_path / "test", count=2)
    assert counts(tmp_path)["test"] == 4
    for i, path in enumerate(sorted((tmp_path / "test").glob("*/*"))):
        os.rename(path, tmp_path / "test" / f"{i}.png")
    assert counts(tmp_path)["test"] == 6


def test_class_folders_alone_are_held_out_from(tmp_path):
    pictures(tmp_path / "pets", ("ant", "train"))  # trains are a class of some data sets
    (tmp_path / "pets" / "__MACOSX").mkdir()
    assert counts(tmp_path / "pets") == {"train": 22, "test": 2}
    pictures(tmp_path / "one" / "train")
    assert counts(tmp_path / "one") == {"train": 22, "test": 2}


def test_metadata_alone_is_held_out_from(tmp_path):
    rows = [f"{i}.png,{'ab'[i % 2]}" for i in range(30)]
    for i in range(30):
        Image.new("L", (8, 8), i).save(tmp_path / f"{i}.png")
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,label", *rows]))
    assert counts(tmp_path) == {"train": 27, "test": 3}
    assert set(images.example_names(opened(tmp_path).images, "test")) < {row.split(",")[0] for row in rows}


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["train.parquet", "test.parquet"], {"train": 24, "test": 24}),
        (["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet",
          "data/validation-00000-of-00001.parquet"], {"train": 48, "test": 24}),
        (["training.parquet", "eval.parquet"], {"train": 24, "test": 24}),
        (["train.parquet"], {"train": 22, "test": 2}),
        (["birds.parquet"], {"train": 22, "test": 2}),
        (["0000.parquet", "0001.parquet"], {"train": 43, "test": 5}),
    ],
)  # fmt: skip
def test_tables_are_found_by_their_names(tmp_path, files, found):
    for name in files:
        table(tmp_path / name)
    assert counts(tmp_path) == found


def test_one_file_is_a_source(tmp_path):
    source = opened(table(tmp_path / "birds.parquet"))
    assert source.name == "birds"
    os.rename(tmp_path / "birds.parquet", tmp_path / "birds")
    assert counts(tmp_path / "birds") == {"train": 22, "test": 2}


def test_heads_are_trained_as_many_as_asked_for(tmp_path):
    pictures(tmp_path)
    assert opened(tmp_path).logits == HEADS_TRAINING
    assert HEADS_TRAINING.recipe == HEADS
    assert HEADS_TRAINING.run_count == 128
    assert opened(tmp_path, run_count=300).logits.run_count == 300
    with pytest.raises(RequestError, match="Use --runs instead"):
        opened(tmp_path, files=1)


def no_folders(folder):
    pictures(folder, ("",))


def one_class(folder):
    pictures(folder, ("ant",))


def one_deeper(folder):
    pictures(folder / "pets")


def inside_of_a_class(folder):
    pictures(folder.parent, (folder.name, "bee"))


def empty_classes(folder):
    pictures(folder, ("ant", "bee"), count=0)


def without_train(folder):
    pictures(folder / "test")


def unlabeled_test(folder):
    pictures(folder / "train")
    pictures(folder / "test", ("",))


def run_files(folder):
    (folder / "runs/0").mkdir(parents=True)
    (folder / "runs/0/log.pt").touch()


def several_tables(folder):
    for name in ("cats.parquet", "dogs.parquet"):
        table(folder / name)


def only_test_table(folder):
    table(folder / "test.parquet")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (no_folders, "has no source.toml and no labeled images: it has 12 images outside of class folders"),
        (one_class, "it has one folder with images, ant. Expected a folder per class"),
        (one_deeper, "Name .*here/pets instead, which has several"),
        (inside_of_a_class, "12 images outside of class folders.*Name .* instead, which has class folders"),
        (empty_classes, "it has no image in ant, bee"),
        (without_train, "has test, but no train; expected both.*Name .*here/test to use these"),
        (unlabeled_test, "test has no folder per class with images, as train has.*Name .*train to do with"),
        (run_files, "has no source.toml and no labeled images: it has no image in runs"),
        (several_tables, r"has 0 train\*.parquet and 0 test\*.parquet \(cats.parquet, dogs.parquet\)"),
        (only_test_table, r"has 0 train\*.parquet and 1 test\*.parquet.*Name one file"),
        (lambda folder: None, "no labeled images: it has nothing to show. Expected a folder per class"),
    ],
)  # fmt: skip
def test_what_is_no_labeled_images_is_refused(tmp_path, make, message):
    folder = tmp_path / "here"
    folder.mkdir()
    make(folder)
    with pytest.raises(SourceError) as error:
        opened(folder)
    assert re.search(message, str(error.value)), error.value
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "nothing",
            "No source is called 'nothing', and no such file exists. Known: digits, .*MNIST.*OWNER/NAME",
        ),
        ("./no/thing", "no such file exists"),
        ("my/source.toml", "no such file exists"),
        ("hub:nothing", "names no dataset of the Hub"),
    ],
)
def test_names_of_nothing_are_refused(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=message):
        open_source(SourceRequest(name))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PK\3\4", b"file_name,label\n"])
def test_broken_table_is_refused(tmp_path, content):
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(KernelExplorerError, match=r"expected a Parquet file|cannot be read as Parquet"):
        counts(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"PK\3\4", "a zip archive"), (png(np.zeros((4, 4, 3), np.uint8)), r"an image \(PNG\)")],
    ids=["archive", "image"],
)
def test_file_that_is_neither_table_nor_description_is_refused(tmp_path, content, what):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(
        SourceError, match=f"x is {what}.*expected a source.toml, a Parquet file, or a folder"
    ):
        opened(tmp_path / "x")


def test_folder_of_a_built_in_name_needs_a_description(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "digits")
    assert open_source(SourceRequest("digits")).images.reader == "digits"
    for name in ("./digits", "digits/"):
        assert open_source(SourceRequest(name)).images.reader == "folder"
    (tmp_path / "digits/source.toml").write_text("[images]\n")
    with pytest.raises(SourceError, match="no section"):
        open_source(SourceRequest("digits"))


def test_offline_nothing_is_asked_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        NotBuilt, match=r"'owner/name' does not exist here\. Nothing of the dataset owner/name"
    ):
        opened("owner/name")
    pictures(tmp_path / "owner/name")
    assert counts("owner/name") == {"train": 22, "test": 2}


@pytest.mark.parametrize(
    ("sizes", "side"),
    [
        ([(96, 40)], (40, 96)),
        ([(97, 97)], (64, 64)),
        ([(8, 8), (9, 8)], (32, 32)),
        ([(100, 80), (63, 200)], (32, 32)),
        ([(100, 80), (63, 200), (64, 64)], (64, 64)),
        ([(300, 200)], (64, 64)),
    ],
)
@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
def test_size_is_chosen_from_all_images(tmp_path, sizes, side, ending):
    for i, size in enumerate(sizes):
        pictures(tmp_path, (f"c{i}", f"d{i}"), 12, size, ending)
    read = images.load_splits(opened(tmp_path).images)
    assert {of.images.shape[1:3] for of in read.values()} == {side}


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
def test_sizes_are_those_of_images_that_stand_upright(tmp_path, ending):
    pictures(tmp_path, ("ant", "bee"), 12, (40, 20), ending)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    for path in (tmp_path / "bee").iterdir():
        Image.new("RGB", (20, 40)).save(path, exif=exif)
    assert {of.images.shape[1:3] for of in images.load_splits(opened(tmp_path).images).values()} == {(20, 40)}


def test_image_that_is_none_is_found_before_any_is_decoded(tmp_path, monkeypatch):
    pictures(tmp_path)
    (tmp_path / "bee/9.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    monkeypatch.setattr(images, "decode_blocks", None)
    with pytest.raises(KernelExplorerError, match=r"bee/9.png cannot be read as an image"):
        counts(tmp_path)


def one_class_in_both(folder):
    pictures(folder / "train", ("ant",))
    pictures(folder / "test", ("ant",), 3)


def class_without_training_images(folder):
    pictures(folder / "train", ("ant", "bee"))
    pictures(folder / "test", ("ant", "bee"), 3)
    for path in (folder / "train/bee").iterdir():
        path.unlink()


def two_to_train_on(folder):
    pictures(folder / "train", count=1)
    pictures(folder / "test", ("ant",), 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (one_class, "has one folder with images, ant"),
        (one_class_in_both, "There is only one class, ant; a classifier needs 2 or more"),
        (class_without_training_images, r"1 of 2 classes have no training examples \(bee\)"),
        (two_to_train_on, "There are 2 training images of 2 classes; expected 10 or more"),
        (lambda folder: pictures(folder, count=1), "has 2 examples and no test split; expected 20 or more"),
        (lambda folder: table(folder / "x.parquet", 3), "has 3 examples and no test split"),
        (lambda folder: (folder / "x.parquet").write_text("x"), "is plain text; expected a Parquet file"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_before_it_is_decoded(
    tmp_path, cache, monkeypatch, make, message
):
    from kernel_core.pipeline import build

    folder = tmp_path / "here"
    folder.mkdir()
    make(folder)
    monkeypatch.setattr(images, "load_splits", None)
    with pytest.raises(KernelExplorerError, match=message):
        build(SourceRequest(str(folder)))
    asked = CliRunner().invoke(cli, ["check", str(folder)])
    assert asked.exit_code == 1
    (problem,) = (line for line in asked.stdout.splitlines() if line.startswith("problem: "))
    assert re.search(message, problem)
