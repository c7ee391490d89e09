"""What an ensemble predicts for the examples of a split, of the likeliest classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.class_probabilities import ClassProbabilities, place_of


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of an ensemble of M runs for one split of N examples, C classes.

    class_count: C. single: float64 (M,), accuracy of each run, 0 … 1.
    predicted: int64 (N,), the class with the largest mean logit.
    confidence: float32 (N,), the mean probability of that class.
    classes: unsigned (N, K), the classes that are kept, in the order of `ClassProbabilities`: the likeliest,
    then the five with most votes, the predicted one, and the label; or all.
    mean: float32 (N, K), probability of each of them, averaged over the runs.
    spread: float32 (N, K), unbiased standard deviation of that probability over the runs.
    votes: unsigned (N, K), the number of runs, of all M, whose largest logit is that class's.
    rest: float32 (N,), sum of the mean probabilities of the classes that are not kept.
    run_votes: unsigned (N, m), the class of each run's largest logit, for the first m runs.
    """

    class_count: int
    single: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    classes: npt.NDArray[np.unsignedinteger[Any]]
    mean: npt.NDArray[np.float32]
    spread: npt.NDArray[np.float32]
    votes: npt.NDArray[np.unsignedinteger[Any]]
    rest: npt.NDArray[np.float32]
    run_votes: npt.NDArray[np.unsignedinteger[Any]]

    @property
    def probabilities(self) -> ClassProbabilities:
        """The mean probabilities."""
        return ClassProbabilities(self.class_count, self.classes, self.mean, self.rest)

    @property
    def has_all_votes(self) -> bool:
        """Whether `votes_for` is exact for every class."""
        return self.run_votes.shape[1] == len(self.single) or self.probabilities.is_complete

    def votes_for(self, classes: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Return how many runs vote for one class of each example, int64 (N,). classes: (N,).

        Exact for the label, the predicted class, and all that are kept; with at most m runs for every class.
        With more runs, a class that is not kept has no more votes than the five that have most, and gets the
        votes of the first m runs, scaled to all.
        """
        place, is_kept = place_of(self.classes, classes)
        votes = self.votes[np.arange(len(place)), place].astype(np.int64)
        others = np.flatnonzero(~is_kept)
        of_first = (self.run_votes[others] == classes[others, None]).sum(1)
        votes[others] = np.rint(of_first * (len(self.single) / self.run_votes.shape[1]))
        return votes

    def of_example(self, index: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return the classes that are kept of an example, rising, and of each its mean, spread and votes.

        int64 (k,), each class once, and float64 (3, k).
        """
        classes, place = np.unique(self.classes[index], return_index=True)
        facts = np.stack([of[index][place].astype(np.float64) for of in (self.mean, self.spread, self.votes)])
        return classes.astype(np.int64), facts
