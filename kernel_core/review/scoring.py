"""How well a ranking of examples by their nearest neighbor finds known pairs, with bootstrap intervals.

An example is positive if a known pair of it is listed. Examples without a listed pair are unknown: some have
a twin that nobody listed. They count as none here, so that the precision at each depth is a lower limit of
the true one, and average precision the mean of these lower limits over the listed examples.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kernel_core.records import Neighbors
from kernel_core.review.judged import Pair
from kernel_core.review.truth import is_twin, ways
from kernel_core.review.verdicts import UNSURE

REPEATS = 1_000  # bootstrap resamples
Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Steps = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
MEASURES = {
    "average_precision": "average precision",
    "recall_at_positives": "recall at the number of positives",
    "twin_first": "a listed twin is the nearest",
    "auroc": "AUROC over judged pairs",
}
"""Measure → what it is called."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """One ranking against known pairs.

    score: float64 (n,), of each query example with its nearest. positive: bool (n,), whether it has a listed
    twin. first: bool (n,), whether its nearest is one. pair_score: float64 (p,), of each judged pair;
    -inf where it is in no list of neighbors. pair_positive: bool (p,).
    """

    score: Values
    positive: Mask
    first: Mask
    pair_score: Values
    pair_positive: Mask

    @cached_property
    def _steps(self) -> Steps:
        return steps_of(self.score)

    @cached_property
    def _pair_steps(self) -> Steps:
        return steps_of(self.pair_score)

    def measures(self, weights: Values | None = None, pair_weights: Values | None = None) -> Values:
        """Return the values of `MEASURES`, nan where there is none. weights: of examples, and of pairs."""
        weights = np.ones(len(self.score)) if weights is None else weights
        pair_weights = np.ones(len(self.pair_score)) if pair_weights is None else pair_weights
        positives = weights[self.positive].sum()
        return np.array(
            [
                average_precision(self._steps, self.positive, weights),
                recall_at_positives(self._steps, self.positive, weights),
                weights[self.first].sum() / positives if positives else np.nan,
                auroc(self._pair_steps, self.pair_positive, pair_weights),
            ]
        )


def ranked(neighbors: Neighbors, known: Mapping[Pair, str], leaked: Collection[str]) -> Ranked:
    """Return a ranking against known pairs.

    neighbors: by the similarity or the twin score, its values falling along each row. known: by pair, a
    verdict; pairs of other splits are left out. leaked: the verdicts that make a pair positive, beside
    `LISTED`; unsure ones are unknown.
    """
    query, database = neighbors.spec.splits
    count = len(neighbors.indices)
    positive, first = np.zeros(count, bool), np.zeros(count, bool)
    scores, signs = [], []
    for pair, verdict in sorted(known.items()):
        places = list(ways(pair, query, database))
        if not places or verdict == UNSURE:
            continue
        is_positive = is_twin(verdict, leaked)
        if is_positive:
            for i, j in places:
                positive[i] = True
                first[i] |= neighbors.indices[i, 0] == j
        scores.append(max(_value(neighbors, i, j) for i, j in places))
        signs.append(is_positive)
    score = neighbors.values[:, 0].astype(np.float64)
    return Ranked(score, positive, first, np.array(scores, np.float64), np.array(signs, bool))


def _value(neighbors: Neighbors, query: int, database: int) -> float:
    """Return the value of a pair; -inf if the query example's list does not have it."""
    found = np.flatnonzero(neighbors.indices[query] == database)
    return float(neighbors.values[query, found[0]]) if len(found) else -np.inf


def average_precision(steps: Steps, positive: Mask, weights: Values) -> float:
    """Return the average precision of scores, nan without positives. Equal scores count as one step.

    steps: of the scores. weights: of the examples. It is Σ (R_k − R_(k−1)) P_k over the steps, without
    interpolation, as in scikit-learn.
    """
    order, ends = steps
    found = np.cumsum(np.where(positive, weights, 0)[order])[ends]
    total = np.cumsum(weights[order])[ends]
    if not found.size or not found[-1]:
        return np.nan
    precision = np.divide(found, total, out=np.zeros_like(found), where=total > 0)
    return float((np.diff(found, prepend=0) * precision).sum() / found[-1])


def recall_at_positives(steps: Steps, positive: Mask, weights: Values) -> float:
    """Return the share of positives among as many first examples as there are positives, nan without any.

    Where that depth cuts equal scores, or an example of a resample, it takes its share of them.
    """
    order, ends = steps
    found = np.cumsum(np.where(positive, weights, 0)[order])[ends]
    total = np.cumsum(weights[order])[ends]
    if not found.size or not found[-1]:
        return np.nan
    return float(np.interp(found[-1], np.append(0, total), np.append(0, found)) / found[-1])


def auroc(steps: Steps, positive: Mask, weights: Values) -> float:
    """Return the chance that a positive has the larger score than a negative, ties as a half; nan if none."""
    order, ends = steps
    of_positive = np.cumsum(np.where(positive, weights, 0)[order])[ends]
    of_negative = np.cumsum(np.where(positive, 0, weights)[order])[ends]
    if not of_positive.size or not of_positive[-1] or not of_negative[-1]:
        return np.nan
    above = np.append(0, of_positive)
    wins = np.diff(of_negative, prepend=0) * (above[:-1] + above[1:]) / 2
    return float(wins.sum() / (of_positive[-1] * of_negative[-1]))


def steps_of(score: Values) -> Steps:
    """Return the order of falling scores, and the place in it of the last of each run of equal ones."""
    order = np.argsort(-score, kind="stable")
    falling = score[order]
    return order, np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(score) - 1)[: len(score)]


def intervals(
    rankings: Sequence[Ranked], seed: int = 0, repeats: int = REPEATS
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return 95% bootstrap intervals of the measures, and of their differences from the first ranking's.

    rankings: of the same examples and pairs. Each resample draws examples, and pairs, once for all rankings,
    so that differences are paired. Returns two arrays (rankings, measures, 2); nan where there is no value.
    """
    rng = np.random.default_rng(seed)
    values = np.empty((repeats, len(rankings), len(MEASURES)))
    examples, pairs = len(rankings[0].score), len(rankings[0].pair_score)
    for repeat in range(repeats):
        weights = [np.bincount(rng.integers(0, n, n), minlength=n).astype(float) if n else np.empty(0)
                   for n in (examples, pairs)]  # fmt: skip
        values[repeat] = [ranking.measures(*weights) for ranking in rankings]
    return _percentiles(values), _percentiles(values - values[:, :1])


def _percentiles(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the 2.5th and 97.5th percentile over the first axis, as the last; nan where all are."""
    limits = np.full((*values.shape[1:], 2), np.nan)
    known = ~np.isnan(values).all(axis=0)
    limits[known] = np.nanpercentile(values[:, known], (2.5, 97.5), axis=0).T
    return limits
