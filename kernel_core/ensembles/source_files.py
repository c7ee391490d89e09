"""The files of a source, written: images, logits in the published layout, features, and `source.toml`.

Each is written under another name and renamed over its place, whole or not at all, and its bytes depend on its
content alone. Everything raises `OSError` where the disk does.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from safetensors.numpy import save

from kernel_core.files import replacing
from kernel_core.records import SPLITS, ExampleSet, Split

ROW_GROUP = 1000  # images


@contextlib.contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes `path`'s place once it is whole and on the disk; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, open(temporary, "xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, content: Any) -> None:
    """Plain values as JSON to be read by people too."""
    with writing(path) as file:
        file.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Named arrays as safetensors, names and metadata in sorted order."""
    contiguous = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    data = save(contiguous, metadata=None)
    # safetensors keeps metadata in a hash map, whose order changes from process to process.
    size = int.from_bytes(data[:8], "little")
    header = {"__metadata__": dict(sorted(metadata.items())), **json.loads(data[8 : 8 + size])}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with writing(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.write(memoryview(data)[8 + size :])


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


def write_log(
    path: Path,
    *,
    runs: list[int],
    logits: Mapping[str, npt.NDArray[np.float16]],
    accuracies: list[float],
    code: str,
) -> None:
    """A `log.pt` in the layout of the published ensemble, with the numbers of its runs beside them.

    logits: by the names of `ensembles.LOGIT_KEYS`, each (m, N, C). accuracies: on the test set, one a run.
    """
    content = {
        **{name: torch.from_numpy(values) for name, values in logits.items()},
        "accs": torch.tensor(accuracies, dtype=torch.float32),
        "code": code,
        "runs": runs,
    }
    with writing(path) as file:
        try:
            torch.save(content, file)  # to a name, torch would write that name into the archive
        except RuntimeError as error:  # of the archive's writer, which the disk's own error led to
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None


def write_source_file(
    path: Path,
    *,
    name: str | None,
    images: Mapping[str, str | int],
    logits: str,
    features: str | None,
    splits: tuple[Split, ...] = SPLITS,
) -> None:
    """A `source.toml`. images: its section [images]; logits: a pattern; features: a file, or None."""
    lines = [f"name = {_quoted(name)}"] if name else []
    lines += [
        "[images]",
        *(f"{key} = {_quoted(v) if isinstance(v, str) else v}" for key, v in images.items()),
    ]
    lines += ["[ensemble]", f"files = [{_quoted(logits)}]"]
    lines += [f"splits = {json.dumps(splits)}"] if splits != SPLITS else []
    lines += ["[features]", f"file = {_quoted(features)}"] if features else []
    with writing(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def _quoted(text: str) -> str:
    """A text as TOML writes it, which escapes as JSON does."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
