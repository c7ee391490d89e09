"""Images decoded in blocks and in threads are those decoded one by one, in order; errors name the first."""

import io
import pickle
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from kernel_core.errors import DataError
from kernel_core.progress import no_progress
from kernel_core.sources import decode, decode_blocks, images
from kernel_core.sources.decode import decode_image
from kernel_core.sources.image_ranges import image_ranges, why_no_ranges
from kernel_core.sources.source import ImagesFrom

RNG = np.random.default_rng(0)


def encoded(side=(40, 30), form="JPEG"):
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (*side, 3), np.uint8)).save(buffer, form)
    return buffer.getvalue()


def cells(count, **kind):
    return [(f"{i}.jpg", encoded(**kind)) for i in range(count)]


def decoded(of, size=None, threads=None):
    return decode_blocks.decode_blocks(of, len(of), "reading", size, no_progress, threads=threads)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(decode_blocks, "BLOCK", 3)


@pytest.mark.parametrize("size", [None, 16])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_blocks_hold_what_each_image_is(size, threads):
    some = cells(20)
    blocks = list(decoded(some, size, threads).each)
    assert max(map(len, blocks)) == 3
    expected = [decode_image(data, name, size) for name, data in some]
    np.testing.assert_array_equal(np.concatenate(blocks), expected)


def test_encoded_bytes_end_a_block_too(monkeypatch):
    monkeypatch.setattr(decode_blocks, "BLOCK_BYTES", 4_000)
    some = cells(6, side=(200, 150))
    assert [len(block) for block in decoded(some, 8).each] == [1] * 6


@pytest.mark.parametrize("threads", [1, 4])
def test_first_image_that_fails_is_named(threads):
    some = cells(30)
    some[11] = ("broken.jpg", some[11][1][:-60])
    some[13] = ("other.jpg", encoded((9, 9)))
    with pytest.raises(DataError, match=r"broken\.jpg cannot be read as an image"):
        list(decoded(some, threads=threads).each)
    with pytest.raises(DataError, match=r"other\.jpg is 9×9 pixels, the images before it 30×40"):
        list(decoded(some[12:], threads=threads).each)


def test_threads_neither_warn_nor_forget_how_to(monkeypatch):
    """Pillow warns of odd metadata, in whichever thread; the filters are as before in the end."""
    resized = decode.resized

    def warning(image, size):
        warnings.warn("odd metadata", stacklevel=1)
        return resized(image, size)

    monkeypatch.setattr(decode, "resized", warning)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        filters = list(warnings.filters)
        list(decoded(cells(40), threads=4).each)
        assert warnings.filters == filters
    assert not warned


def test_many_images_become_a_map_of_a_file_without_a_name(monkeypatch, tmp_path):
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", str(tmp_path))
    some = cells(8)
    expected = decode_blocks.gathered(decoded(some))
    monkeypatch.setattr(decode_blocks, "HELD", 1_000)
    mapped = decode_blocks.gathered(decoded(some))
    assert isinstance(mapped, np.memmap)
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(mapped, expected)


def sources(folder):
    """The same 50 images of 5 classes: a folder, one file of Parquet in groups, shards, and a part of it."""
    some, labels = cells(50, form="PNG"), np.sort(np.arange(50) % 5)
    for (name, data), label in zip(some, labels, strict=True):
        path = folder / "folder/train" / f"c{label}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    by_class = [some[i] for i in np.lexsort((np.array([name for name, _ in some]), labels))]
    table = pa.table({"img": [data for _, data in by_class], "label": labels})
    pq.write_table(table, folder / "whole.parquet", row_group_size=7)
    for number, start in enumerate(range(0, 50, 20)):
        pq.write_table(table[start : start + 20], folder / f"{number}.parquet", row_group_size=6)
    shards = tuple(folder / f"{number}.parquet" for number in range(3))
    whole = {"train": (folder / "whole.parquet",)}
    return {
        "folder": ImagesFrom("folder", {"folder": folder / "folder"}, splits=("train",)),
        "parquet": ImagesFrom("parquet", splits=("train",), shards=whole),
        "shards": ImagesFrom("parquet", splits=("train",), shards={"train": shards}),
        "part": ImagesFrom("parquet", shards=whole, held_out=0.2, size=8),
    }


@pytest.mark.parametrize("most", [1, 7, 100])
@pytest.mark.parametrize("kind", ["folder", "parquet", "shards", "part"])
def test_ranges_hold_the_images_of_the_whole(tmp_path, kind, most):
    """Each is decoded from its bytes, as another process would."""
    source = sources(tmp_path)[kind]
    for split in source.splits:
        assert why_no_ranges(source, split) == ""
        whole = images.load_examples(source, split).images
        ranges = image_ranges(source, split, whole.shape, most)
        assert [part.first for part in ranges] == list(range(0, len(whole), most))
        parts = [pickle.loads(pickle.dumps(part)).decoded() for part in ranges]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_range_names_the_files_that_it_reads(tmp_path):
    by_kind = sources(tmp_path)

    def names(kind):
        return [[path.name for path in part.part.files] for part in ranges_of(by_kind[kind], 20)]

    assert names("shards") == [["0.parquet"], ["1.parquet"], ["2.parquet"]]
    assert names("parquet") == [["whole.parquet"]] * 3
    assert list(map(len, names("folder"))) == [20, 20, 10]


def ranges_of(source, most):
    return image_ranges(source, "train", images.load_examples(source, "train").images.shape, most)


def test_a_range_of_parquet_reads_no_other_group(tmp_path, monkeypatch):
    part, read = ranges_of(sources(tmp_path)["parquet"], 14)[1], []
    original = pq.ParquetFile.iter_batches

    def noting(self, *args, row_groups=None, **options):
        read.extend(row_groups or ())
        return original(self, *args, row_groups=row_groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noting)
    part.decoded()
    assert sorted(set(read)) == [2, 3]


def test_a_range_of_another_size_than_the_first_image_is_refused(tmp_path):
    source = sources(tmp_path)["folder"]
    part = image_ranges(source, "train", (50, 30, 40, 3), 20)[1]
    with pytest.raises(DataError, match="train image 20 is 30×40 pixels, the images before it 40×30"):
        part.decoded()


def test_why_images_cannot_be_cut_into_ranges_is_said(tmp_path):
    assert "read at once" in why_no_ranges(ImagesFrom("digits"), "train")
    (tmp_path / "0.png").write_bytes(encoded(form="PNG"))
    pq.write_table(pa.table({"img": ["0.png"], "label": [0]}), tmp_path / "named.parquet")
    named = ImagesFrom("parquet", splits=("train",), shards={"train": (tmp_path / "named.parquet",)})
    assert "files of their own" in why_no_ranges(named, "train")
