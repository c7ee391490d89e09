"""What a method is given: the examples asked about, and runs on parts of the training set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.lab.setting import Setting
from kernel_core.records import ExampleSet
from kernel_core.results.keys import Content
from kernel_core.spec import Split
from kernel_core.training_masks import TrainingMasks

Values = npt.NDArray[np.float64]
Weights = npt.NDArray[Any]  # floating, (b, N)
Rows = Callable[[slice], Weights]
"""Weights of a range of the n query examples on all N training examples, (b, N); larger helps more."""
AT_A_TIME = 128_000_000  # bytes of float32 weights that are held at a time


@dataclass(frozen=True, eq=False)
class SubsetRuns:
    """Runs on random parts of N training examples: some to find weights from, others held out.

    fitted_masks: (M, N), what each of M runs was trained on. fitted: float64 (M, n), their margins on the n
    query examples. held_masks, held: the same of m held-out sets, each margin the mean of `each` runs.
    numbers: those of the M runs in the source's ensemble; None for networks that were trained for the
    question. content: all that the runs depend on, as plain JSON values.
    """

    fitted_masks: TrainingMasks
    fitted: Values
    held_masks: TrainingMasks
    held: Values
    each: int
    content: Content
    numbers: tuple[int, ...] | None = None

    @property
    def are_own(self) -> bool:
        """Whether the runs are the source's own."""
        return self.numbers is not None

    def ranges(self) -> Iterator[slice]:
        """Yield ranges of the query examples, whose weights take `AT_A_TIME` bytes."""
        n, size = self.held.shape[1], max(1, AT_A_TIME // (4 * self.held_masks.example_count))
        for start in range(0, n, size):
            yield slice(start, min(start + size, n))


@dataclass(frozen=True, eq=False)
class Asked:
    """What is asked of each method.

    places: the indices of the n query examples in the split test, and of the N training examples, rising.
    examples: these examples.
    """

    setting: Setting
    places: Mapping[Split, npt.NDArray[np.int64]]
    examples: dict[Split, ExampleSet]
    runs: SubsetRuns

    @property
    def labels(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Labels of the query examples, and of the training examples."""
        return self.examples["test"].labels, self.examples["train"].labels

    def signs(self, queries: slice) -> npt.NDArray[np.float32]:
        """Return 1 for pairs of one label, else -1: (b, N)."""
        of_query, of_train = self.labels
        return np.where(of_query[queries, None] == of_train, np.float32(1), np.float32(-1))
