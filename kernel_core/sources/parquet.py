"""TODO."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from kernel_core.files import writing
from kernel_core.records import ExampleSet

ROW_GROUP = 1000  # images


def write_parquet(path: Path, examples: ExampleSet) -> None:
    """Images (as PNG, which loses nothing) and labels as Hub-style Parquet, class names in the schema's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = {
        "img": {"_type": "Image"},
        "label": {"names": list(examples.class_names), "_type": "ClassLabel"},
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    cell = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("img", cell), ("label", pa.int64())], metadata)
    with writing(path) as file, pq.ParquetWriter(file, schema) as parquet:
        for start in range(0, len(examples), ROW_GROUP):
            images = examples.images[start : start + ROW_GROUP]
            cells = [{"bytes": _png(image), "path": f"{start + i}.png"} for i, image in enumerate(images)]
            labels = examples.labels[start : start + ROW_GROUP]
            columns = [pa.array(cells, cell), pa.array(labels, pa.int64())]
            parquet.write_table(pa.Table.from_arrays(columns, schema=schema))


def _png(image: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    grey = bool((image == image[..., :1]).all())
    Image.fromarray(image[..., 0] if grey else image).save(buffer, "PNG")
    return buffer.getvalue()
