"""Images and labels as Parquet files in the form of the Hub's datasets: read and written.

Images are a struct of `bytes` and `path`, bytes, or paths of files; labels whole numbers or texts. The
schema's metadata may name the classes.
"""

from __future__ import annotations

import bisect
import functools
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from kernel_core.class_labels import numbered_classes, refuse_wrong_labels
from kernel_core.errors import DataError, shown
from kernel_core.files import regular_file, writing
from kernel_core.looks_like import foreign
from kernel_core.records import ExampleSet
from kernel_core.sources.class_order import number_texts
from kernel_core.sources.decode import Pixels
from kernel_core.sources.inventory import Inventory, count_classes
from kernel_core.sources.parquet_columns import METADATA, Columns, find_columns, read_labels
from kernel_core.sources.part import Part
from kernel_core.sources.source import ImagesFrom, existing
from kernel_core.spec import Split

ROW_GROUP = 1000  # images
BATCH = 8  # rows; the most that are in memory while they are decoded, however much equal ones unpack to
BATCH_BYTES = 64_000_000  # and about how much they may take, encoded
BUFFER = 1 << 20  # bytes
UNPACKED, RATIO = 256_000_000, 100  # bytes of a column, and how many times its size in the file are too many


def parquet_cells(
    source: ImagesFrom, split: Split, start: int = 0, stop: int | None = None
) -> Iterator[tuple[str, bytes | Path]]:
    """Return what to call images start … stop - 1, and each image, encoded, or its file, in order."""
    files = [(path, *_opened(path, source)) for path in source.shards[split]]
    for path, file, _ in files:
        _refuse_packed(path, file.metadata)
    ends = np.cumsum([file.metadata.num_rows for _, file, _ in files]).tolist()
    last = ends[-1] if stop is None else stop
    return (
        row
        for (path, file, columns), end in zip(files, ends, strict=True)
        for row in _rows(path, file, columns, _part(range(start, last), end, file.metadata.num_rows))
    )


def why_no_parquet_parts(source: ImagesFrom, split: Split) -> str:
    """Return why other processes cannot be given a part of the images; empty if they can."""
    is_named = any(_refers_to_files(*_opened(path, source)) for path in source.shards[split])
    return "its Parquet files name the images, which are in files of their own" if is_named else ""


def parquet_parts(source: ImagesFrom, split: Split) -> Callable[[int, int], Part]:
    """Return what gives images start … stop - 1 for other processes; they are in the files themselves."""
    shards = source.shards[split]
    ends = np.cumsum([_opened(path, source)[0].metadata.num_rows for path in shards]).tolist()

    def part(start: int, stop: int) -> Part:
        first, last = bisect.bisect_right(ends, start), bisect.bisect_left(ends, stop)
        before = ends[first - 1] if first else 0
        own = replace(source, shards={split: shards[first : last + 1]})
        cells = functools.partial(parquet_cells, own, split, start - before, stop - before)
        return Part(cells, own.shards[split])

    return part


def _part(wanted: range, end: int, count: int) -> range:
    """Return which of `count` rows that end before row `end` of all are wanted, numbered from 0."""
    first = end - count
    return range(max(0, wanted.start - first), max(0, min(count, wanted.stop - first)))


def parquet_units(source: ImagesFrom) -> dict[str, list[Path]]:
    """Return the files that are read: the Parquet files, and the image files that they refer to."""
    units: dict[str, list[Path]] = {}
    for split in source.splits:
        units[f"{split}.parquet"] = [existing(path) for path in source.shards[split]]
        named = [image for path in source.shards[split] for image in _image_files(path, source)]
        if named:
            units[f"{split} images"] = named
    return units


def parquet_inventories(source: ImagesFrom) -> dict[Split, Inventory]:
    """Return how many rows each split has of each class; nothing is passed over."""
    found = {}
    for split in source.splits:
        found[split] = Inventory(split, count_classes(*parquet_labels(source, split)))
    return found


