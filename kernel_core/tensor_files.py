"""Safetensors files, read and written with NumPy alone, so that no reader needs torch."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from kernel_core.errors import DataError
from kernel_core.files import writing


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
