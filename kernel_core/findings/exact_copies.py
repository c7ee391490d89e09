"""Images that are there more than once, pixel for pixel, in one split or in both."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kernel_core.records import ExampleSet
from kernel_core.spec import ADJECTIVES, Split

ORDER: tuple[Split, ...] = ("test", "train")


def exact_copies(examples: Mapping[Split, ExampleSet]) -> pd.DataFrame:
    """Return the images that others equal in every byte, group by group.

    Columns: group (from 0, in the order of their first examples), split (test before train), index (rising),
    label (a class number). Each group has at least two rows. There is none where there are no images.
    """
    splits = [split for split in ORDER if split in examples]
    is_known = all(examples[split].sha256 is not None for split in splits)
    groups = _grouped(
        (found, (split, i)) for split in splits for i, found in enumerate(_hashes(examples[split], is_known))
    )
    rows = [
        (group, split, i, int(examples[split].labels[i]))
        for group, members in enumerate(groups)
        for split, i in members
    ]
    table = pd.DataFrame(rows, columns=["group", "split", "index", "label"])
    return table.astype({"group": np.int64, "split": str, "index": np.int64, "label": np.int64})


def _hashes(examples: ExampleSet, is_known: bool) -> Iterator[bytes]:
    """Yield the SHA-256 of each image, from what is known of them or from their bytes; none without images.

    No two different images have ever been found with one SHA-256. 60,000 images of CIFAR-10 take 0.2 s.
    """
    if not examples.has_images:
        return
    if is_known and examples.sha256 is not None:
        yield from (row.tobytes() for row in examples.sha256)
    else:
        yield from (hashlib.sha256(image.tobytes()).digest() for image in examples.images)


def _grouped(
    keyed: Iterable[tuple[Hashable, tuple[Split, int]]],
) -> list[list[tuple[Split, int]]]:
    """Return the examples of each key that has more than one, in the order of the first."""
    groups: dict[Hashable, list[tuple[Split, int]]] = defaultdict(list)
    for key, example in keyed:
        groups[key].append(example)
    return [members for members in groups.values() if len(members) > 1]


@dataclass(frozen=True)
class CopyCounts:
    """How many images are there more than once.

    shared: test images that are also in the training set; None if there is no training set.
    conflicting: those of them of which a copy in the training set has another label.
    repeated: by split, images that equal an earlier one of the same split.
    """

    shared: int | None
    conflicting: int
    repeated: Mapping[Split, int]

    @property
    def sentence(self) -> str:
        """The counts in words."""
        parts = []
        if self.shared is not None:
            parts.append(_shared_in_words(self.shared, self.conflicting))
        for split, count in self.repeated.items():
            if count:
                verb = "repeats" if count == 1 else "repeat"
                parts.append(f"{_counted(count, split)} {verb} an earlier one, pixel for pixel.")
        return " ".join(parts) or "No image is there twice, pixel for pixel."


def count_copies(copies: pd.DataFrame, splits: Iterable[Split]) -> CopyCounts:
    """Return the counts of `exact_copies`. splits: those of the source."""
    splits = list(splits)
    repeated = copies.duplicated(["group", "split"])
    by_split = {split: int((repeated & (copies["split"] == split)).sum()) for split in splits}
    if "train" not in splits:
        return CopyCounts(None, 0, by_split)
    pairs = shared_pairs(copies)
    conflicts = pairs[pairs["test_label"] != pairs["train_label"]]
    return CopyCounts(pairs["test_index"].nunique(), conflicts["test_index"].nunique(), by_split)


def shared_pairs(copies: pd.DataFrame) -> pd.DataFrame:
    """Return each test image of `exact_copies` with its copies in the training set, the first of each label.

    Columns: test_index, test_label, train_index, train_label.
    """
    test, train = (copies[copies["split"] == split].drop(columns="split") for split in ORDER)
    first = train.drop_duplicates(["group", "label"])  # of 60,000 equal images, not all 500 million pairs
    pairs = test.merge(first, on="group", suffixes=("_test", "_train"))
    named = {f"{part}_{split}": f"{split}_{part}" for split in ORDER for part in ("index", "label")}
    return pairs.rename(columns=named).drop(columns="group")


def _counted(count: int, split: Split) -> str:
    return f"{count:,} {ADJECTIVES[split]} image{'' if count == 1 else 's'}"


def _shared_in_words(shared: int, conflicting: int) -> str:
    if not shared:
        return "No test image is also in the training set, pixel for pixel."
    verb = "is" if shared == 1 else "are"
    labels = f"{conflicting:,} of these with another label" if conflicting else "with the same labels"
    return f"{_counted(shared, 'test')} {verb} also in the training set, pixel for pixel; {labels}."
