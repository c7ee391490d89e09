"""Safetensors files, read and written with NumPy alone, so that no reader needs torch."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from kernel_core.errors import DataError
from kernel_core.files import writing

ALIGNMENT = 64  # bytes; an array that is to be mapped begins at a multiple of these
DTYPES: dict[str, np.dtype[Any]] = {
    "F16": np.dtype(np.float16),
    "F32": np.dtype(np.float32),
    "U8": np.dtype(np.uint8),
}
"""What the header calls a type → the type, of arrays that are written in blocks and mapped."""
TYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def read_names(path: Path) -> set[str]:
    """Return the names of the arrays in a file. Raises `DataError` if it is damaged."""
    with _opened(path) as file:
        return set(file.keys())


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a file. Raises `DataError` if it is damaged."""
    with _opened(path) as file:
        return file.metadata() or {}


def read_arrays(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """Return the arrays of a file by name, and its metadata. Raises `DataError` if it is damaged."""
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="np") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} is damaged ({error}). Delete it, and add again what it held.") from None


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write arrays by name, and metadata, in sorted order: equal content gives equal bytes.

    Raises `OSError` if the disk refuses; `path` is then as it was before.
    """
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


def block_header(name: str, shape: tuple[int, ...], dtype: Any, metadata: Mapping[str, str]) -> bytes:
    """Return the beginning of a file that holds one array, up to where the array begins.

    dtype: a NumPy dtype, one of `DTYPES`. The header is padded to a multiple of `ALIGNMENT`. Metadata of
    equal length gives a header of equal length.
    """
    size = dtype.itemsize * math.prod(shape)
    tensor = {"dtype": TYPE_NAMES[dtype], "shape": list(shape), "data_offsets": [0, size]}
    text = json.dumps({"__metadata__": dict(metadata), name: tensor}).encode()
    text += b" " * (-(len(text) + 8) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def map_array(path: Path, name: str) -> tuple[npt.NDArray[Any], dict[str, str]]:
    """Return one array of a file, of `DTYPES`, as a read-only map, and the file's metadata.

    The array's content is not read, which may be gigabytes: a file that is cut short is noticed, a flipped
    bit is not. Raises `OSError` if the file cannot be read, `ValueError`, `KeyError` or `TypeError` if it is
    damaged.
    """
    header, first = read_header(path)
    tensor = header[name]
    start, stop = tensor["data_offsets"]
    if path.stat().st_size < first + stop:
        raise ValueError("it is cut short")
    dtype, shape = DTYPES[tensor["dtype"]], tuple(tensor["shape"])
    mapped: npt.NDArray[Any] = np.memmap(path, dtype, "r", first + start, shape)
    return mapped, header["__metadata__"]


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the header of a file, and the byte at which its arrays begin.

    Raises `OSError` if the file cannot be read, `ValueError` if it is damaged.
    """
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            raise ValueError("it is cut short")
        return json.loads(file.read(length)), 8 + length
