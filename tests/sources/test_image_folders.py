"""Folders are read in the order of torchvision's ImageFolder, and what is passed over is counted."""

import os

import numpy as np
import pytest
from PIL import Image

from kernel_core.errors import DataError
from kernel_core.sources import folder_listing, images
from kernel_core.sources.source import ImagesFrom
from tests.support import forked
from tests.support.planted import write_log


def plant(root, *names):
    """Write a 4×4 PNG of its own gray under each name; return the folder."""
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if not name.endswith("/.keep"):
            with open(root / name, "wb") as file:
                Image.new("RGB", (4, 4), (i, i, i)).save(file, "PNG")
    return root


def source(root, **options):
    return ImagesFrom("folder", {"folder": root}, **options)


ODD = (
    "ant/10.png", "ant/9.png", "ant/B.PNG", "ant/b.png", "ant/a b.jpg", "ant/x.tar.png", "ant/sub/0.png",
    "ant/sub-1/0.png", "ant/sub/deep/0.webp", "ant/sub1/é.png", "Bee/1.JPEG", "10/x.pgm", "9/x.tiff",
    "a.png/x.bmp", "猫/0.ppm", "z  <b>&/0.tif", "_/0.png", "[x]/*.png",
)  # fmt: skip
PASSED = ("ant/spinner.gif", "ant/x.jfif", "ant/notes.txt", "Bee/png")


def test_images_are_those_of_torchvision_in_its_order(tmp_path):
    from torchvision.datasets import ImageFolder
    from torchvision.datasets.folder import IMG_EXTENSIONS

    assert set(folder_listing.ENDINGS) == set(IMG_EXTENSIONS)
    for split in ("train", "test"):
        plant(tmp_path / split, *ODD, *PASSED)
        os.symlink(tmp_path / split / "10", tmp_path / split / "linked")
    theirs = ImageFolder(tmp_path / "test")
    ours = images.load_examples(source(tmp_path), "test")
    assert ours.class_names == tuple(theirs.classes)
    assert ours.labels.tolist() == theirs.targets
    np.testing.assert_array_equal(ours.images, [np.asarray(image) for image, _ in theirs])
    names = [os.path.relpath(path, tmp_path / "test") for path, _ in theirs.samples]
    assert images.example_names(source(tmp_path), "test") == names


def test_what_is_passed_over_is_named_by_reason(tmp_path):
    for split in ("train", "test"):
        plant(tmp_path / split, "ant/0.png", "ant/more/1.png", "bee/0.png")
    plant(
        tmp_path / "train", "ant/._0.png", "bee/.cache/0.png", ".DS_Store", "bee/a.gif", "loose.png", "a.txt"
    )
    (tmp_path / "train/__MACOSX").mkdir()
    (tmp_path / "test/__MACOSX/x").mkdir(parents=True)
    (tmp_path / "train/cow").mkdir()
    plant(tmp_path / "train", "dog/0.png")
    train, test = images.image_inventories(source(tmp_path)).values()
    assert dict(train.classes) == {"ant": 2, "bee": 1, "dog": 1}
    assert train.line == (
        "train: 4 images in 3 classes; 1 image in nested folders; passed over: 3 files with a leading dot "
        "(.DS_Store, ant/._0.png, bee/.cache), 2 class folders without images (__MACOSX, cow), 2 files of "
        "other endings (a.txt, bee/a.gif), 1 image outside of a class folder (loose.png)"
    )
    assert test.line == (
        "test: 3 images in 3 classes; 1 image in nested folders; no images of dog; passed over: 1 class "
        "folder without images (__MACOSX)"
    )
    assert len(images.load_examples(source(tmp_path), "train")) == 4
    assert images.load_examples(source(tmp_path), "test").class_names == ("ant", "bee", "dog")


def test_class_of_the_test_split_alone_is_a_class_if_train_has_its_folder(tmp_path):
    plant(tmp_path / "train", "bee/0.png", "ant/.keep")
    plant(tmp_path / "test", "bee/0.png", "ant/0.png")
    assert images.load_examples(source(tmp_path), "test").labels.tolist() == [0, 1]
    (tmp_path / "test/ant").rename(tmp_path / "test/ANT")
    with pytest.raises(DataError, match=r"test has the class folder 'ANT', but .*train has 'ant'; expected"):
        images.load_examples(source(tmp_path), "test")


def test_links_in_a_circle_are_passed_over(tmp_path):
    plant(tmp_path / "train", "ant/0.png", "ant/b/1.png")
    os.symlink(tmp_path / "train/ant", tmp_path / "train/ant/b/up")
    os.symlink(tmp_path, tmp_path / "train/ant/b/root")
    os.symlink(tmp_path / "nowhere", tmp_path / "train/ant/gone")
    plant(tmp_path / "test", "ant/0.png")
    inventory = images.image_inventories(source(tmp_path))["train"]
    assert inventory.total == 2
    assert "2 links to folders that hold them (ant/b/up, ant/b/root)" in inventory.line
    assert "1 file of another ending (ant/gone)" in inventory.line


def test_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    for split in ("train", "test"):
        plant(tmp_path / split, "ant/0.png", "ant/b/1.png")
    real = os.scandir

    def refusing(path):
        if str(path).endswith("train/ant/b"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(folder_listing.os, "scandir", refusing)
    found = images.image_inventories(source(tmp_path))["train"]
    assert found.line == "train: 1 image in 1 class; passed over: 1 folder that cannot be read (ant/b)"


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (
            ("train", "val"),
            r'has the folders train, val; expected train and test.*\{train = "train", test = "v',
        ),
        (("Training", "Test"), r'splits = \{train = "Training", test = "Test"\}'),
        (("ant", "bee"), r"has the folders ant, bee; .*name the folders in \[images\], as in splits"),
        (("train",), r'has the folders train; .*splits = \{train = "train", test = "…"\}'),
    ],
)
def test_missing_split_says_what_there_is(tmp_path, folders, message):
    plant(tmp_path, *(f"{name}/ant/0.png" for name in folders))
    with pytest.raises(DataError, match=message):
        images.image_units(source(tmp_path))
    with pytest.raises(DataError, match="has no folders and 1 images"):
        images.image_units(source(plant(tmp_path / "flat", "0.png")))


