"""What is odd about images, labels and features that can be read: one line each, said before the search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.block_array import unmap_large
from kernel_core.records import ExampleSet, Features
from kernel_core.spec import ADJECTIVES, Split

BLOCK_BYTES = 4_000_000  # of rows that are looked at together
SHARE = 0.05  # of a split's images or rows; fewer odd ones are not worth a line
NAMED = 5  # classes


def odd_examples(examples: Mapping[Split, ExampleSet]) -> list[str]:
    """Return what is odd about images and labels: that of `odd_labels`, and of the images of each split.

    That is: images that are all the same, or many of one flat color. It takes 0.1 s for CIFAR-10.
    """
    found = [line for of_split in examples.values() for line in _odd_images(of_split)]
    counts = {}
    for split, of_split in examples.items():
        by_class = np.bincount(of_split.labels, minlength=len(of_split.class_names)).tolist()
        counts[split] = dict(zip(of_split.class_names, by_class, strict=True))
    return [*found, *odd_labels(counts)]


def _odd_images(of_split: ExampleSet) -> Iterator[str]:
    count, split = len(of_split), ADJECTIVES[of_split.split]
    if count < 2 or not of_split.has_images:
        return
    if _all_alike(of_split.images):
        yield f"all {count:,} {split} images are the same; expected different ones. Were they written right?"
        return
    flat = count_flat(of_split.images)
    if flat >= SHARE * count:
        yield f"{flat:,} of {count:,} {split} images are one flat color each. Were they written right?"


def odd_labels(counts: Mapping[Split, Mapping[str, int]]) -> list[str]:
    """Return what is odd about labels: those that are all the same, and classes that no example has.

    counts: class name → number of examples, by split, with the same classes in each.
    """
    found = []
    for split, by_class in counts.items():
        used = [name for name, count in by_class.items() if count]
        total = sum(by_class.values())
        if len(used) == 1 and total > 1:
            found.append(f"all {total:,} {ADJECTIVES[split]} labels are {used[0]}; expected several classes.")
    names = list(next(iter(counts.values())))
    unused = [name for name in names if not any(by_class.get(name) for by_class in counts.values())]
    if not unused:
        return found
    listed = ", ".join(unused[:NAMED]) + (", …" if len(unused) > NAMED else "")
    if names == [str(c) for c in range(len(names))]:
        found.append(
            f"the labels skip {len(unused):,} of the numbers 0 to {len(names) - 1:,}: {listed}. Are they the "
            "numbers of the logits' columns?"
        )
    else:
        found.append(f"{len(unused):,} of {len(names):,} classes have no example in any split: {listed}.")
    return found


def _all_alike(rows: npt.NDArray[Any]) -> bool:
    """Return whether all rows are equal; the first block mostly tells."""
    return all(bool((block == rows[:1]).all()) for block in _blocks(rows))


def _blocks(rows: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yield rows, at least one, in blocks of about `BLOCK_BYTES`."""
    size = max(1, BLOCK_BYTES // max(1, rows[0].nbytes))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
        unmap_large(rows)


def count_flat(images: npt.NDArray[np.uint8]) -> int:
    """Return how many images (N, H, W, 3), at least one, have one color everywhere."""
    flat = 0
    for block in _blocks(images):
        middle = block[:, block.shape[1] // 2]  # one line of pixels tells most images from flat ones
        block = block[(middle == block[:, 0, :1]).all(axis=(1, 2))]
        flat += int((block == block[:, :1, :1]).all(axis=(1, 2, 3)).sum())
    return flat


def unusable_features(features: Features) -> str:
    """Return why features tell no example from another, as in "are all zero"; an empty text if they do."""
    if any(len(values) < 2 for values in features.values.values()):
        return ""
    if all(not np.any(values) for values in features.values.values()):
        return "are all zero"
    constant = [split for split, values in features.values.items() if _all_alike(values)]
    return f"are the same for every {ADJECTIVES[constant[0]]} example" if constant else ""


def odd_features(features: Features) -> list[str]:
    """Return what is odd about features that can be used: many rows of zeros."""
    found = []
    for split, values in features.values.items():
        zero = int((~np.asarray(values).any(axis=1)).sum())
        if zero >= SHARE * len(values):
            found.append(f"{zero:,} of {len(values):,} {ADJECTIVES[split]} rows are all zero.")
    return found
