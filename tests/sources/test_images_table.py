"""[images] of a `source.toml`: what is written is read back, and a wrong key is refused with its place."""

import pytest

from kernel_core.errors import DataError, SourceError
from kernel_core.sources.catalog import find_images
from kernel_core.sources.images_table import images_table
from kernel_core.sources.source import ImagesFrom
from kernel_core.sources.source_toml import read_images_table, write_source_file


@pytest.fixture
def written(tmp_path):
    """Write [images] of these lines, and return the file."""

    def written(*lines):
        path = tmp_path / "source.toml"
        path.write_text("\n".join(["[images]", *lines, ""]))
        return path

    return written


def test_every_key_is_read_and_written_back(tmp_path, written):
    for name in ("a-2", "a-10", "b"):
        (tmp_path / f"{name}.parquet").touch()
    cases = {
        'folder = "x"\nsplits = {test = "val"}\nclasses = ["b", "a é"]\nlabel = "fine"\nsize = 8':
        ImagesFrom(
            "folder", {"folder": tmp_path / "x"}, size=8, split_names={"test": "val"}, classes=("b", "a é"),
            columns={"label": "fine"},
        ),
        'train = "a-*.parquet"\ntest = ["b.parquet"]\nimage = "i"\nclasses = "numeric"':
        ImagesFrom(
            "parquet", shards={"train": (tmp_path / "a-10.parquet", tmp_path / "a-2.parquet"),
                               "test": (tmp_path / "b.parquet",)},
            columns={"image": "i"}, classes="numeric",
        ),
    }  # fmt: skip
    for lines, images in cases.items():
        assert read_images_table(written(*lines.split("\n"))) == images
        path = tmp_path / "written.toml"
        write_source_file(
            path, name=None, images=images_table(images, tmp_path), logits="runs/*.pt", features=None
        )
        assert read_images_table(path) == images


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('train = "a-*.parquet"\ntest = "b"', r"no file matches 'a-\*\.parquet' .* correct \[images\] train"),
        ('train = ["b", "b"]\ntest = "b"', "train names b twice"),
        ('train = "b"\ntest = "b"\nsplits = {test = "val"}', "has splits, which names"),
        ('folder = "x"\nsplits = ["train", "val"]', r'as in splits = \{train = "train", test = "val"\}'),
        ('folder = "x"\nsplits = {dev = "val"}', "the folders' names"),
        ('folder = "x"\nsplits = {train = "a", test = "a"}', "the folders' names"),
        ('folder = "x"\nsplits = {test = "train"}', "the folders' names"),
        ('folder = "x"\nclasses = ["a", "a"]', "names 'a' twice|'a' twice"),
        ('folder = "x"\nclasses = 3', "classes"),
        ('torchvision = "MNIST"\nlabel = "x"', "has 'label', which torchvision lacks"),
        ('folder = "x"\nlabels = "x"', "has the key 'labels'; known: classes"),
    ],
)
def test_wrong_keys_are_refused(written, lines, message):
    with pytest.raises(SourceError, match=message):
        read_images_table(written(*lines.split("\n")))


def test_shards_are_found_by_the_hub_s_names(tmp_path):
    (tmp_path / "data").mkdir()
    names = [f"train-{i:05}-of-00002.parquet" for i in range(2)] + ["test-00000-of-00001.parquet"]
    for name in names:
        (tmp_path / "data" / name).touch()
    shards = {split: tuple(sorted((tmp_path / "data").glob(f"{split}*"))) for split in ("train", "test")}
    assert find_images(".", tmp_path) == ImagesFrom("parquet", shards=shards)
    (tmp_path / "data/train-small.parquet").touch()
    with pytest.raises((SourceError, DataError)):
        find_images(".", tmp_path)
