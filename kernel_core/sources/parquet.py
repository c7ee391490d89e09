"""Images and labels as Parquet files in the form of the Hub's datasets: read and written.

Columns: `img` (or `image`), a struct of `bytes` and `path`, and `label`, whole numbers. The schema's metadata
may name the classes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from kernel_core.errors import DataError, shown
from kernel_core.files import regular_file, writing
from kernel_core.looks_like import foreign
from kernel_core.printable import NAME, printable
from kernel_core.progress import Progress
from kernel_core.records import ExampleSet, numbered_classes
from kernel_core.sources.decode import Pixels, stack_images
from kernel_core.sources.source import ImagesFrom
from kernel_core.spec import Split

ROW_GROUP = 1000  # images
BATCH = 64  # rows; those in memory while they are decoded
BUFFER = 1 << 20  # bytes
UNPACKED, RATIO = 64_000_000, 100  # bytes of a column, and how many times its size in the file are too many
METADATA = (
    "huggingface"  # the key of the schema's metadata under which the `datasets` library looks for names
)


def load_parquet(source: ImagesFrom, split: Split, progress: Progress) -> ExampleSet:
    """Read one split from its Parquet file, a few images at a time.

    Classes without names are called by their numbers.
    """
    path = regular_file(source.paths[split])
    file = _opened(path)
    column = next((name for name in ("img", "image") if name in file.schema_arrow.names), None)
    if column is None or "label" not in file.schema_arrow.names:
        raise DataError(
            f"{path} has the columns {shown(file.schema_arrow.names)}; expected img {{bytes, path}} and "
            "label."
        )
    _refuse_packed(path, file.metadata)
    batches: list[npt.NDArray[np.int64]] = []
    rows = _rows(path, file, column, batches)
    images = stack_images(rows, file.metadata.num_rows, f"reading {split} images", source.size, progress)
    labels = np.concatenate(batches)
    names = _class_names(path, file.schema_arrow.metadata or {})
    return ExampleSet(split, images, labels, names or numbered_classes(labels, split))


def _opened(path: Path) -> Any:
    """Return the file as a `pyarrow.parquet.ParquetFile`, of which only the schema is read yet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # With a buffer size, a group of rows is read as its rows are asked for, not all at once.
        return pq.ParquetFile(path, buffer_size=BUFFER)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(
            foreign(path, str(path), "a Parquet file", "parquet")
            or f"{path} cannot be read as Parquet ({error}); download or write it again."
        ) from None


def _refuse_packed(path: Path, metadata: Any) -> None:
    """Raise `DataError` if a column takes many times the memory that it takes in the file.

    Encoded images hardly compress; a gigabyte of zeros takes 40 kB.
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


def _rows(
    path: Path, file: Any, image_column: str, labels: list[npt.NDArray[np.int64]]
) -> Iterator[tuple[str, bytes]]:
    """Yield what to call each image, and the image, encoded; append the labels to a list, batch by batch."""
    import pyarrow as pa

    row = 0
    try:
        for batch in file.iter_batches(BATCH, columns=[f"{image_column}.bytes", "label"]):
            numbers = batch.column("label").to_numpy(zero_copy_only=False)
            labels.append(numbers.astype(np.int64, casting="safe"))
            for data in batch.column(image_column).field("bytes").to_pylist():
                yield f"{path.name}, row {row},", data or b""
                row += 1
    except (pa.ArrowException, OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise DataError(f"{path}: {error}; expected img {{bytes, path}} and whole-number labels.") from None


def _class_names(path: Path, metadata: Mapping[bytes, bytes]) -> tuple[str, ...]:
    """Return the class names that the `datasets` library put into the schema's metadata; empty without."""
    try:
        names = json.loads(metadata[METADATA.encode()])["info"]["features"]["label"]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()
    if not isinstance(names, list) or not all(isinstance(name, str | int) for name in names):
        raise DataError(
            f"{path} has the class names {shown(names)}; expected a list of texts. Correct its metadata."
        )
    return tuple(printable(str(name), NAME) for name in names)


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
