"""How little speaks for each label: the scores by which labels are put in order, each with its formula.

P_c is an example's probability of class c, averaged over the runs; V_c the share of its neighbors' weight
that is of class c, each neighbor weighing value⁴; y its label. Small scores are to be checked first.
Normalized margin, self-confidence and confident learning are those of the library cleanlab (Northcutt, Jiang
and Chuang 2021, "Confident learning: estimating uncertainty in dataset labels").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.findings.votes import Labels

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What speaks for and against the labels of n examples, among C classes, at least two.

    labels: (n,), as given. probabilities: float64 (n, C), P. shares: float64 (n, C), V; rows of 0 where no
    neighbor has weight. weight: float64 (n,), the sum of the neighbors' weights. nearness: (n,), the
    similarity of the nearest example, or the twin score of the twin. twin_label: (n,), of that example.
    flagged: bool (n,), which labels confident learning calls issues.
    """

    labels: Labels
    probabilities: Floats
    shares: Floats
    weight: Floats
    nearness: npt.NDArray[np.floating]
    twin_label: Labels
    flagged: Bools

    def of_label(self, values: Floats) -> Floats:
        """Return each row's value of its label, (n,). values: (n, C)."""
        chosen: Floats = np.take_along_axis(values, self.labels[:, None], 1)[:, 0]
        return chosen

    def of_others(self, values: Floats) -> tuple[Labels, Floats]:
        """Return each row's class with the largest value beside its label, and that value; both (n,).

        values: (n, C), at least 0. Where all are 0, the class is the likeliest beside the label. Ties go to
        the smallest.
        """
        classes, largest = self._largest_other(values)
        if (largest > 0).all():
            return classes, largest
        return np.where(largest > 0, classes, self._largest_other(self.probabilities)[0]), largest

    def _largest_other(self, values: Floats) -> tuple[Labels, Floats]:
        others = values.copy()
        np.put_along_axis(others, self.labels[:, None], -1.0, 1)
        return others.argmax(1), others.max(1)


@dataclass(frozen=True, eq=False)
class Scored:
    """An order of n examples.

    score: float64 (n,), small first. proposed: (n,), the class that stands against the label. ahead: which
    come first, whatever their score; None for none. ties: float64 (n,), small first among equal scores; None
    for the order of the indices. listed: which the order lists; None for all.
    """

    score: Floats
    proposed: Labels
    ahead: Bools | None = None
    ties: Floats | None = None
    listed: Bools | None = None

    @classmethod
    def joined(cls, parts: Sequence[Scored]) -> Scored:
        """Return one order of all examples from those of some each, all by the same score."""

        def join(name: str) -> npt.NDArray[Any]:
            return np.concatenate([getattr(part, name) for part in parts])

        optional = {n: join(n) for n in ("ahead", "ties", "listed") if getattr(parts[0], n) is not None}
        return cls(join("score"), join("proposed"), **optional)

    def order(self) -> npt.NDArray[np.intp]:
        """Return the places of the listed examples, the first to check first; equal ones by place."""
        n = len(self.score)
        ahead = np.zeros(n, bool) if self.ahead is None else self.ahead
        ties = np.zeros(n) if self.ties is None else self.ties
        order = np.lexsort((np.arange(n), ties, self.score, ~ahead))
        return order if self.listed is None else order[self.listed[order]]


def normalized_margin(evidence: Evidence) -> Scored:
    """Score labels by (P_y − max over c ≠ y of P_c + 1) / 2, from 0 to 1: cleanlab's normalized margin.

    A test compares it and the next with the library's, which takes a second to load.
    """
    proposed, against = evidence.of_others(evidence.probabilities)
    return Scored((evidence.of_label(evidence.probabilities) - against + 1) / 2, proposed)


def self_confidence(evidence: Evidence) -> Scored:
    """Score labels by P_y, from 0 to 1: cleanlab's self-confidence."""
    probabilities = evidence.probabilities
    return Scored(evidence.of_label(probabilities), evidence.of_others(probabilities)[0])


def confident_learning(evidence: Evidence) -> Scored:
    """Put the flagged labels first; these and the others by their normalized margin."""
    by_margin = normalized_margin(evidence)
    return Scored(by_margin.score, by_margin.proposed, ahead=evidence.flagged)


def agreement(evidence: Evidence) -> Scored:
    """Score labels by max(P_y, V_y) − max over c ≠ y of min(P_c, V_c), from −1 to 1.

    It is small where ensemble and neighbors speak for the same other class, and neither for the label.
    """
    proposed, against = evidence.of_others(np.minimum(evidence.probabilities, evidence.shares))
    for_label = np.maximum(evidence.of_label(evidence.probabilities), evidence.of_label(evidence.shares))
    return Scored(for_label - against, proposed)


def vote(evidence: Evidence) -> Scored:
    """Score labels by V_y − max over c ≠ y of V_c, from −1 to 1; of equal ones, the nearer neighbors first.

    Nearer: the larger sum of weights, which tells examples apart whose neighbors are all of one other class.
    """
    proposed, against = evidence.of_others(evidence.shares)
    return Scored(evidence.of_label(evidence.shares) - against, proposed, ties=-evidence.weight)


def twins(evidence: Evidence) -> Scored:
    """List only examples whose nearest, or twin, has another label, the most similar first.

    The score is minus the similarity, or minus the twin score.
    """
    score = -evidence.nearness.astype(np.float64)
    return Scored(score, evidence.twin_label, listed=evidence.twin_label != evidence.labels)
