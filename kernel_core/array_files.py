"""Arrays of `.npy`, `.npz` and `.safetensors` files, opened by their first bytes; no code in them is run.

Opening reads the header alone. An array is mapped or read when it is asked for, so that a file of gigabytes
may hold others too.
"""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from kernel_core.errors import DataError, shown
from kernel_core.files import regular_file
from kernel_core.looks_like import foreign, looks_like
from kernel_core.memory import free_bytes
from kernel_core.shortage import MORE_ROOM, is_shortage
from kernel_core.tensor_layout import DTYPES, read_header

UNPACKED, RATIO = 64_000_000, 100  # bytes of an array, and how many times its size in the file are too many
FORMS = ("npy", "npz", "safetensors", "torch")
DAMAGE = (OSError, ValueError, EOFError, RuntimeError, NotImplementedError, SyntaxError, MemoryError,
          OverflowError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error)  # fmt: skip

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Stored:
    """An array as it lies in a file, where it can be mapped.

    start: the byte that it begins at. fortran: whether its first axis varies fastest.
    bfloat16: whether it is bfloat16, which NumPy lacks: dtype is then uint16, for its bits.
    """

    path: Path
    dtype: np.dtype[Any]
    start: int
    shape: tuple[int, ...]
    fortran: bool = False
    bfloat16: bool = False

    def mapped(self) -> Array:
        """Return it as a read-only map. The file stays open as long as there is the map."""
        if 0 in self.shape:
            return np.empty(self.shape, self.dtype)  # nothing to map
        with open(self.path, "rb") as file:  # of a path, NumPy would look at every folder above
            return np.memmap(file, self.dtype, "r", self.start, self.shape, "F" if self.fortran else "C")

    def read(self) -> Array:
        """Return it as a read-only map, or as float32 in memory if it is bfloat16."""
        return float32_of(self.mapped()) if self.bfloat16 else self.mapped()


def float32_of(bits: Array) -> npt.NDArray[np.float32]:
    """Return the numbers that are stored as bfloat16; bits: uint16."""
    wide = bits.astype(np.uint32)
    return np.left_shift(wide, 16, out=wide).view(np.float32)


_Find = Callable[[], Stored | Array]


class _Arrays(Mapping[str, Array]):
    """Arrays by name, each read when it is asked for."""

    def __init__(self, path: Path, expected: str, finders: Mapping[str, _Find]) -> None:
        self._path, self._expected, self._finders = path, expected, finders

    def __getitem__(self, name: str) -> Array:
        found = self.find(name)
        return found.read() if isinstance(found, Stored) else found

    def find(self, name: str) -> Stored | Array:
        find = self._finders[name]
        try:
            found = find()
            if isinstance(found, Stored):
                found.mapped()  # raises if the file is cut short
            return found
        except DAMAGE as error:
            place = f"{shown(name)}: " if name else ""
            raise _unread(self._path, error, self._expected, place) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._finders)

    def __len__(self) -> int:
        return len(self._finders)


@dataclass(frozen=True, eq=False)
class ArrayFile:
    """The content of a file of arrays.

    form: npy, npz or safetensors.
    arrays: by name; the one array of a `.npy` is called "". Each is read when it is asked for, which raises
    `DataError` if it is damaged, an array of Python objects, or of a kind that NumPy lacks. It is a read-only
    map of the file, except compressed members of a `.npz`, which are unpacked, and bfloat16, which becomes
    float32.
    metadata: that of a `.safetensors`; empty for others.
    find: name → where the array lies in the file, or the array itself if it had to be unpacked; raises as
    `arrays`.
    """

    form: str
    arrays: Mapping[str, Array]
    metadata: Mapping[str, str]
    find: Callable[[str], Stored | Array]


def open_arrays(path: Path, expected: str) -> ArrayFile:
    """Open a file of arrays, reading only its header; what it is, its first bytes say, not its ending.

    expected: what the file should be, as in "features (N, D)". Raises `DataError` if it is missing, damaged
    or of another form.
    """
    form = form_of(path)
    metadata: Mapping[str, str] = {}
    try:
        if form == "npy":
            finders: Mapping[str, _Find] = {"": lambda: _stored_npy(path, 0, path.stat().st_size)}
        elif form == "npz":
            finders = _npz_finders(path)
        elif form == "safetensors":
            finders, metadata = _safetensors_finders(path)
        else:
            found = "is a file of torch" if form == "torch" else "is none of .npy, .npz and .safetensors"
            raise DataError(
                foreign(path, str(path), expected)
                or f"{path} {found}; expected {expected}. Save it with numpy.save or safetensors."
            )
    except DAMAGE as error:
        raise _unread(path, error, expected) from None
    arrays = _Arrays(path, expected, finders)
    return ArrayFile(form, arrays, metadata, arrays.find)