def parquet_names(source: ImagesFrom, split: Split) -> list[str] | None:
    """Return the paths that the files give for their images, in order; None if a row has none."""
    names: list[str | None] = []
    for path in source.shards[split]:
        file, columns = _opened(path, source)
        if not columns.path:
            return None
        for batch in file.iter_batches(columns=[columns.path]):
            names += columns.part(batch, columns.path).to_pylist()
    known = [name for name in names if name]
    return known if len(known) == len(names) else None


def parquet_samples(source: ImagesFrom, split: Split, count: int) -> list[tuple[str, bytes | Path]]:
    """Return what to call the first images of the first and the last file, and the images."""
    samples: list[tuple[str, bytes | Path]] = []
    for path in dict.fromkeys((source.shards[split][0], source.shards[split][-1])):
        file, columns = _opened(path, source)
        samples += _rows(path, file, columns, range(min(count, file.metadata.num_rows)))
    return samples


def parquet_labels(source: ImagesFrom, split: Split) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Return a split's labels (N,) and the names of the classes; of texts, those of all splits.

    Raises `DataError` if there are none, or a label has no name.
    """
    read = {s: [_labels_of(path, source) for path in source.shards[s]] for s in source.splits}
    kinds = {isinstance(labels, list) for shards in read.values() for labels, _ in shards}
    if kinds == {True}:
        texts = {s: [str(text) for labels, _ in shards for text in labels] for s, shards in read.items()}
        numbers, names = number_texts(texts, whole=False)
        return numbers[split], names
    if len(kinds) > 1:
        paths = ", ".join(path.name for shards in source.shards.values() for path in shards)
        raise DataError(f"The labels are whole numbers in some files and texts in others ({paths}).")
    labels = np.concatenate([np.asarray(labels, np.int64) for labels, _ in read[split]])
    named = [names for _, names in read[split] if names]
    if not len(labels):
        paths = ", ".join(str(path) for path in source.shards[split])
        raise DataError(f"{paths} has no rows; expected one per {split} image. Write the file again.")
    class_names = named[0] if named else numbered_classes(labels, split)
    refuse_wrong_labels(labels, len(class_names), split)
    return labels, class_names


def _labels_of(path: Path, source: ImagesFrom) -> tuple[npt.NDArray[np.int64] | list[str], tuple[str, ...]]:
    file, columns = _opened(path, source)
    return read_labels(path, file, columns.label), columns.class_names


def _opened(path: Path, source: ImagesFrom) -> tuple[Any, Columns]:
    """Return the file as a `pyarrow.parquet.ParquetFile`, with only its schema read, and its columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # With a buffer size, a group of rows is read as its rows are asked for, not all at once.
        file = pq.ParquetFile(regular_file(path), buffer_size=BUFFER)
        return file, find_columns(path, file.schema_arrow, source.columns)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(
            foreign(path, str(path), "a Parquet file", "parquet")
            or f"{path} cannot be read as Parquet ({error}); download or write it again."
        ) from None


def _refuse_packed(path: Path, metadata: Any) -> None:
    """Raise `DataError` if a column takes many times the memory that it takes in the file.

    Encoded images hardly compress; a gigabyte of zeros takes 40 kB. One group of rows is in memory at most.
    """
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for column in (group.column(i) for i in range(group.num_columns)):
            unpacked, packed = column.total_uncompressed_size, column.total_compressed_size
            if unpacked > max(UNPACKED, RATIO * packed):
                raise DataError(
                    f"{path}: {column.path_in_schema} unpacks from {packed:,} to {unpacked:,} bytes; "
                    "expected encoded images, such as PNG or JPEG. Write the file again."
                )


def _refers_to_files(file: Any, columns: Columns) -> bool:
    """Return whether images are in files of their own: some row has no bytes, by the file's statistics.

    Without statistics, the first row decides.
    """
    if not columns.data or not columns.path:
        return not columns.data
    metadata, nulls = file.metadata, 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        chunks = map(group.column, range(group.num_columns))
        statistics = next(c.statistics for c in chunks if c.path_in_schema == columns.data)
        if statistics is None or not statistics.has_null_count:
            first = next(file.iter_batches(1, columns=[columns.data]), None)
            return first is not None and columns.part(first, columns.data).null_count > 0
        nulls += statistics.null_count
    return nulls > 0


