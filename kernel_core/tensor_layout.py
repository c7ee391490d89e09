"""What a safetensors file holds and where: its header, written and read, and the checksum of its arrays."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from kernel_core.errors import shown

PIECE_BYTES = 8_000_000  # bytes of a file that are read at a time for its checksum
ALIGNMENT = 64  # bytes; an array that is to be mapped begins at a multiple of these
DTYPES: dict[str, np.dtype[Any]] = {
    "U64": np.dtype(np.uint64), "I64": np.dtype(np.int64), "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32), "U32": np.dtype(np.uint32), "I32": np.dtype(np.int32),
    "F16": np.dtype(np.float16), "U16": np.dtype(np.uint16), "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8), "U8": np.dtype(np.uint8), "BOOL": np.dtype(np.bool_),
}  # fmt: skip
"""What the header calls a type → the type; in the order in which a file holds arrays of several types."""
TYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
ITEM_SIZES = {**{name: dtype.itemsize for name, dtype in DTYPES.items()}, "BF16": 2}  # bytes
RANKS = {dtype: rank for rank, dtype in enumerate(DTYPES.values())}


@dataclass(frozen=True)
class Form:
    """Shape and type of an array that is to be written."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Form:
        """Return the form of an array of this shape, which has at least one axis, and type."""
        return cls(shape, np.dtype(dtype))

    @property
    def row_bytes(self) -> int:
        """Bytes of one row along the first axis."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array."""
        return math.prod(self.shape) * self.dtype.itemsize


def header_of(forms: Mapping[str, Form], metadata: Mapping[str, str], alignment: int = ALIGNMENT) -> bytes:
    """Return the beginning of a file that holds these arrays, up to where the first begins.

    It is padded to a multiple of `alignment`. Metadata of equal length gives a header of equal length.
    """
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    for name, start in starts_of(forms).items():
        form = forms[name]
        place = [start, start + form.nbytes]
        header[name] = {"dtype": TYPE_NAMES[form.dtype], "shape": list(form.shape), "data_offsets": place}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % alignment)
    return len(text).to_bytes(8, "little") + text


def starts_of(forms: Mapping[str, Form]) -> dict[str, int]:
    """Return where each array begins behind the header, in the order of the file: wide types first.

    So each array begins at a multiple of its item's size, without gaps, which the format forbids.
    """
    starts, total = {}, 0
    for name in sorted(forms, key=lambda name: (RANKS[forms[name].dtype], name)):
        starts[name] = total
        total += forms[name].nbytes
    return starts


@dataclass(frozen=True)
class Layout:
    """What a file holds: the form of each array, the byte at which it begins, and the metadata."""

    forms: Mapping[str, Form]
    first: Mapping[str, int]
    metadata: Mapping[str, str]


def read_layout(path: Path) -> Layout:
    """Return what a file holds, of which only the header is read.

    Raises `OSError` if it cannot be read, and another of `DAMAGE` if it is damaged, too short or too long, or
    if it holds a type that is not in `DTYPES`.
    """
    header, first_byte = read_header(path)
    metadata = header.pop("__metadata__", None) or {}
    forms, first = {}, {}
    for name, tensor in header.items():
        forms[name] = Form.of(tuple(tensor["shape"]), DTYPES[tensor["dtype"]])
        first[name] = first_byte + tensor["data_offsets"][0]
    return Layout(forms, first, metadata)


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the header of a file, and the byte at which its arrays begin; they fill the rest of the file.

    Raises `OSError` if the file cannot be read, `ValueError`, `KeyError`, `TypeError` or `AttributeError` if
    it is damaged.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > size:
            raise ValueError("it is cut short")
        try:
            header = json.loads(file.read(length))
        except RecursionError:
            raise ValueError("its header is nested too deeply") from None
    _refuse_gaps(header, size - 8 - length)
    return header, 8 + length


def _refuse_gaps(header: Mapping[str, Any], size: int) -> None:
    """Raise `ValueError` unless the arrays that a header describes fill `size` bytes, one after another."""
    end = 0
    tensors = [(name, tensor) for name, tensor in header.items() if name != "__metadata__"]
    for name, tensor in sorted(tensors, key=lambda item: item[1]["data_offsets"]):
        start, stop = tensor["data_offsets"]
        numbers = [*tensor["shape"], start, stop]
        itemsize = ITEM_SIZES.get(tensor["dtype"])  # other types are refused where they are read
        right = itemsize is None or stop - start == math.prod(tensor["shape"]) * itemsize
        if start != end or not right or any(type(n) is not int or n < 0 for n in numbers):
            raise ValueError(f"its header describes {shown(name)} wrongly")
        end = stop
    if end != size:
        raise ValueError("it is cut short, or too long")


def digest_of_file(file: IO[bytes], forms: Mapping[str, Form], first: Mapping[str, int]) -> str:
    """Return the SHA-256 of the arrays of a file, by name, read a piece at a time. first: their bytes."""
    digest, buffer = hashlib.sha256(), memoryview(bytearray(PIECE_BYTES))
    for name in sorted(forms):
        digest.update(name.encode())
        file.seek(first[name])
        left = forms[name].nbytes
        while left > 0:
            count = file.readinto(buffer[: min(left, PIECE_BYTES)])  # type: ignore[attr-defined]
            if not count:
                raise ValueError("it is cut short")
            digest.update(buffer[:count])
            left -= count
    return digest.hexdigest()


def digest_of_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """Return the SHA-256 of arrays in memory, by name."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()
