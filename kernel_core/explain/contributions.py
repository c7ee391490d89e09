"""Why two examples are similar: the kernel's value split by class and by run.

    K(a, b) = 1/C * sum over c of 1/M * sum over r of a[c, r] * b[c, r]

for examples a and b standardized over the runs. So each term a[c, r] * b[c, r] / (C * M) is what run r
contributes in class c. The terms' sum over runs is the class's contribution, (M-1)/M times the class's
correlation over C; their sum over classes is the run's contribution; their sum over both is the value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Explanation:
    """A pair's value, split by class and run.

    a, b: float64 (C, M), the two examples' log-softmax, standardized over the runs.
    contributions: float64 (C, M), what each run contributes to the value in each class.
    """

    a: Numbers
    b: Numbers
    contributions: Numbers

    @property
    def value(self) -> float:
        """The kernel's value, in [-1, 1)."""
        return float(self.contributions.sum())

    @property
    def by_class(self) -> Numbers:
        """Each class's contribution, (C,); their sum is the value."""
        return np.asarray(self.contributions.sum(1))

    @property
    def by_run(self) -> Numbers:
        """Each run's contribution, (M,); their sum is the value."""
        return np.asarray(self.contributions.sum(0))

    @property
    def correlations(self) -> Numbers:
        """Each class's Pearson correlation over the runs, (C,) in [-1, 1]; 0 if the class does not vary."""
        C, M = self.contributions.shape  # classes, runs
        return np.asarray(self.by_class * (C * M / (M - 1)))


def explain(a: Numbers, b: Numbers) -> Explanation:
    """Split the value of a pair. a, b: float64 (C, M), standardized with the unbiased deviation."""
    return Explanation(a, b, a * b / a.size)


def most_influential_runs(contributions: Numbers, count: int = 3) -> npt.NDArray[np.int64]:
    """Return the runs with the largest contributions, positive or negative, the largest first.

    contributions: (M,), by run. Ties are ordered by run.
    """
    return np.argsort(-np.abs(contributions), kind="stable")[:count]
