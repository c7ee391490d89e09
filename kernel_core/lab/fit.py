"""A curve through shares by number of runs: level − drop · n^(−rate)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
RATES = np.geomspace(0.05, 3, 60)


@dataclass(frozen=True)
class Fit:
    """A fitted curve. level: the share that it approaches, at most 1. drop, rate: at least 0."""

    level: float
    drop: float
    rate: float


def fit_shares(n: Values, shares: Values) -> Fit:
    """Return the curve with the least squares, the rate being one of `RATES`.

    n: numbers of runs, rising. shares: 0 … 1, as many. For each rate, level and drop are a linear problem.

    >>> n = np.array([5.0, 10, 20, 50, 100])
    >>> found = fit_shares(n, 0.9 - 0.5 / n)
    >>> round(found.level, 2), round(found.rate, 1)
    (0.9, 1.0)
    """
    best, least = Fit(float(shares[-1]), 0.0, 1.0), np.inf
    for rate in RATES:
        design = np.stack([np.ones_like(n), -(n**-rate)], 1)
        (level, drop), *_ = np.linalg.lstsq(design, shares, rcond=None)
        if not (0 <= level <= 1 and drop >= 0):
            continue
        squares = float(((design @ [level, drop] - shares) ** 2).sum())
        if squares < least:
            best, least = Fit(float(level), float(drop), float(rate)), squares
    return best


def fitted(fit: Fit, n: float) -> float:
    """Return the share on a curve at n runs."""
    return float(fit.level - fit.drop * n**-fit.rate)
