"""Labels without images: every form of file gives the same labels, and what is wrong is said."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from kernel_core.errors import DataError, SourceError
from kernel_core.sources.images import image_units, load_examples
from kernel_core.sources.source import ImagesFrom
from kernel_core.sources.source_toml import read_source_file
from kernel_core.sources.toml_file import quoted

RNG = np.random.default_rng(0)
TRAIN, TEST = RNG.integers(0, 3, 20), RNG.integers(0, 3, 8)
BOTH = {"train": TRAIN, "test": TEST}
WORDS = np.array(["elk", "ant", "bee"])
NAMES = ("elk", "ant", "bee")


def table(labels=BOTH, name=None):
    rows = [(split, label) for split, of in labels.items() for label in of.tolist()]
    made = pd.DataFrame(rows, columns=["split", "label"])
    return made if name is None else made.assign(name=[name(label) for label in made["label"]])


def write(path, labels=BOTH):
    """Write labels of both splits in the form that the ending says; return how a source names the file."""
    if path.suffix == ".npz":
        np.savez(path, **labels)
    elif path.suffix == ".safetensors":
        save_file({split: of for split, of in labels.items() if of.dtype.kind != "U"}, path)
    elif path.suffix == ".parquet":
        table(labels).to_parquet(path)
    else:
        table(labels).to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return {"file": path}


def read(paths, **more):
    source = ImagesFrom("labels", paths, **more)
    return {split: load_examples(source, split) for split in source.splits}


@pytest.mark.parametrize("ending", ["npz", "safetensors", "parquet", "csv", "tsv"])
def test_numbers_are_read_from_any_form(tmp_path, ending):
    found = read(write(tmp_path / f"labels.{ending}"))
    for split, expected in BOTH.items():
        np.testing.assert_array_equal(found[split].labels, expected)
        assert found[split].images.shape == (len(expected), 0, 0, 3)
        assert not found[split].has_images
        assert found[split].class_names == ("0", "1", "2")


@pytest.mark.parametrize("ending", ["npz", "parquet", "csv"])
def test_texts_are_sorted_over_both_splits_or_in_the_order_of_classes(tmp_path, ending):
    texts = {"train": WORDS[TRAIN], "test": np.array(["ant"] * 8)}
    paths = write(tmp_path / f"labels.{ending}", texts)
    found = read(paths)
    assert found["test"].class_names == found["train"].class_names == ("ant", "bee", "elk")
    assert [found["train"].class_names[label] for label in found["train"].labels] == texts["train"].tolist()
    assert set(found["test"].labels.tolist()) == {0}
    np.testing.assert_array_equal(read(paths, classes=NAMES)["train"].labels, TRAIN)


def test_texts_that_are_numbers_are_numbers(tmp_path):
    labels = np.arange(12)
    np.savez(tmp_path / "labels.npz", train=labels.astype(str), test=labels.astype("S"))
    found = read({"file": tmp_path / "labels.npz"})  # sorted as texts, 10 would come before 2
    np.testing.assert_array_equal(found["train"].labels, labels)
    np.testing.assert_array_equal(found["test"].labels, labels)


def test_a_file_per_split_may_have_any_shape_of_whole_numbers(tmp_path):
    np.save(tmp_path / "a.npy", TRAIN[:, None].astype(np.float32))  # as Keras and MATLAB give them
    np.savez(tmp_path / "b.npz", y=TEST.astype(np.uint8))
    paths = {"train": tmp_path / "a.npy", "test": tmp_path / "b.npz"}
    found = read(paths)
    np.testing.assert_array_equal(found["train"].labels, TRAIN)
    np.testing.assert_array_equal(found["test"].labels, TEST)
    assert found["train"].labels.dtype == np.int64
    assert list(image_units(ImagesFrom("labels", paths))) == ["train.npy", "test.npz"]


@pytest.mark.parametrize("ending", ["npy", "csv"])
def test_test_labels_alone_need_no_name_of_a_split(tmp_path, ending):
    path = tmp_path / f"labels.{ending}"
    if ending == "npy":
        np.save(path, TEST)
    else:
        pd.DataFrame({"label": TEST}).to_csv(path, index=False)
    found = read({"file": path}, splits=("test",))
    assert list(found) == ["test"]
    np.testing.assert_array_equal(found["test"].labels, TEST)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_column_of_names_names_the_classes(tmp_path, ending):
    made, path = table(name=lambda label: NAMES[label]), tmp_path / f"labels.{ending}"
    made.to_csv(path, index=False) if ending == "csv" else made.to_parquet(path)
    found = read({"file": path})
    assert found["test"].class_names == NAMES
    np.testing.assert_array_equal(found["train"].labels, TRAIN)


def test_the_key_of_both_splits_differs_from_that_of_one(tmp_path):
    paths = write(tmp_path / "labels.npz")
    whole, alone = (ImagesFrom("labels", paths, splits=splits) for splits in (("train", "test"), ("test",)))
    assert set(image_units(whole)) != set(image_units(alone))


def saved(path, array):
    np.save(path, array)
    return {"file": path}


WRONG = [
    (lambda path: saved(path / "a.npy", TRAIN), "holds one array without a name; expected one called train"),
    (lambda path: saved(path / "a.npz", TRAIN) and write(path / "a.npz", {"train": TRAIN}), "holds .'train'"),
    (lambda path: write(path / "a.npz", {"train": TRAIN + 0.5, "test": TEST}), "float64 .20,.; expected lab"),
    (lambda path: write(path / "a.npz", {"train": TRAIN - 1, "test": TEST}), "has label -1"),
    (lambda path: write(path / "a.npz", {"train": np.eye(3)[TRAIN], "test": TEST}), r"\(20, 3\); expected"),
    (lambda path: write(path / "a.npz", {"train": TRAIN[:0], "test": TEST}), "at least one"),
    (lambda path: write(path / "a.csv", {"train": TRAIN}), "the column split has .'train'.; expected 'test'"),
    (lambda path: {"file": path / "none.npz"}, "none.npz"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_is_wrong_is_said(tmp_path, make, message):
    with pytest.raises(DataError, match=message):
        read(make(tmp_path))


@pytest.mark.parametrize("pattern", ["{}_labels", "labels_{}", "y_{}"])
def test_arrays_may_have_the_names_of_data_sets(tmp_path, pattern):
    images = {f"x_{split}": np.zeros((len(of), 2, 2), np.uint8) for split, of in BOTH.items()}
    np.savez(tmp_path / "a.npz", **images, **{pattern.format(split): of for split, of in BOTH.items()})
    np.testing.assert_array_equal(read({"file": tmp_path / "a.npz"})["train"].labels, TRAIN)


@pytest.mark.parametrize("separator", [",", ";", "\t", ", "])
def test_csv_may_have_any_usual_separator_and_capitals(tmp_path, separator):
    rows = [(split.capitalize(), str(label)) for split, of in BOTH.items() for label in of.tolist()]
    lines = [separator.join(row) for row in [("split", "label"), *rows]]
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    np.testing.assert_array_equal(read({"file": tmp_path / "a.csv"})["test"].labels, TEST)


def test_numbers_with_a_point_are_no_texts(tmp_path):
    labels = np.arange(12)
    pd.DataFrame({"label": labels.astype(float)}).to_csv(tmp_path / "a.csv", index=False)
    found = read({"file": tmp_path / "a.csv"}, splits=("test",))["test"]  # as texts, 10.0 is before 2.0
    np.testing.assert_array_equal(found.labels, labels)
    assert found.class_names[10] == "10"


@pytest.mark.parametrize("end", ["", "\n"])
def test_lines_of_text_are_labels(tmp_path, end):
    paths = {}
    for split, of in BOTH.items():
        paths[split] = tmp_path / f"{split}.txt"
        paths[split].write_text("\r\n".join(WORDS[of]) + end)
    found = read(paths, classes=NAMES)
    np.testing.assert_array_equal(found["train"].labels, TRAIN)
    np.testing.assert_array_equal(found["test"].labels, TEST)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1, None], "1 of 2 labels are missing"),
        (["a", ""], "1 of 2 labels are empty"),
        ([[1], [2]], "holds ndarray"),
    ],
)
def test_columns_with_gaps_or_lists_are_refused(tmp_path, labels, message):
    pd.DataFrame({"split": "test", "label": labels}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=message):
        read({"file": tmp_path / "a.parquet"}, splits=("test",))


def test_columns_of_bytes_and_categories_are_texts(tmp_path):
    for column in ([word.encode() for word in WORDS], pd.Categorical(WORDS)):
        pd.DataFrame({"split": "test", "label": column}).to_parquet(tmp_path / "a.parquet")
        found = read({"file": tmp_path / "a.parquet"}, splits=("test",))["test"]
        assert [found.class_names[label] for label in found.labels] == WORDS.tolist()


def test_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", train=np.array(["a", 3], object), test=TEST)
    with pytest.raises(DataError, match="objects"):
        read({"file": tmp_path / "a.npz"})


def test_tables_without_the_columns_are_refused(tmp_path):
    for name in ("a.csv", "a.parquet"):
        path = tmp_path / name
        made = table().rename(columns={"label": "target"})
        made.to_csv(path, index=False) if path.suffix == ".csv" else made.to_parquet(path)
        with pytest.raises(DataError, match=r"has the columns .*target.*expected label and split"):
            read({"file": path})
    (tmp_path / "b.csv").write_text('split,label\ntrain,"0\ntest,1')
    with pytest.raises(DataError, match="cannot be read as a table"):
        read({"file": tmp_path / "b.csv"})


def test_a_class_with_two_names_is_refused(tmp_path):
    table(name=str).assign(name="x" + pd.Series(range(28)).astype(str)).to_csv(tmp_path / "a.csv")
    with pytest.raises(DataError, match="the column name calls class"):
        read({"file": tmp_path / "a.csv"})


def test_a_text_that_the_classes_lack_is_refused(tmp_path):
    paths = write(tmp_path / "a.npz", {"train": WORDS[TRAIN], "test": np.array(["yak"])})
    with pytest.raises(DataError, match=r"classes in source.toml lacks \['yak'\]"):
        read(paths, classes=NAMES)


def source(folder, section):
    (folder / "log.pt").touch()
    (folder / "source.toml").write_text(f"{section}\n[ensemble]\nfiles = ['log.pt']")
    return folder / "source.toml"


def test_the_section_labels_takes_the_place_of_images(tmp_path):
    path = source(tmp_path, f'[labels]\nfile = "a.npz"\nclasses = {json.dumps(NAMES)}')
    found = read_source_file(path).images
    assert found == ImagesFrom("labels", {"file": tmp_path / "a.npz"}, classes=NAMES)
    assert not found.has_images


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("[labels]", "names no labels"),
        ("[labels]\nfile='a'\ntest='b'", "names both a file and files by split"),
        ("[labels]\ntest='b'", "train is None"),
        ("[labels]\nfile='a'\nclasses=['b', 'b']", "'b' twice"),
        ("[labels]\nfile='a'\nclasses=[1]", "a list"),
        ("[labels]\nfile='a'\nsize=3", r"\[labels\] has the key 'size'"),
        ("[labels]\nfile='a'\n[images]\nfolder='b'", "both"),
        ("name='a'", r"no section \[images\]; expected \[images\] or \[labels\]"),
    ],
)
def test_a_malformed_section_is_refused(tmp_path, section, message):
    with pytest.raises(SourceError, match=message):
        read_source_file(source(tmp_path, section))


def test_lists_of_texts_are_written_as_toml_reads_them():
    assert quoted('a"\x7f') == '"a\\"\\u007f"'
