"""Labels as data have them, and the order of the classes that was asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from kernel_core.errors import DataError, shown
from kernel_core.printable import NAME, printable
from kernel_core.spec import Split

Labels = npt.NDArray[np.int64]
Order = tuple[str, ...] | Literal["numeric"]


def number_texts(
    texts: Mapping[Split, Sequence[str]], *, whole: bool = True
) -> tuple[dict[Split, Labels], tuple[str, ...]]:
    """Return labels as numbers, and the names of the classes: the sorted texts of all splits.

    whole: if every text is a whole number, take these as labels of classes without names.
    """
    known = {text for of_split in texts.values() for text in of_split}
    if whole and all(re.fullmatch(r"-?[0-9]{1,18}", text) for text in known):
        return {split: np.array([int(text) for text in of], np.int64) for split, of in texts.items()}, ()
    number = {text: i for i, text in enumerate(sorted(known))}
    numbers = {split: np.array([number[text] for text in of], np.int64) for split, of in texts.items()}
    return numbers, tuple(printable(text, NAME) for text in sorted(known))


def in_order(labels: Labels, names: tuple[str, ...], order: Order) -> tuple[Labels, tuple[str, ...]]:
    """Return labels (N,) numbered anew, and the names of the classes in another order.

    order: as in `ImagesFrom.classes`. Raises `DataError` if it does not fit.
    """
    if not order:
        return labels, names
    names, places = class_places(names, order)
    inside = (labels >= 0) & (labels < len(places))
    return np.where(inside, places[np.where(inside, labels, 0)], labels), names


def class_places(names: tuple[str, ...], order: Order) -> tuple[tuple[str, ...], Labels]:
    """Return the names of the classes in the order that was asked for, and the place of each in it.

    names: as the data have them. order: as in `ImagesFrom.classes`, not empty. It may name classes that have
    no examples, but lacks none. Classes that are numbers alone take its names. Raises `DataError` if it does
    not fit.
    """
    wanted = _by_number(names) if isinstance(order, str) else tuple(printable(n, NAME) for n in order)
    if set(names) <= set(wanted):
        place = {name: i for i, name in enumerate(wanted)}
        return wanted, np.array([place[name] for name in names], np.int64)
    if names == tuple(map(str, range(len(names)))) and len(names) <= len(wanted):
        return wanted, np.arange(len(names))
    missing = [name for name in names if name not in wanted]
    raise DataError(
        f"classes in source.toml lacks {shown(missing)} of the {len(names)} classes of the labels; expected "
        "each of them, in the order of the logits' columns."
    )


def _by_number(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names in the order of their numbers. Raises `DataError` if one is no whole number."""
    wrong = [name for name in names if not re.fullmatch(r"[0-9]{1,18}", name)]
    if wrong:
        raise DataError(
            f'classes = "numeric" in source.toml expects class names that are whole numbers; found '
            f"{shown(wrong[0])}. List the names instead."
        )
    return tuple(sorted(names, key=int))
