"""Parquet files in every form that people have: columns, labels, paths, shards, groups of rows."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kernel_core.errors import DataError
from kernel_core.sources import images
from kernel_core.sources.source import ImagesFrom
from tests.support.planted import png

PNG = [png(np.full((4, 4, 3), 40 * i, np.uint8)) for i in range(3)]
STRUCTS = [{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(PNG)]


def write(folder, table, features=None, name="test"):
    """Write one split; return the source, of the test split alone."""
    table = pa.table(table)
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, folder / f"{name}.parquet")
    return ImagesFrom("parquet", shards={"test": (folder / f"{name}.parquet",)}, splits=("test",))


def struct(data, text):
    return pa.array(STRUCTS, pa.struct([("bytes", data), ("path", text)]))


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("img", struct(pa.binary(), pa.string())),
        ("image", struct(pa.large_binary(), pa.large_string())),
        ("image", pa.array(PNG, pa.binary())),
        ("jpg", pa.array(PNG, pa.large_binary())),
        ("jpg", pa.array(PNG, pa.binary_view())),
        ("jpg", pa.array(PNG).dictionary_encode()),
        ("pixels", pa.array([{"bytes": data} for data in PNG])),
    ],
)
@pytest.mark.parametrize(
    ("label", "values"),
    [
        ("label", pa.array([0, 2, 1], pa.int8())),
        ("labels", pa.array([0, 2, 1], pa.uint64())),
        ("fine_label", pa.array([0.0, 2.0, 1.0])),
        ("cls", pa.array(["ant", "cow", "bee"])),
        ("cls", pa.array(["ant", "cow", "bee"], pa.string_view())),
        ("label", pa.array(["ant", "cow", "bee"]).dictionary_encode()),
    ],
)
def test_columns_are_found_whatever_their_form(tmp_path, name, cells, label, values):
    source = write(tmp_path, {"id": [7, 8, 9], name: cells, label: values})
    read = images.load_examples(source, "test")
    assert read.labels.tolist() == [0, 2, 1]
    assert read.images[:, 0, 0, 0].tolist() == [0, 40, 80]
    is_number = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    assert read.class_names == (("0", "1", "2") if is_number else ("ant", "bee", "cow"))
    assert images.image_inventories(source)["test"].total == 3


def test_features_of_the_hub_say_which_columns_they_are(tmp_path):
    features = {
        "photo": {"_type": "Image"},
        "kind": {"_type": "ClassLabel", "names": ["ant", "bee", "cow"]},
        "label": {"_type": "Value"},
    }
    table = {"thumbnail": PNG, "photo": STRUCTS, "kind": [2, 1, 0]}
    read = images.load_examples(write(tmp_path, table, features), "test")
    assert (read.class_names, read.labels.tolist()) == (("ant", "bee", "cow"), [2, 1, 0])


@pytest.mark.parametrize(
    ("table", "columns", "message"),
    [
        (
            {"a": PNG, "b": PNG, "label": [0, 1, 2]},
            {},
            r"2 that may be it \('a', 'b'\);.*as in image = \"a\"",
        ),
        ({"img": PNG, "fine_label": [0, 1, 2], "coarse_label": [0, 0, 0]}, {}, 'as in label = "fine_label"'),
        ({"img": PNG, "y": [0, 1, 2]}, {}, r"no column for it; expected.*as in label ="),
        ({"img": PNG, "label": [0, 1, 2]}, {"label": "nope"}, "no column of this name"),
        ({"image": [[1, 2], [3], [4]], "label": [0, 1, 2]}, {}, "column 'image' is 'list<"),
        ({"image": [1, 2, 3], "label": [0, 1, 2]}, {}, "column 'image' is 'int64'; expected a struct"),
    ],
)
def test_columns_that_are_not_clear_are_named(tmp_path, table, columns, message):
    source = write(tmp_path, table)
    source = ImagesFrom("parquet", shards=source.shards, splits=("test",), columns=columns)
    with pytest.raises(DataError, match=message):
        images.load_examples(source, "test")


def test_column_that_was_said_is_read(tmp_path):
    table = {"a": PNG[::-1], "b": PNG, "fine_label": [0, 1, 2], "coarse_label": [0, 0, 1]}
    shards = write(tmp_path, table).shards
    said = ImagesFrom(
        "parquet", shards=shards, splits=("test",), columns={"image": "b", "label": "coarse_label"}
    )
    read = images.load_examples(said, "test")
    assert (read.labels.tolist(), read.images[:, 0, 0, 0].tolist()) == ([0, 0, 1], [0, 40, 80])


def test_texts_of_all_splits_are_the_classes(tmp_path):
    for name, labels in (("train", ["cow", "ant", "ant"]), ("test", ["bee", "cow", "cow"])):
        write(tmp_path, {"img": PNG, "label": labels}, name=name)
    source = ImagesFrom("parquet", shards={s: (tmp_path / f"{s}.parquet",) for s in ("train", "test")})
    train, test = (images.load_examples(source, split) for split in ("train", "test"))
    assert train.class_names == test.class_names == ("ant", "bee", "cow")
    assert (train.labels.tolist(), test.labels.tolist()) == ([2, 0, 0], [1, 2, 2])


def test_shards_follow_one_another(tmp_path):
    files = []
    for name in ("test-0", "test-1"):
        files += write(tmp_path, {"img": PNG, "label": [0, 1, 2]}, name=name).shards["test"]
    source = ImagesFrom("parquet", shards={"test": tuple(files)}, splits=("test",))
    assert images.load_examples(source, "test").labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert images.image_units(source) == {"test.parquet": files}


@pytest.mark.parametrize("form", ["null bytes", "no bytes", "texts", "some bytes"])
def test_images_in_files_of_their_own_are_read_and_hashed(tmp_path, form):
    (tmp_path / "files").mkdir()
    paths = [f"files/{i}.png" for i in range(3)]
    for path, data in zip(paths, PNG, strict=True):
        (tmp_path / path).write_bytes(data)
    inside = [PNG[0] if form == "some bytes" else None, None, None]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = {
        "texts": pa.array(paths),
        "no bytes": pa.array([{"path": path} for path in paths]),
    }.get(form, pa.array([{"bytes": b, "path": p} for b, p in zip(inside, paths, strict=True)], kind))
    source = write(tmp_path, {"image": cells, "label": [0, 1, 2]})
    assert images.load_examples(source, "test").images[:, 0, 0, 0].tolist() == [0, 40, 80]
    named = [tmp_path / path for path in paths]
    assert images.image_units(source)["test images"] == (named[1:] if form == "some bytes" else named)
    assert images.example_names(source, "test") == paths
    (tmp_path / paths[1]).unlink()
    with pytest.raises(
        DataError, match=r"row 1, has no image in it, but the path 'files/1.png'.*push_to_hub"
    ):
        images.load_examples(source, "test")


def test_groups_of_large_rows_are_read_in_batches_of_bounded_size(tmp_path):
    rng = np.random.default_rng(0)
    cells = [data + rng.bytes(30_000_000) for data in PNG]
    source = write(tmp_path, {"img": pa.array(cells, pa.large_binary()), "label": [0, 1, 2]})
    before = pa.default_memory_pool().max_memory()
    assert images.load_examples(source, "test").images[:, 0, 0, 0].tolist() == [0, 40, 80]
    assert pa.default_memory_pool().max_memory() - before < 200_000_000


def test_wrong_labels_and_no_rows_are_said_before_images_are_read(tmp_path):
    source = write(tmp_path, {"img": PNG, "label": [0, -1, 1]})
    with pytest.raises(DataError, match=r"test example 1 has label -1.*means that there is no label, leave"):
        images.image_inventories(source)
    source = write(tmp_path, {"img": pa.array([], pa.binary()), "label": pa.array([], pa.int64())})
    with pytest.raises(DataError, match=r"test.parquet has no rows; expected one per test image"):
        images.image_inventories(source)


def test_classes_of_equal_names_are_counted_each(tmp_path):
    features = {"label": {"_type": "ClassLabel", "names": ["crane", "maillot", "crane"]}}
    source = write(tmp_path, {"img": PNG, "label": [0, 2, 2]}, features)
    assert images.image_inventories(source)["test"].classes == {"crane": 1, "maillot": 0, "crane (2)": 2}


def test_dataset_of_the_hub_names_no_file_of_this_machine(tmp_path):
    (tmp_path / "private.png").write_bytes(PNG[0])
    cells = pa.array([{"bytes": None, "path": str(tmp_path / "private.png")}])
    source = write(tmp_path, {"image": cells, "label": [0]})
    assert len(images.load_examples(source, "test")) == 1
    with pytest.raises(DataError, match="has paths of images, but not the images; expected them inside"):
        images.load_examples(replace(source, hub={"hub": "owner/name"}), "test")


def test_more_classes_than_any_data_set_has_are_refused(tmp_path):
    features = {"label": {"_type": "ClassLabel", "names": list(map(str, range(100_001)))}}
    with pytest.raises(DataError, match="names 100,001 classes; expected at most 100,000"):
        images.load_examples(write(tmp_path, {"img": PNG, "label": [0, 1, 2]}, features), "test")
