"""Where the tensors of a file that torch wrote lie in it, so that they can be mapped without loading torch.

The web process reads single examples in this way, and given neighbors are read so too. Such a file is a zip
archive whose members are stored as they are: a pickle that names the tensors, and the bytes of each. The
pickle may ask for tensors, their types and ordered dicts, and for nothing else.
"""

from __future__ import annotations

import collections
import math
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernel_core.array_files import DAMAGE, Stored, first_byte_of
from kernel_core.errors import DataError

PICKLE_LIMIT = 16_000_000  # bytes; as `torch_file`
STORAGES = {
    "HalfStorage": np.float16, "BFloat16Storage": np.uint16, "FloatStorage": np.float32,
    "DoubleStorage": np.float64, "BoolStorage": np.bool_, "ByteStorage": np.uint8, "CharStorage": np.int8,
    "ShortStorage": np.int16, "IntStorage": np.int32, "LongStorage": np.int64,
}  # fmt: skip
"""What torch calls the numbers of a tensor → their type; of bfloat16, which NumPy lacks, the bits."""


@dataclass(frozen=True)
class Place:
    """A tensor as the pickle describes it.

    member: of the archive, which holds its numbers. first: how many numbers there come before its own.
    """

    member: str
    storage: str
    first: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def is_row_after_row(self) -> bool:
        """Whether its numbers lie one after another, the last axis varying fastest."""
        return _are_one_run(self.shape[::-1], self.strides[::-1])

    @property
    def is_column_after_column(self) -> bool:
        """Whether its numbers lie one after another, the first axis varying fastest."""
        return _are_one_run(self.shape, self.strides)


def _are_one_run(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Return whether numbers lie one after another; shape, strides: from the axis that varies fastest."""
    rest = 0 if 0 in shape else 1
    for n, stride in zip(shape, strides, strict=True):
        if n > 1 and stride != rest:
            return False
        rest *= n
    return True


def tensors_in(path: Path) -> Mapping[str, Callable[[], Stored]]:
    """Return, by name, what says where each tensor of a dict lies; a tensor alone is called "".

    What is returned raises `DataError` for a tensor that is not one run of numbers, and so does this for a
    file that is damaged, of torch's older format, or of anything but tensors and plain values.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            (name,) = (name for name in members if name.endswith("/data.pkl"))
            folder = name.removesuffix("data.pkl")
            order = archive.read(folder + "byteorder") if folder + "byteorder" in members else b"little"
            if members[name].file_size > PICKLE_LIMIT or order != b"little":
                raise ValueError("it has too many plain values, or bytes in another order")
            with archive.open(name) as file:
                content = _Tensors(file).load()
    except (pickle.UnpicklingError, IndexError, *DAMAGE) as error:
        raise _unreadable(path, str(error) or type(error).__name__) from None
    named = {"": content} if isinstance(content, Place) else content
    if not isinstance(named, Mapping):
        raise _unreadable(path, "it holds no dict of tensors")
    places = {str(name): place for name, place in named.items() if isinstance(place, Place)}
    return {name: _finder(path, place, members, folder) for name, place in places.items()}


def _finder(
    path: Path, place: Place, members: Mapping[str, zipfile.ZipInfo], folder: str
) -> Callable[[], Stored]:
    def find() -> Stored:
        member = members.get(f"{folder}data/{place.member}")
        dtype = np.dtype(STORAGES[place.storage])
        used = (place.first + math.prod(place.shape)) * dtype.itemsize
        if member is None or member.compress_type != zipfile.ZIP_STORED or used > member.file_size:
            raise _unreadable(path, "a tensor's bytes are not all in it")
        fortran = not place.is_row_after_row
        if fortran and not place.is_column_after_column:
            raise _unreadable(path, "a tensor is a part of another, or its axes are mixed")
        start = first_byte_of(path, member) + place.first * dtype.itemsize
        bfloat16 = place.storage == "BFloat16Storage"
        stored = Stored(path, dtype, start, place.shape, fortran, bfloat16)
        try:
            stored.mapped()
        except DAMAGE as error:
            raise _unreadable(path, str(error)) from None
        return stored

    return find


def _unreadable(path: Path, why: str) -> DataError:
    return DataError(
        f"{path} cannot be read without torch ({why}). Save it as .npy or .safetensors, or with torch again."
    )


class _Tensors(pickle.Unpickler):
    """Reads plain values, and tensors as `Place`s; refuses everything else that a pickle can ask for."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _place
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _tensor_of
        if module == "torch" and name in STORAGES:
            return _Storage(name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        kind, storage, member, *_ = pid
        if kind != "storage" or not isinstance(storage, _Storage):
            raise pickle.UnpicklingError("it asks for what is no tensor")
        return storage.name, str(member)


@dataclass(frozen=True)
class _Storage:
    name: str


def _place(
    storage: tuple[str, str], first: int, shape: tuple[int, ...], strides: tuple[int, ...], *_rest: object
) -> Place:
    numbers = (first, *shape, *strides)
    if any(type(number) is not int or number < 0 for number in numbers) or len(shape) != len(strides):
        raise pickle.UnpicklingError("it describes a tensor wrongly")
    return Place(storage[1], storage[0], first, tuple(shape), tuple(strides))


def _tensor_of(tensor: object, *_rest: object) -> object:
    return tensor
