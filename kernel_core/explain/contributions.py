"""Why two examples are similar: the kernel's value taken apart by class and by run.

    K(a, b) = 1/C * sum over c of 1/M * sum over r of a[c, r] * b[c, r]

for examples a and b standardized over the runs, so each term a[c, r] * b[c, r] / (C * M) is what run r adds to the
value in class c: summed over the runs it is the class's bar, (M-1)/M times the class's correlation over C; summed
over the classes it is what the run adds; summed over both it is the value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Explanation:
    """A pair's value taken apart.

    a, b: float64 (C, M): the two examples' log-softmax, standardized over the runs. contributions: float64 (C, M): what each
    run adds to the value in each class.
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
        """What each class adds to the value: (C,); they add up to it."""
        return np.asarray(self.contributions.sum(1))

    @property
    def by_run(self) -> Numbers:
        """What each run adds to the value: (M,); they add up to it."""
        return np.asarray(self.contributions.sum(0))

    @property
    def correlations(self) -> Numbers:
        """Each class's Pearson correlation over the runs: (C,), in [-1, 1]; 0 for a class that does not vary."""
        C, M = self.contributions.shape  # classes, runs
        return np.asarray(self.by_class * (C * M / (M - 1)))


def explain(a: Numbers, b: Numbers) -> Explanation:
    """Take the value of a pair apart. a, b: float64 (C, M), standardized with the unbiased deviation."""
    return Explanation(a, b, a * b / a.size)


def most_influential_runs(added: Numbers, count: int = 3) -> npt.NDArray[np.int64]:
    """The runs that add or take away most, the largest first; of equals the lower. added: (M,), what each run adds."""
    return np.argsort(-np.abs(added), kind="stable")[:count]