def form_of(path: Path) -> str:
    """Return npy, npz, safetensors or torch, by the first bytes of a file; an empty text for another form.

    Raises `DataError` if there is no such file, or it cannot be read.
    """
    if not os.access(regular_file(path), os.R_OK):
        raise DataError(f"{path} cannot be read. Correct its permissions.")
    form = looks_like(path).form
    if form == "damaged zip":  # its reader says so
        return "npz" if path.suffix.lower() == ".npz" else "torch"
    return {"old torch": "torch"}.get(form, form if form in FORMS else "")


def first_byte_of(path: Path, member: zipfile.ZipInfo) -> int:
    """Return the byte of an archive that the content of a member begins at."""
    with open(path, "rb") as file:  # the name and the extra field of the entry have any length
        file.seek(member.header_offset + 26)
        lengths = file.read(4)
    name, extra = (int.from_bytes(length, "little") for length in (lengths[:2], lengths[2:]))
    return member.header_offset + 30 + name + extra


def _unread(path: Path, error: BaseException, expected: str, place: str = "") -> DataError:
    """Return why a file was not read: it is damaged, or memory is short. place: where in the file."""
    if is_shortage(error):
        free = f"{free_bytes() / 1e9:,.1f} GB of memory that are free here now"
        return DataError(f"{path} was not read ({place}it does not fit into the {free}). {MORE_ROOM}.")
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return DataError(
        f"{path} is damaged, or holds what is not read ({place}{reason}); expected {expected}. Save it again."
    )


def _npy_header(file: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Read the header of an array in NumPy's format: shape, Fortran order, dtype, and bytes of the header.

    size: number of bytes that header and array have together, at least. Raises `ValueError` if they have
    fewer, or if the array holds Python objects, which only code could read.
    """
    start = file.tell()
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError("its arrays have fields; expected plain numbers")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never read; expected numbers")
    length = file.tell() - start
    if any(n < 0 for n in shape) or length + math.prod(shape) * dtype.itemsize > size:
        raise ValueError("it is cut short")
    return shape, fortran, dtype, length


def _stored_npy(path: Path, start: int, size: int) -> Stored:
    """Return the array in NumPy's format that begins at a byte of a file."""
    with open(path, "rb") as file:
        file.seek(start)
        shape, fortran, dtype, length = _npy_header(file, size)
    return Stored(path, dtype, start + length, shape, fortran)


def _npz_finders(path: Path) -> dict[str, _Find]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    return {member.filename.removesuffix(".npy"): _npz_finder(path, member) for member in members}


def _npz_finder(path: Path, member: zipfile.ZipInfo) -> _Find:
    def find() -> Stored | Array:
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            return _unpacked(path, member)
        return _stored_npy(path, first_byte_of(path, member), member.file_size)

    return find


def _unpacked(path: Path, member: zipfile.ZipInfo) -> Array:
    packed, unpacked = member.compress_size, member.file_size
    if unpacked > max(UNPACKED, RATIO * packed):
        raise ValueError(
            f"it unpacks from {packed:,} to {unpacked:,} bytes; expected no more than {RATIO} times"
        )
    with zipfile.ZipFile(path) as archive:
        with archive.open(member) as file:
            _npy_header(file, unpacked)  # read_array would make room for whatever the header claims
        with archive.open(member) as file:
            array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _safetensors_finders(path: Path) -> tuple[dict[str, _Find], dict[str, str]]:
    header, start = read_header(path)
    metadata = header.pop("__metadata__", None) or {}
    return {name: _tensor_finder(path, tensor, start) for name, tensor in header.items()}, metadata


def _tensor_finder(path: Path, tensor: Mapping[str, Any], start: int) -> _Find:
    def find() -> Stored:
        kind, shape, first = tensor["dtype"], tuple(tensor["shape"]), start + tensor["data_offsets"][0]
        if kind != "BF16" and kind not in DTYPES:
            raise ValueError(f"it holds {kind}; expected one of {', '.join(sorted(DTYPES))} and BF16")
        return Stored(path, DTYPES.get(kind, np.dtype(np.uint16)), first, shape, bfloat16=kind == "BF16")

    return find