def test_folder_inside_that_has_the_splits_is_named(tmp_path):
    plant(tmp_path, "data/train/ant/0.png", "data/test/ant/0.png")
    with pytest.raises(DataError, match=r"has the folders data; .* Name .*/data instead, which has them"):
        images.image_units(source(tmp_path))


def test_splits_may_have_other_names_of_folders(tmp_path):
    plant(tmp_path, "train/ant/0.png", "val/ant/0.png", "val/ant/1.png")
    named = source(tmp_path, split_names={"test": "val"})
    assert len(images.load_examples(named, "test")) == 2
    assert list(images.image_units(named)) == ["train/ant", "test/ant"]


def test_classes_are_in_the_order_that_was_asked_for(tmp_path):
    for split in ("train", "test"):
        plant(tmp_path / split, *(f"{i}/0.png" for i in range(12)))
    assert images.load_examples(source(tmp_path), "test").class_names[:3] == ("0", "1", "10")
    numeric = images.load_examples(source(tmp_path, classes="numeric"), "test")
    assert numeric.class_names == tuple(map(str, range(12)))
    # Examples stay in the order of the folders' names as text; only their numbers change.
    assert numeric.labels.tolist() == [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]
    more = tuple(map(str, range(13)))
    assert images.load_examples(source(tmp_path, classes=more), "test").labels.max() == 11
    assert images.image_inventories(source(tmp_path, classes=more))["test"].classes["12"] == 0
    with pytest.raises(DataError, match=r"lacks \['11'\] of the 12 classes"):
        images.load_examples(source(tmp_path, classes=more[:11]), "test")
    for split in ("train", "test"):
        plant(tmp_path / split, "x/0.png")
    with pytest.raises(DataError, match="expects class names that are whole numbers; found 'x'"):
        images.load_examples(source(tmp_path, classes="numeric"), "test")


def test_flat_images_have_their_labels_in_a_table(tmp_path):
    for split in ("train", "test"):
        plant(tmp_path / split, "b.png", "a.png", "c/d.png", "e.png")
        (tmp_path / split / "c/d.png").unlink()
    with pytest.raises(DataError, match="has 3 images but none in a class folder; expected train/<class>"):
        images.image_units(source(tmp_path))
    (tmp_path / "train/metadata.csv").write_text("file_name,label\nb.png,dog\na.png,cat\n", "utf-8-sig")
    (tmp_path / "test/metadata.csv").write_text("file_name,label\na.png,dog\n")
    train = images.load_examples(source(tmp_path), "train")
    assert (train.class_names, train.labels.tolist()) == (("cat", "dog"), [1, 0])
    assert train.images[:, 0, 0, 0].tolist() == [0, 1]
    assert images.load_examples(source(tmp_path), "test").labels.tolist() == [1]
    assert images.example_names(source(tmp_path), "train") == ["b.png", "a.png"]
    assert (
        "1 image that metadata.csv does not list (e.png)"
        in images.image_inventories(source(tmp_path))["train"].line
    )
    assert set(images.image_units(source(tmp_path))) == {
        "train/metadata.csv", "train", "test/metadata.csv", "test",
    }  # fmt: skip


def test_table_s_columns_can_be_said(tmp_path):
    for split in ("train", "test"):
        plant(tmp_path / split, "all/0.png", "all/1.png")
        (tmp_path / split / "metadata.csv").write_text("f,fine,none\nall/1.png,3,-1\nall/0.png,1,-1\n")
    negative = source(tmp_path, columns={"image": "f", "label": "none"})
    with pytest.raises(DataError, match="has label -1, and 2 example"):
        images.image_inventories(negative)
    said = source(tmp_path, columns={"image": "f", "label": "fine"})
    assert images.load_examples(said, "test").labels.tolist() == [3, 1]
    with pytest.raises(
        DataError, match=r"has the columns \['f', 'fine', 'none'\]; expected file_name and label"
    ):
        images.load_examples(source(tmp_path, columns={"label": "nope"}), "test")
    (tmp_path / "test/metadata.csv").unlink()
    with pytest.raises(DataError, match=r"label under .* name columns of .*, but .*test has none"):
        images.load_examples(source(tmp_path, columns={"label": "nope"}), "train")


def test_lengths_that_disagree_are_said_with_what_was_passed_over(tmp_path, planted):
    for split in ("train", "test"):
        plant(tmp_path / "images" / split, *(f"{name}/{i}.png" for name in "abcde" for i in range(3)))
    plant(tmp_path / "images/train", "a/0.gif", "a/b/9.png")
    write_log(tmp_path / "log.pt", planted.test[:, :15], planted.train[:, :15])
    (tmp_path / "source.toml").write_text('[images]\nfolder = "images"\n[ensemble]\nfiles = "log.pt"\n')
    done = forked.cli("build", tmp_path, env={**os.environ, "KERNEL_EXPLORER_CACHE": str(tmp_path / "cache")})
    assert done.returncode == 1
    printed = done.stderr.splitlines()
    remarks = "1 image in nested folders; passed over: 1 file of another ending (a/0.gif)"
    assert f"train: 16 images in 5 classes; {remarks}" in printed
    assert "test: 15 images in 5 classes" in printed
    assert f"of 15 examples, but there are 16 train images ({remarks}); expected one row" in printed[-1]
