"""Images and labels as Parquet files in the form of the Hub's datasets: read and written.

Columns: `img` (or `image`), a struct of `bytes` and `path`, and `label`, whole numbers. The schema's metadata
may name the classes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kernel_core.errors import DataError
from kernel_core.files import writing
from kernel_core.progress import Progress
from kernel_core.records import ExampleSet
from kernel_core.sources.decode import Pixels, stack_images
from kernel_core.sources.source import ImagesFrom, existing
from kernel_core.spec import Split

ROW_GROUP = 1000  # images
METADATA = (
    "huggingface"  # the key of the schema's metadata under which the `datasets` library looks for names
)


def load_parquet(source: ImagesFrom, split: Split, progress: Progress) -> ExampleSet:
    """Read one split from its Parquet file; classes without names are called by their numbers."""
    path = existing(source.paths[split])
    table = _read_table(path)
    column = next((name for name in ("img", "image") if name in table.column_names), None)
    if column is None or "label" not in table.column_names:
        raise DataError(
            f"{path} has the columns {table.column_names}; expected img {{bytes, path}} and label."
        )
    encoded, labels = _columns(path, table, column)
    names = _class_names(table.schema.metadata or {})
    rows = ((f"{path.name}, row {i},", data or b"") for i, data in enumerate(encoded))
    images = stack_images(rows, len(encoded), f"reading {split} images", source.size, progress)
    return ExampleSet(split, images, labels, names or numbered(int(labels.max(initial=0)) + 1))


def numbered(count: int) -> tuple[str, ...]:
    """Return names for classes that have none: their numbers."""
    return tuple(str(c) for c in range(count))


def _read_table(path: Path) -> Any:
    """Return the file as a `pyarrow.Table`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({error}); download or write it again.") from None


def _columns(path: Path, table: Any, image_column: str) -> tuple[list[bytes | None], Any]:
    """Return the encoded images and the labels, int64 (N,)."""
    import pyarrow as pa

    try:
        encoded = table.column(image_column).combine_chunks().field("bytes").to_pylist()
        return encoded, table.column("label").to_numpy().astype(np.int64, casting="safe")
    except (pa.ArrowException, TypeError, AttributeError, KeyError) as error:
        raise DataError(f"{path}: {error}; expected img {{bytes, path}} and whole-number labels.") from None


def _class_names(metadata: Mapping[bytes, bytes]) -> tuple[str, ...]:
    """Return the class names that the `datasets` library put into the schema's metadata; empty without."""
    try:
        names = json.loads(metadata[METADATA.encode()])["info"]["features"]["label"]["names"]
    except (KeyError, TypeError, ValueError):
        return ()
    return tuple(str(name) for name in names)


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
