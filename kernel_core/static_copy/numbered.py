"""The examples that a static copy shows, numbered from 0 in the order in which its lists come to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.predicted import Predictions
from kernel_core.records import ExampleSet
from kernel_core.spec import SPLITS, Split

Example = tuple[Split, int]


class Numbered:
    """Examples by number. What comes first in a list is together, in few sheets of images.

    examples, predictions: by split, of the source.
    """

    def __init__(
        self, examples: Mapping[Split, ExampleSet], predictions: Mapping[Split, Predictions]
    ) -> None:
        self.examples, self.predictions = examples, predictions
        self.listed: list[Example] = []
        self.number_of: dict[Example, int] = {}

    def number(self, split: Split, index: int) -> int:
        """Return the number of an example, the next one if it has none yet."""
        found = self.number_of.setdefault((split, index), len(self.listed))
        if found == len(self.listed):
            self.listed.append((split, index))
        return found

    def numbers(self, splits: npt.ArrayLike, indices: npt.ArrayLike) -> list[int]:
        """Return the numbers of examples, given as columns of a table."""
        pairs = zip(np.asarray(splits).tolist(), np.asarray(indices).tolist(), strict=True)
        return [self.number(split, index) for split, index in pairs]

    def numbers_of_pairs(
        self, splits: tuple[Split, Split], query: npt.ArrayLike, database: npt.ArrayLike
    ) -> tuple[list[int], list[int]]:
        """Return the numbers of both examples of pairs, so that the two of a pair follow each other."""
        both = [
            (self.number(splits[0], a), self.number(splits[1], b))
            for a, b in zip(np.asarray(query).tolist(), np.asarray(database).tolist(), strict=True)
        ]
        return [a for a, _ in both], [b for _, b in both]

    def columns(self) -> dict[str, list[Any]]:
        """Return what the copy says of each example, by number.

        split: its place in `SPLITS`. index, label; predicted and confidence by the ensemble, None where there
        are no predictions of the split.
        """
        rows = [self._row(split, index) for split, index in self.listed]
        names = ("split", "index", "label", "predicted", "confidence")
        return {name: [row[place] for row in rows] for place, name in enumerate(names)}

    def _row(self, split: Split, index: int) -> tuple[Any, ...]:
        label, by = int(self.examples[split].labels[index]), self.predictions.get(split)
        said = (int(by.predicted[index]), round(float(by.confidence[index]), 4)) if by else (None, None)
        return SPLITS.index(split), index, label, *said
