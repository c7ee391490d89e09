"""Folders of images are read in order; what is not an image is refused."""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from kernel_core.errors import DataError
from kernel_core.progress import no_progress
from kernel_core.sources import images
from kernel_core.sources import parquet as parquet_reader
from kernel_core.sources.decode import decode_image
from kernel_core.sources.decode_blocks import decode_blocks, gathered
from kernel_core.sources.source import ImagesFrom
from tests.support.planted import image_folder, png


def test_image_folder_is_read_in_sorted_order_whatever_the_mode(tmp_path):
    image_folder(tmp_path, {"bee": (6, 4), "ant": (6, 4)})
    Image.new("L", (6, 4), 200).save(tmp_path / "train/ant/0.png")
    Image.new("RGBA", (6, 4), (1, 2, 3, 128)).save(tmp_path / "train/ant/1.png")
    source = ImagesFrom("folder", {"folder": tmp_path})
    train = images.load_examples(source, "train")
    assert train.class_names == ("ant", "bee")
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert train.images.shape == (6, 4, 6, 3)
    assert train.images[0, 0, 0].tolist() == [200, 200, 200]
    assert train.images[5, 0, 0].tolist() == [ord("b"), 20, 80]
    assert len(images.image_units(source)) == 4


def test_image_folders_of_mixed_sizes_are_refused(tmp_path):
    image_folder(tmp_path, {"ant": (6, 4), "bee": (6, 5)})
    with pytest.raises(DataError, match="6×5 pixels, the images before it 6×4"):
        images.load_examples(ImagesFrom("folder", {"folder": tmp_path}), "train")


def test_test_class_unknown_to_train_is_refused(tmp_path):
    image_folder(tmp_path, {"ant": (6, 4)})
    (tmp_path / "test" / "wasp").mkdir()
    Image.new("RGB", (6, 4)).save(tmp_path / "test" / "wasp" / "0.png")
    with pytest.raises(DataError, match="'wasp'"):
        images.load_examples(ImagesFrom("folder", {"folder": tmp_path}), "test")


def test_folder_without_images_is_refused(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="holds no images; expected train/<class>"):
        images.load_examples(ImagesFrom("folder", {"folder": tmp_path}), "train")


def test_class_folder_of_any_name_becomes_a_name_that_can_be_shown(tmp_path):
    image_folder(tmp_path, {"ant": (6, 4)})
    for split in ("train", "test"):
        os.rename(tmp_path / split / "ant", os.fsencode(tmp_path / split) + b"/\xff\x1b[31m\n<b>")
    names = images.load_examples(ImagesFrom("folder", {"folder": tmp_path}), "train").class_names
    assert names == (r"\udcff\x1b[31m\n<b>",)


def test_file_of_a_program_is_no_image(tmp_path):
    """Pillow would hand EPS to Ghostscript, which runs what is in it."""
    with pytest.raises(DataError, match="is a PostScript file; expected an image"):
        decode_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n", "x.png")


def test_images_beyond_the_free_disk_are_refused_before_they_are_decoded():
    rows = (("a.png", png(np.zeros((9, 9, 3), np.uint8))) for _ in range(10**12))
    with pytest.raises(DataError, match=r"1,000,000,000,000 images of 9×9 pixels take 243,000\.0 GB, more"):
        gathered(decode_blocks(rows, 10**12, "reading", None, no_progress))


def parquet(folder, cells, labels, names=None, **options):
    """Write the test split of a source as Parquet, and return the source."""
    features = {"label": {"names": names, "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if names is not None else None
    table = pa.table({"img": cells, "label": labels}).replace_schema_metadata(metadata)
    pq.write_table(table, folder / "test.parquet", **options)
    return ImagesFrom("parquet", shards={"test": (folder / "test.parquet",)}, splits=("test",))


def image_cells(count):
    data = png(np.zeros((4, 4, 3), np.uint8))
    return pa.array([{"bytes": data, "path": None}] * count, CELL)


CELL = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def test_parquet_images_are_read_in_batches_of_any_size(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (150, 4, 4, 3), dtype=np.uint8)
    cells = pa.array([{"bytes": png(image), "path": None} for image in pixels], CELL)
    source = parquet(tmp_path, cells, pa.array(np.arange(150) % 7), row_group_size=40)
    for batch in (1, 64, 1000):
        monkeypatch.setattr(parquet_reader, "BATCH", batch)
        read = images.load_examples(source, "test")
        np.testing.assert_array_equal(read.images, pixels)
        assert read.labels.tolist() == [i % 7 for i in range(150)]
        assert read.class_names == tuple("0123456")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 2 * 10**9, 1], r"test example 1 has label 2000000000; expected 0 … 99,999"),
        ([0, None, 1], "row 1, has no label in 'label'"),
        ([0, float("nan"), 1], "whole-number labels"),
        ([0, 1.5, 1], "row 1, has the label 1.5; expected whole-number labels"),
        ([0, -1, 1], "label -1, and 1 example"),
        ([[0], [1], [2]], "are 'list<"),
        (np.array([2**63 + 1, 0, 1], np.uint64), "whole-number labels"),
    ],
)
def test_parquet_labels_that_number_no_class_are_refused(tmp_path, labels, message):
    source = parquet(tmp_path, image_cells(3), pa.array(labels))
    with pytest.raises(DataError, match=message):
        images.load_examples(source, "test")


@pytest.mark.parametrize("names", ["abc", [["a"], {}, None]])
def test_parquet_names_that_are_no_list_of_texts_are_refused(tmp_path, names):
    source = parquet(tmp_path, image_cells(3), pa.array([0, 1, 2]), names)
    with pytest.raises(DataError, match="expected a list of texts"):
        images.load_examples(source, "test")


def test_parquet_cells_that_burst_are_refused_before_they_are_read(tmp_path):
    zeros = bytes(140_000_000)
    cells = pa.array(
        [{"bytes": zeros, "path": None}] * 2 + [{"bytes": b"x" * i, "path": None} for i in range(9)], CELL
    )
    source = parquet(tmp_path, cells, pa.array([0] * 11), compression="zstd", use_dictionary=False)
    with pytest.raises(DataError, match=r"img\.bytes unpacks from [\d,]+ to 280,"):
        images.load_examples(source, "test")


def test_parquet_of_countless_empty_rows_is_refused_at_the_first(tmp_path):
    count = 2_000_000
    cells = pa.StructArray.from_arrays(
        [pa.nulls(count, pa.binary()), pa.nulls(count, pa.string())], ["bytes", "path"]
    )
    source = parquet(tmp_path, cells, pa.array(np.zeros(count, np.int64)))
    before = pa.total_allocated_bytes()
    with pytest.raises(DataError, match=r"row 0, has no image in it, and no path"):
        images.load_examples(source, "test")
    assert pa.total_allocated_bytes() - before < 5_000_000


def test_decompression_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(DataError, match="too large to be an example"):
        decode_image(png(np.zeros((9, 9, 3), np.uint8)), "x.png")
