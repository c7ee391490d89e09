"""What there is of a split before anything is read: images by class, and what was passed over and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from kernel_core.printable import CELL, printable
from kernel_core.spec import Split

DOT = "file with a leading dot", "files with a leading dot"
ENDING = "file of another ending", "files of other endings"
LOOSE = "image outside of a class folder", "images outside of class folders"
EMPTY = "class folder without images", "class folders without images"
LOOP = "link to a folder that holds it", "links to folders that hold them"
UNREADABLE = "folder that cannot be read", "folders that cannot be read"
UNLISTED = "image that metadata.csv does not list", "images that metadata.csv does not list"

Reason = tuple[str, str]  # why one thing was passed over, and several
NAMED = 3  # things that a line names of each reason


@dataclass(frozen=True)
class Inventory:
    """What was found of one split, by listing alone.

    classes: class name → number of images, in the order of the labels.
    passed_over: reason → names of files and folders, relative to the split's folder; each at least one.
    nested: number of the images that lie in a folder inside their class's folder. noun: of `ExampleSet`.
    held_out_of: number of the images that these were held out of; 0 for a split that the data have.
    """

    split: Split
    classes: Mapping[str, int]
    passed_over: Mapping[Reason, tuple[str, ...]] = field(default_factory=dict)
    nested: int = 0
    noun: str = "image"
    held_out_of: int = 0

    @property
    def total(self) -> int:
        """Number of images."""
        return sum(self.classes.values())

    @property
    def line(self) -> str:
        """All of it in one line, as in "train: 24 images in 3 classes; passed over: 1 file of …"."""
        images, classes = _counted(self.total, self.noun, f"{self.noun}s"), len(self.classes)
        held_out = f", held out of {self.held_out_of:,}" if self.held_out_of else ""
        return f"{self.split}: {images} in {_counted(classes, 'class', 'classes')}{held_out}" + "".join(
            f"; {remark}" for remark in self.remarks
        )

    @property
    def remarks(self) -> list[str]:
        """What else is to be said; empty if there is nothing."""
        absent = [name for name, count in self.classes.items() if not count]
        parts = []
        if self.nested:
            parts.append(f"{_counted(self.nested, 'image', 'images')} in nested folders")
        if absent:
            parts.append(f"no {self.noun}s of {_some(absent)}")
        if self.passed_over:
            parts.append(
                "passed over: " + ", ".join(_reason(why, names) for why, names in self.passed_over.items())
            )
        return parts


def count_classes(labels: npt.NDArray[np.int64], names: Sequence[str]) -> dict[str, int]:
    """Return the number of labels of each class, by its name; of equal names, the later have their number.

    labels: (N,), each in 0 … len(names) - 1.
    """
    counts: dict[str, int] = {}
    for number, count in enumerate(np.bincount(labels, minlength=len(names)).tolist()):
        name = names[number]
        counts[f"{name} ({number})" if name in counts else name] = count
    return counts


def _reason(why: Reason, names: tuple[str, ...]) -> str:
    return f"{_counted(len(names), *why)} ({_some(names)})"


def _counted(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"


def _some(names: list[str] | tuple[str, ...]) -> str:
    more = ", …" if len(names) > NAMED else ""
    return ", ".join(printable(name, CELL) for name in names[:NAMED]) + more
