"""Images without a test split: which of them are held out of the training set, to be the test split.

The share is the same for every class, as nearly as whole images allow, and a class never loses its last
training example. Which examples these are depends on the labels in their order, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from kernel_core.errors import DataError
from kernel_core.sources.inventory import Inventory, count_classes
from kernel_core.sources.source import ImagesFrom
from kernel_core.spec import SPLITS, Split

SHARE = 0.1  # of the examples, where nothing else is said
LARGEST_SHARE = 0.5
LEAST = 20  # examples; of fewer, no tenth can be held out that says anything
SEED = 0

Labels = npt.NDArray[np.int64]


def undivided(source: ImagesFrom) -> ImagesFrom:
    """Return the same images as one training split."""
    return replace(source, splits=("train",), held_out=0.0)


def rows_of(split: Split, labels: Labels, share: float, where: str) -> npt.NDArray[np.bool_]:
    """Return which examples are of a split, bool (N,).

    labels: of all examples, (N,), each 0 or more. share: above 0, up to `LARGEST_SHARE`. where: what to call
    the images in an error. Raises `DataError` if they are too few, or no class has two.
    """
    held = _held_out(labels, share)
    if len(labels) < LEAST or not held.any():
        problem = f"{len(labels):,} example{'s' if len(labels) != 1 else ''} and no test split"
        if len(labels) >= LEAST:
            problem += f", of which {share:.0%} cannot be held out: every class would lose its last one"
        raise DataError(
            f"{where} has {problem}; expected {LEAST} or more, several of each class, to hold a part of them "
            "out. Add some, or put images into test/<class>/ beside train/<class>/ yourself."
        )
    return held if split == "test" else ~held


def _held_out(labels: Labels, share: float) -> npt.NDArray[np.bool_]:
    """Return which examples are held out: of each class its share, rounded so that the total is right."""
    # `RandomState` promises the same numbers in every version of NumPy, `Generator` does not.
    random = np.random.RandomState(SEED)
    chance, counts = random.random_sample(len(labels)), np.bincount(labels)
    quota = np.round(counts * share, 9)  # 0.1 * 30 is a little more than 3
    take = np.floor(quota).astype(np.int64)
    missing = max(0, round(len(labels) * share) - int(take.sum()))
    by_remainder = np.lexsort((random.random_sample(len(counts)), take - quota))
    take[[c for c in by_remainder if take[c] + 1 < counts[c]][:missing]] += 1
    in_order = np.lexsort((chance, labels))  # class by class
    place = np.empty(len(labels), np.int64)  # of each example within its class
    place[in_order] = np.arange(len(labels)) - (np.cumsum(counts) - counts)[labels[in_order]]
    return np.asarray(place < take[labels])


def divided(
    whole: Inventory,
    labels: Labels,
    names: Sequence[str] | None,
    share: float,
    where: str,
) -> dict[Split, Inventory]:
    """Return what each split has of images that are listed as one.

    What was passed over is told of the training split. labels, names: of all images, as `image_units` orders
    them; the names are paths, if there are any. share, where: as of `rows_of`.
    """
    nested = np.array([name.count("/") > 1 for name in names]) if whole.nested and names else None
    found: dict[Split, Inventory] = {}
    for split in SPLITS:
        rows = rows_of(split, labels, share, where)
        found[split] = replace(
            whole,
            split=split,
            classes=count_classes(labels[rows], tuple(whole.classes)),
            passed_over=whole.passed_over if split == "train" else {},
            nested=0 if nested is None else int(nested[rows].sum()),
            held_out_of=len(labels) if split == "test" else 0,
        )
    return found
