"""One file of logits, in any form: torch's, `.npy`, `.npz`, `.safetensors`; only headers are read.

The web process opens them too, so torch is loaded where a file is torch's, and even then only by those who
may load it (`light`).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from kernel_core.array_files import Array, Stored, float32_of, form_of, open_arrays
from kernel_core.block_array import BlockArray, Logits, opened_for_each_block, say_scattered
from kernel_core.errors import DataError, shown
from kernel_core.sources.logit_form import ID_NAMES, LOGIT_KEYS, NO_KERNEL, TEST_ALONE, LogitForm
from kernel_core.spec import Split
from kernel_core.torch_places import tensors_in

if TYPE_CHECKING:
    import torch

EXPECTED = "a file of logits: a dict or an archive of arrays, or one array (runs, examples, classes)"
NAMES: dict[str, tuple[str, ...]] = {
    "test": ("logits", "logits_test", "test_logits", "test", "predictions"),
    "train": ("logits_train", "train_logits", "train"),
    "trained_on": ("trained_on", "masks"),
    "id": ID_NAMES,
}
"""What an array in a file is → the names that it may have; the first that is there counts."""
NO_EXAMPLES = "single examples cannot be read from it. Save it as .npy or .safetensors."
MARGINS = re.compile(r"(?<![a-z])margins?(?![a-z])")
UNNAMED = ("", "arr_0")  # what one array alone is called: in a `.npy`, and by numpy.savez


@dataclass(frozen=True, eq=False)
class LogitFile:
    """What one file holds.

    logits: split → (m, N, C) as stored; the key is "" where the file does not say which split it is of.
    itemsize: bytes of a number, the fewest of these. bfloat16: whether one of them is bfloat16.
    trained_on: returns the training masks (m, N), as stored; None if the file holds none.
    ids: what says which example each row is of (N,); None if rows are in the order of the examples.
    """

    logits: Mapping[Split | Literal[""], Logits]
    itemsize: int = 0
    bfloat16: bool = False
    trained_on: Callable[[], Array] | None = field(default=None)
    ids: Array | None = field(default=None)


@dataclass(frozen=True)
class _Content:
    """Names → arrays; `find` raises `DataError` for what is no array of numbers."""

    names: tuple[str, ...]
    find: Callable[[str], Stored | Array | torch.Tensor]


def open_logit_file(
    path: Path,
    form: LogitForm,
    splits: tuple[Split, ...],
    *,
    names_split: bool = False,
    light: bool = False,
) -> LogitFile:
    """Open a file of logits, reading only its header.

    splits: those that are wanted; others in the file are left alone. names_split: whether the file's name
    says which split it is of, so that `logits` in it are of that one if they are alone. light: without torch,
    and nothing is read into memory, which `DataError` says of a file that cannot be had so.
    Raises `DataError` if the file is missing, damaged, or holds no logits.
    """
    is_torch = form_of(path) in ("torch", "")
    if light:
        content = _placed_content(path) if is_torch else _mapped_content(path)
    else:
        content = _torch_content(path) if is_torch else _array_content(path)
    names = _names(content, form)
    if "test" not in names and len(content.names) == 1 and content.names[0] in UNNAMED:
        names[""] = content.names[0]
    elif names_split and "test" in names and "train" not in names and "test" not in names["test"]:
        names[""] = names.pop("test")
    else:
        _refuse_missing(path, content, names, form, splits)
    found = {
        key: _numbers(content.find(name), f"{path}: {shown(name)}" if name else str(path), form.kind)
        for key, name in names.items()
        if key == "" or key in splits
    }
    masks, ids = names.get("trained_on"), None if is_torch else names.get("id")
    return LogitFile(
        {cast(Split, key): logits for key, (logits, _, _) in found.items()},
        min(itemsize for _, itemsize, _ in found.values()),
        any(bfloat16 for _, _, bfloat16 in found.values()),
        None if masks is None else lambda: _plain(content.find(masks), f"{path}: {masks!r}"),
        None if ids is None else _plain(content.find(ids), f"{path}: {ids!r}"),
    )


def _names(content: _Content, form: LogitForm) -> dict[str, str]:
    """Return what each array is → its name in the file, for those that are there."""
    known = {what: (form.keys[what],) if what in form.keys else names for what, names in NAMES.items()}
    there = {what: next((n for n in names if n in content.names), None) for what, names in known.items()}
    return {what: name for what, name in there.items() if name is not None}


def _refuse_missing(
    path: Path, content: _Content, names: Mapping[str, str], form: LogitForm, splits: tuple[Split, ...]
) -> None:
    for split in ("test", "train"):
        if split in splits and split not in names:
            key = form.keys.get(split) or LOGIT_KEYS[split]
            hint = TEST_ALONE if split == "train" and "test" in names else ""
            raise DataError(
                f"{path}: {key!r} is missing (found: {shown(sorted(content.names))}); expected the arrays "
                "'logits' (test) and 'logits_train', each of shape (runs, examples, classes). If they have "
                'other names, write keys = {test = "…", train = "…"} under [ensemble].' + hint
            )


def _placed_content(path: Path) -> _Content:
    places = tensors_in(path)
    return _Content(tuple(places), lambda name: places[name]())


def _mapped_content(path: Path) -> _Content:
    if form_of(path) == "npz":
        with zipfile.ZipFile(path) as archive:
            packed = [m.filename for m in archive.infolist() if m.compress_type != zipfile.ZIP_STORED]
        if packed:
            raise DataError(f"{path} is compressed, so {NO_EXAMPLES}")
    return _array_content(path)


def _torch_content(path: Path) -> _Content:
    import torch  # seconds

    from kernel_core.ensembles.torch_file import load_torch_file

    content = load_torch_file(path, "a log.pt, a dict of tensors", mmap=True)
    if isinstance(content, torch.Tensor):
        return _Content(("",), lambda _: content)
    if not isinstance(content, Mapping):
        raise DataError(
            f"{path} holds a {type(content).__name__}; expected a dict with 'logits' and 'logits_train', or "
            "one tensor (runs, examples, classes). Save such a dict."
        )

    def find(name: str) -> torch.Tensor:
        value = content.get(name)
        if not isinstance(value, torch.Tensor):
            how = "torch.stack(…)" if isinstance(value, list | tuple) else "a tensor"
            raise DataError(
                f"{path}: {name!r} is a {type(value).__name__}; expected a tensor (runs, examples, classes). "
                f"Save {how}."
            )
        return value

    return _Content(tuple(map(str, content)), find)


def _array_content(path: Path) -> _Content:
    file = open_arrays(path, EXPECTED)
    return _Content(tuple(file.arrays), file.find)


def _plain(found: Stored | Array | torch.Tensor, name: str) -> Array:
    if not isinstance(found, Stored | np.ndarray):
        try:
            return found.detach().numpy()
        except (TypeError, RuntimeError):
            raise DataError(
                f"{name} is {found.dtype}, {found.layout}; expected bool. Save it with .to_dense().bool()."
            ) from None
    return found.read() if isinstance(found, Stored) else found


def _numbers(found: Stored | Array | torch.Tensor, name: str, kind: str) -> tuple[Logits, int, bool]:
    """Return an array as floating (m, N, C), the bytes of a number, and whether it is bfloat16."""
    bfloat16 = False
    if not isinstance(found, Stored | np.ndarray):
        from kernel_core.ensembles.torch_file import to_array

        bfloat16 = str(found.dtype) == "torch.bfloat16"
        found = to_array(found, name)
    elif isinstance(found, Stored):
        bfloat16 = found.bfloat16
    shape, itemsize = _three_axes(found.shape, name, found.dtype, kind), found.dtype.itemsize
    if bfloat16:
        return _from_bfloat16(found, shape), itemsize, True
    dtype = found.dtype.newbyteorder("=")
    if dtype not in (np.float16, np.float32, np.float64):
        raise DataError(
            f"{name} holds {found.dtype}; expected float16, float32 or float64. Save it as float32."
        )
    if isinstance(found, Stored):
        return opened_for_each_block(found.mapped, shape, dtype), itemsize, False
    return found.astype(dtype, copy=False).reshape(shape), itemsize, False


def _from_bfloat16(bits: Stored | Array, shape: tuple[int, ...]) -> BlockArray:
    def fill(out: Array, run: int, example: int) -> None:
        mapped = bits.mapped() if isinstance(bits, Stored) else bits
        if out.shape[1] == 1:
            say_scattered(mapped)
        stored = mapped.reshape(shape)
        out[...] = float32_of(stored[run : run + len(out), example : example + out.shape[1]])

    return BlockArray(fill, shape, np.float32)


def _three_axes(shape: tuple[int, ...], name: str, dtype: Any, kind: str) -> tuple[int, int, int]:
    """Return the shape as (runs, examples, classes); fewer axes are those of one run.

    Of a sigmoid output, (runs, examples) and (examples,) have the axis of one class added.
    """
    if kind == "sigmoid":
        if len(shape) == 2 and shape[1] != 1:
            return shape[0], shape[1], 1
        shape = (1, shape[0], 1) if len(shape) == 1 else shape
    if len(shape) == 2 and MARGINS.search(Path(name).stem.lower()):
        raise DataError(
            f"{name} is {dtype} {shape} and holds margins, as its name says. {NO_KERNEL} Expected logits "
            "(runs, examples, classes); save those, or rename the file if it holds those of one run."
        )
    if len(shape) == 2:
        shape = (1, *shape)
    if len(shape) != 3 or (kind == "sigmoid" and shape[2] != 1):
        wanted = (
            '(runs, examples) or (runs, examples, 1), as kind = "sigmoid" says'
            if kind == "sigmoid"
            else "(runs, examples, classes), or (examples, classes) of one run"
        )
        raise DataError(f"{name} is {dtype} {shape}; expected {wanted}. Save it in this shape.")
    return shape[0], shape[1], shape[2]
