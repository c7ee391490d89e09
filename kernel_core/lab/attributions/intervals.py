"""Intervals by a bootstrap over the held-out sets and the query examples at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernel_core.lab.attributions.asked import Values
from kernel_core.lab.attributions.datamodels import correlations

RESAMPLES = 1_000


@dataclass(frozen=True)
class Estimate:
    """A number, and the ends of its 95% interval."""

    value: float
    low: float
    high: float

    @classmethod
    def around(cls, value: float, error: float) -> Estimate:
        """Return an estimate with an interval of 1.96 standard errors on either side."""
        return cls(value, value - 1.96 * error, value + 1.96 * error)

    @classmethod
    def of_mean(cls, values: Values) -> Estimate:
        """Return the mean of a few values, with the interval of Student's t."""
        from scipy.stats import t

        mean, error = float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5)
        half = float(t.ppf(0.975, len(values) - 1)) * error
        return cls(mean, mean - half, mean + half)

    def words(self, digits: int) -> str:
        """Return it as in "0.36 (0.34 to 0.38)"."""
        return f"{self.value:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


@dataclass(frozen=True, eq=False)
class Drawn:
    """A number, and what it is when sets and examples are drawn anew, (RESAMPLES,)."""

    value: float
    again: Values

    def estimate(self) -> Estimate:
        """Return it with its interval."""
        return Estimate.around(self.value, float(self.again.std()))

    def minus(self, other: Drawn) -> Estimate:
        """Return the difference of two numbers that were drawn alike."""
        return Drawn(self.value - other.value, self.again - other.again).estimate()


class Resampled:
    """How often each of m held-out sets and n query examples is drawn, alike for all that is compared."""

    def __init__(self, sets: int, queries: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.sets: Values = random.multinomial(sets, np.full(sets, 1 / sets), RESAMPLES) / sets
        self.queries: Values = random.multinomial(queries, np.full(queries, 1 / queries), RESAMPLES) / queries

    def correlation(self, first: Values, second: Values) -> Drawn:
        """Return the mean over the query examples of the correlation over the sets. first, second: (m, n).

        What never changes over the sets has a correlation of 0.
        """
        value = float(correlations(first, second).mean())
        across, of_x, of_y = self._moments(first, second)
        return Drawn(value, (_over(across, np.sqrt(of_x * of_y)) * self.queries).sum(1))

    def slope(self, first: Values, second: Values) -> Drawn:
        """Return the slope of the second on the first over the sets, of all query examples together."""
        x, y = first - first.mean(0), second - second.mean(0)
        value = float(_over((x * y).sum(), (x**2).sum()))
        across, of_x, _ = self._moments(first, second)
        return Drawn(value, _over((across * self.queries).sum(1), (of_x * self.queries).sum(1)))

    def _moments(self, first: Values, second: Values) -> tuple[Values, Values, Values]:
        """Return covariance and variances over the sets that are drawn, each (RESAMPLES, n)."""
        x, y = first - first.mean(0), second - second.mean(0)
        mean_x, mean_y = self.sets @ x, self.sets @ y
        of_x, of_y = self.sets @ x**2 - mean_x**2, self.sets @ y**2 - mean_y**2
        return self.sets @ (x * y) - mean_x * mean_y, np.maximum(of_x, 0), np.maximum(of_y, 0)


def _over(top: Values, bottom: Values) -> Values:
    """Return the quotient, and 0 where the divisor is 0 but for rounding."""
    found: Values = np.divide(top, bottom, out=np.zeros(np.shape(top)), where=bottom > 1e-12)
    return found