def _image_files(path: Path, source: ImagesFrom) -> Iterator[Path]:
    """Yield the image files that a Parquet file refers to. Raises `DataError` if one is not there."""
    file, columns = _opened(path, source)
    if _refers_to_files(file, columns):
        if source.hub:  # whoever wrote it could name any file here
            raise DataError(
                f"{path} has paths of images, but not the images; expected them inside a dataset of the Hub. "
                "Download their files, and name the folder with folder under [images]."
            )
        for row, data, text in _cells(path, file, columns, range(file.metadata.num_rows)):
            if data is None:
                yield _image_file(path, row, text)


def _image_file(path: Path, row: int, text: str | None) -> Path:
    image = path.parent / (text or "")
    if text and os.path.exists(image):
        return image
    found = f"but the path {shown(text)}, and no such file is there" if text else "and no path either"
    raise DataError(
        f"{path}, row {row}, has no image in it, {found}. Put the images inside the file, as push_to_hub "
        "of the datasets library does, or name their folder with folder under [images]."
    )


def _rows(path: Path, file: Any, columns: Columns, rows: range) -> Iterator[tuple[str, bytes | Path]]:
    """Yield what to call the image of each of some rows, and the image, encoded, or its file."""
    refers = _refers_to_files(file, columns)
    for row, data, text in _cells(path, file, columns, rows):
        if data is None and refers:
            image = _image_file(path, row, text)
            yield str(image), image
        else:
            yield f"{path.name}, row {row},", data or b""


def _cells(
    path: Path, file: Any, columns: Columns, rows: range
) -> Iterator[tuple[int, bytes | None, str | None]]:
    """Yield the number of each of some rows, its encoded image, and the path of its file, which may be None.

    One group of rows after the other, in batches of about equal size: pyarrow cannot hold 2 GB in a column.
    Groups without such a row are not read.
    """
    import pyarrow as pa

    metadata, names = file.metadata, [name for name in (columns.data, columns.path) if name]
    row = 0  # the next
    try:
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            if not range(max(row, rows.start), min(row + group.num_rows, rows.stop)):
                row += group.num_rows
                continue
            each = max(1, group.total_byte_size // max(1, group.num_rows))
            size = max(1, min(BATCH, BATCH_BYTES // each))
            for batch in file.iter_batches(size, row_groups=[number], columns=names):
                none = pa.nulls(len(batch))
                data = columns.part(batch, columns.data) if columns.data else none
                texts = columns.part(batch, columns.path) if columns.path else none
                for at in range(max(0, rows.start - row), min(len(batch), rows.stop - row)):
                    yield row + at, data[at].as_py(), texts[at].as_py()  # one copy at a time
                row += len(batch)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: {error}; expected a column of images. Write the file again.") from None


def write_parquet(path: Path, examples: ExampleSet) -> None:
    """Write images, losslessly as PNG, labels, and class names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = {
        "img": {"_type": "Image"},
        "label": {"names": list(examples.class_names), "_type": "ClassLabel"},
    }
    metadata = {METADATA: json.dumps({"info": {"features": features}})}
    cell = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("img", cell), ("label", pa.int64())], metadata)
    with writing(path) as file, pq.ParquetWriter(file, schema) as parquet:
        for start in range(0, len(examples), ROW_GROUP):
            images = examples.images[start : start + ROW_GROUP]
            cells = [{"bytes": png_of(image), "path": f"{start + i}.png"} for i, image in enumerate(images)]
            labels = examples.labels[start : start + ROW_GROUP]
            columns = [pa.array(cells, cell), pa.array(labels, pa.int64())]
            parquet.write_table(pa.Table.from_arrays(columns, schema=schema))


def png_of(image: Pixels) -> bytes:
    """Return an image (H, W, 3) encoded as PNG, in gray if it is gray."""
    buffer = io.BytesIO()
    gray = bool((image == image[..., :1]).all())
    Image.fromarray(image[..., 0] if gray else image).save(buffer, "PNG")
    return buffer.getvalue()
