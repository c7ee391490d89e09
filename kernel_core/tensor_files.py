"""Safetensors files, read and written with NumPy alone, so that no reader needs torch.

They are written as a stream: no second copy of an array is made, and an array may come in blocks.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from kernel_core.errors import DataError
from kernel_core.files import writing
from kernel_core.tensor_layout import Form, Layout, digest_of_file, header_of, read_layout, starts_of

PIECE_BYTES = 8_000_000  # bytes made contiguous at a time
DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError)  # what reading a damaged file raises

Array = npt.NDArray[Any]


class ArrayWriter:
    """Arrays that are being written to a file behind its header, in blocks of rows, in any order.

    file: opened for writing and reading. forms: by name. header: that of `header_of`, written at the start.
    hashing: whether there will be a checksum. Blocks may come from several threads.
    """

    def __init__(
        self, file: IO[bytes], forms: Mapping[str, Form], header: bytes, *, hashing: bool = True
    ) -> None:
        self._file, self._forms, self._lock = file, forms, threading.Lock()
        self._first = {name: len(header) + start for name, start in starts_of(forms).items()}
        self._rows = dict.fromkeys(forms, 0)
        # What comes in the order of the checksum, by name and row, is hashed on the way.
        self._digest, self._in_order, self._next = hashlib.sha256(), hashing, iter(sorted(forms))
        self._name = ""
        self._hash_next_name()
        file.write(header)

    def write(self, name: str, start: int, block: Array) -> None:
        """Write rows of an array, from row `start` on. block: of the array's type, in memory or mapped."""
        form = self._forms[name]
        assert block.dtype == form.dtype, f"{name} is {block.dtype}, expected {form.dtype}"
        assert block.shape[1:] == form.shape[1:], f"rows of {block.shape[1:]}, expected {form.shape[1:]}"
        for piece in _contiguous(block):
            content = piece.reshape(-1).view(np.uint8).data
            with self._lock:
                self._hash(name, start, len(piece), content)
                self._file.seek(self._first[name] + start * form.row_bytes)
                self._file.write(content)
                self._rows[name] += len(piece)
            start += len(piece)

    def _hash(self, name: str, start: int, count: int, content: memoryview) -> None:
        if not self._in_order:
            return
        if name != self._name or start != self._rows[name]:
            self._in_order = False
            return
        self._digest.update(content)
        if start + count == self._forms[name].shape[0]:
            self._hash_next_name()

    def _hash_next_name(self) -> None:
        for name in self._next:
            self._name = name
            self._digest.update(name.encode())
            if self._forms[name].shape[0]:
                return

    def sha256(self) -> str:
        """Return the checksum of all arrays, as `digest`; they must be complete."""
        for name, form in self._forms.items():
            rows = self._rows[name]
            assert rows == form.shape[0], f"{name}: {rows} rows came, {form.shape[0]} were promised"
        if self._in_order:
            return self._digest.hexdigest()
        self._file.flush()
        return digest_of_file(self._file, self._forms, self._first)


def _contiguous(block: Array) -> Iterator[Array]:
    """Yield a block's rows in contiguous pieces: the block itself if it is contiguous."""
    if block.flags.c_contiguous:
        yield block
        return
    size = max(1, PIECE_BYTES // max(1, block[:1].nbytes))
    for start in range(0, len(block), size):
        yield np.ascontiguousarray(block[start : start + size])


def write_arrays(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write arrays by name, and metadata, in sorted order: equal content gives equal bytes.

    Raises `OSError` if the disk refuses; `path` is then as it was before.
    """
    rows = {name: np.atleast_1d(array) for name, array in arrays.items()}
    forms = {name: Form.of(array.shape, array.dtype) for name, array in rows.items()}
    with writing(path) as file:
        writer = ArrayWriter(file, forms, header_of(forms, metadata, alignment=8), hashing=False)
        for name in starts_of(forms):
            writer.write(name, 0, rows[name])


def read_names(path: Path) -> set[str]:
    """Return the names of the arrays in a file. Raises `DataError` if it is damaged."""
    return set(_layout_of(path).forms)


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a file. Raises `DataError` if it is damaged."""
    return dict(_layout_of(path).metadata)


def read_arrays(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays of a file by name, and its metadata. Raises `DataError` if it is damaged."""
    layout = _layout_of(path)
    try:
        return arrays_in_memory(path, layout), dict(layout.metadata)
    except DAMAGE as error:
        raise _damaged(path, error) from None


def _layout_of(path: Path) -> Layout:
    try:
        return read_layout(path)
    except DAMAGE as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is damaged ({error}). Delete it, and add again what it held.")


def arrays_in_memory(path: Path, layout: Layout) -> dict[str, Array]:
    """Return the arrays of a file, read into memory. Raises one of `DAMAGE`."""
    arrays = {}
    with open(path, "rb") as file:
        for name, form in layout.forms.items():
            array = np.empty(form.shape, form.dtype)
            file.seek(layout.first[name])
            if file.readinto(array.reshape(-1).view(np.uint8).data) != form.nbytes:
                raise ValueError("it is cut short")
            arrays[name] = array
    return arrays


def mapped_arrays(path: Path, layout: Layout) -> dict[str, Array]:
    """Return the arrays of a file as read-only maps; what they hold, perhaps gigabytes, is not read.

    Raises one of `DAMAGE`.
    """
    arrays: dict[str, Array] = {}
    with open(str(path), "rb") as file:  # of a path, NumPy would look at every folder above
        for name, form in layout.forms.items():
            if form.nbytes:
                arrays[name] = np.memmap(file, form.dtype, "r", layout.first[name], form.shape)
            else:
                arrays[name] = np.empty(form.shape, form.dtype)  # nothing to map
    return arrays
