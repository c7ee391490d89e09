"""Rows of predictions put into the order of the examples, by the names of their files; never by luck."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.errors import DataError, shown
from kernel_core.spec import Split

OTHER_SPLITS: dict[Split, tuple[str, ...]] = {
    "test": ("train", "training"),
    "train": ("test", "testing", "val", "valid", "validation", "eval"),
}
"""Folders that say that an image is of another split."""


@dataclass(frozen=True)
class ExampleNames:
    """What examples and classes are called.

    of_split: split → the paths of its images in order, as in `ant/0.png`; None if they have none.
    class_names: in the order of the classes.
    """

    of_split: Callable[[Split], list[str] | None]
    class_names: tuple[str, ...]


def order_of(
    ids: Sequence[Any], split: Split, count: int | None, named: ExampleNames, table: str
) -> npt.NDArray[np.int64]:
    """Return the number of the row of every example of a split, (N,).

    ids: names of files, with any folders before them and with or without an ending, or numbers of examples.
    count: N, if it is known otherwise. table: what to call the file in an error.
    Raises `DataError` if an example has no row, or more than one.
    """
    names = named.of_split(split)
    by_number = _numbered(ids, len(names) if names is not None else count or len(ids))
    if names is None:
        if by_number is not None:
            return by_number
        raise DataError(
            f"{table}: its rows have names, but the {split} images have none to join them by; expected "
            "images in files, or ids that number the examples from 0, each once. Save the logits as an array."
        )
    texts = [str(i).replace("\\", "/") for i in ids]
    found = _by_name(texts, split, names)
    if not isinstance(found, str):
        return found
    if by_number is not None:
        return by_number
    raise DataError(
        f"{table}: of {len(names):,} {split} images, {found}; found names such as "
        f"{shown(texts[0] if texts else '')}. Expected one row per image. Correct the names."
    )


def _by_name(texts: Sequence[str], split: Split, names: Sequence[str]) -> npt.NDArray[np.int64] | str:
    """Return the row of every example by its name, or in words how many have no row or more than one."""
    depth = min((name.count("/") for name in names), default=0)
    own = [number for number, text in enumerate(texts) if not _is_of_another(text, split, depth)]
    best = len(names), 0, names[0]
    for key in _keys(split, names):
        wanted, there = [key(f"{split}/{name}") for name in names], [key(texts[row]) for row in own]
        if len(set(wanted)) < len(wanted):
            continue
        counts = Counter(there)
        missing = [name for name, k in zip(names, wanted, strict=True) if not counts[k]]
        twice = [name for name, k in zip(names, wanted, strict=True) if counts[k] > 1]
        if not missing and not twice:
            row = dict(zip(there, own, strict=True))
            return np.array([row[k] for k in wanted], np.int64)
        best = min(best, (len(missing), len(twice), (missing or twice)[0]))
    return (
        f"{best[0]:,} have no row and {best[1]:,} more than one, by the names of their files, such as "
        f"{shown(best[2])}"
    )


def _numbered(ids: Sequence[Any], count: int) -> npt.NDArray[np.int64] | None:
    """Return the rows in the order of ids that number `count` examples from 0, each once; None for others."""
    numbers = [int(i) for i in ids if isinstance(i, int | np.integer)]
    is_whole = len(numbers) == len(ids) and sorted(numbers) == list(range(count))
    return np.argsort(numbers) if is_whole else None


def _is_of_another(text: str, split: Split, depth: int) -> bool:
    """Return whether the folder above the `depth` folders that images lie in is that of another split."""
    before = [part for part in text.split("/") if part][: -1 - depth]
    return bool(before) and before[-1].lower() in OTHER_SPLITS[split]


def _keys(split: Split, names: Sequence[str]) -> list[Callable[[str], str]]:
    """Return what names may be compared by: their last parts, at first many, at last one without ending."""

    def last(count: int) -> Callable[[str], str]:
        return lambda name: "/".join([part for part in name.split("/") if part not in ("", ".")][-count:])

    def stem(name: str) -> str:
        return last(1)(name).rpartition(".")[0] or last(1)(name)

    most = 1 + max((name.count("/") + 1 for name in names), default=1)
    return [*(last(count) for count in range(most, 0, -1)), stem]
