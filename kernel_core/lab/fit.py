"""Curves through shares by number of runs, level − drop · (n / first n)^(−rate), and how sure they are.

A curve is not one best fit but many draws from what the shares allow. For each rate of `RATES`, level and
drop are a linear problem with normal errors, of which a level in its range is kept; a drop below 0 is a curve
that falls. Before the shares are seen, all levels and drops, and all logarithms of the rate, are equally
likely. Where the shares do not tell how a curve goes on, the draws go apart.

A size counts less the fewer runs it has, as the curve has to hold near the largest: its error is taken as
larger by the ratio of the two sizes. Errors are widened by what the best curve misses beyond them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

Values = npt.NDArray[np.float64]
RATES = np.geomspace(0.05, 3, 48)
LEAST = 4  # numbers of runs that a curve is drawn through
EXPONENT = 0.5  # the variance over sets of n runs falls as n^−EXPONENT; measured: 0.3 to 0.9
MOST_NORMAL = 4.0  # of a normal quantile: a share of 99.997%
VAGUE = 0.05  # length of the interval of a level, above which the level is not known
TOO_MANY = 0.1  # share of draws with the lowest rate, above which slower ones are likely too


@dataclass(frozen=True)
class Spread:
    """How much the share of one set of runs varies with the choice of the runs.

    variance: that of sets of one run, by the power law. freedom: number of differences between sets that it
    was found from.
    """

    variance: float
    freedom: int

    def of_one(self, n: Values) -> Values:
        """Return the standard deviation of the share of one set of n runs."""
        found: Values = np.sqrt(self.variance * n**-EXPONENT)
        return found


def spread_of(values: Sequence[Sequence[float]], n: Values, trials: int) -> Spread:
    """Return how much sets of equal size differ, pooled over the sizes.

    values: the shares of the sets, by size. n: the sizes. trials: number of examples that a share is of; no
    spread is smaller than what rounding to whole examples gives.
    """
    freedom = sum(len(of) - 1 for of in values)
    squares = [np.var(of) * len(of) * size**EXPONENT for of, size in zip(values, n, strict=True)]
    least = float(n[0] ** EXPONENT) / (12 * trials**2)
    return Spread(max(float(sum(squares)) / max(freedom, 1), least), freedom)


@dataclass(frozen=True, eq=False)
class Curves:
    """Curves that fit, drawn at random: level, drop and rate of each, all (d,). first: the smallest n.

    normal: whether level and drop are of the share's normal quantile instead of the share.
    """

    level: Values
    drop: Values
    rate: Values
    first: float
    normal: bool = False

    def at(self, n: float) -> Values:
        """Return the share on each curve at n runs, (d,); that which a curve approaches at n = inf."""
        found: Values = self.level - self.drop * (n / self.first) ** -self.rate
        return ndtr(found) if self.normal else found

    @property
    def known(self) -> bool:
        """Whether the shares tell where the curve ends, within `VAGUE`; the lowest rate cuts off few."""
        low, high = np.quantile(self.at(np.inf), (0.025, 0.975))
        at_end = float((self.rate == RATES[0]).mean())
        return at_end <= TOO_MANY and bool(high - low <= VAGUE)


def draw_curves(
    n: Values,
    shares: Values,
    sets: Values,
    spread: Spread,
    random: np.random.Generator,
    *,
    each: int = 20,
    bounds: tuple[float, float] = (0, 1),
    normal: bool = False,
) -> Curves:
    """Return curves that the shares allow: `each` for each row of `shares`.

    n: numbers of runs, rising, (k,), at least `LEAST`. shares: means over the sets, (r, k), of r resamples of
    the examples, or of them as they are (r = 1). sets: how many sets each is of, (k,). spread: of the shares
    of single sets. bounds: of the level; (-1, 1) for differences of shares. normal: draw the curves through
    the shares' normal quantiles, for shares that go from near 0 to near 1.
    """
    error = spread.of_one(n) / np.sqrt(sets) * (n[-1] / n)
    if normal:
        bounds = (-MOST_NORMAL, MOST_NORMAL)
        shares = ndtri(shares.clip(ndtr(bounds[0]), ndtr(bounds[1])))
        error = error / (np.exp(-(shares.mean(0) ** 2) / 2) / np.sqrt(2 * np.pi))
    terms = np.stack([np.stack([np.ones_like(n), -((n / n[0]) ** -rate)], 1) for rate in RATES])
    terms, scaled = terms / error[:, None], shares / error  # (rates, k, 2), (r, k)
    covariance = np.linalg.inv(terms.transpose(0, 2, 1) @ terms)  # of level and drop, (rates, 2, 2)
    best = np.einsum("jab,jkb,rk->rja", covariance, terms, scaled)  # (r, rates, 2)
    misses = ((np.einsum("jkb,rjb->rjk", terms, best) - scaled[:, None]) ** 2).sum(2)
    possible = (best[..., 0] >= bounds[0]) & (best[..., 0] <= bounds[1])
    wider = _widening(misses, possible, len(n) - 3, spread.freedom, random)
    found = _Found(misses, best, covariance, wider)
    return Curves(*found.drawn(bounds, random, each), float(n[0]), normal)


def _widening(
    misses: Values, possible: npt.NDArray[np.bool_], left: int, freedom: int, random: np.random.Generator
) -> Values:
    """Return by which factor the errors of each resample are widened, (r, 1).

    It is what the best curve misses beyond the errors, and is drawn as widely as the errors are unknown.
    left: sizes less what a curve takes. freedom: that of the errors.
    """
    least = np.where(possible, misses, np.inf).min(1)
    least = np.where(np.isfinite(least), least, misses.min(1))
    known = max(freedom, 1)
    factor = np.sqrt(np.maximum(1, least / left) * known / random.chisquare(known, len(misses)))
    found: Values = factor[:, None]
    return found


@dataclass(frozen=True, eq=False)
class _Found:
    """By resample and rate: sum of squares (r, j), best level and drop (r, j, 2), covariance (j, 2, 2).

    wider: factor on the errors, (r, 1).
    """

    misses: Values
    best: Values
    covariance: Values
    wider: Values

    def drawn(
        self, bounds: tuple[float, float], random: np.random.Generator, each: int
    ) -> tuple[Values, Values, Values]:
        """Draw a rate, a level within the bounds and a drop, each as likely as those before say."""
        level_error = np.sqrt(self.covariance[:, 0, 0]) * self.wider  # (r, rates)
        slope = self.covariance[:, 1, 0] / self.covariance[:, 0, 0]
        drop_error = np.sqrt(self.covariance[:, 1, 1] - slope * self.covariance[:, 1, 0]) * self.wider
        low, high = (ndtr((end - self.best[..., 0]) / level_error) for end in bounds)
        likely = -self.misses / (2 * self.wider**2) + np.log(level_error * drop_error)
        rate = _chosen(np.exp(likely - likely.max(1, keepdims=True)) * (high - low), each, random)
        rows = np.arange(len(rate))[:, None]
        between = low[rows, rate] + random.random(rate.shape) * (high - low)[rows, rate]
        off = level_error[rows, rate] * ndtri(between.clip(1e-300, 1 - 1e-16))
        drop = self.best[rows, rate, 1] + slope[rate] * off
        drop += drop_error[rows, rate] * random.normal(size=rate.shape)
        level = self.best[rows, rate, 0] + off
        return level.ravel(), drop.ravel(), RATES[rate.ravel()]


def _chosen(weight: Values, count: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return `count` columns of each row, drawn by their weights, (r, count)."""
    sums = weight.cumsum(1)
    drawn = random.random((len(weight), count)) * sums[:, -1:]
    return np.stack([np.searchsorted(of, at, side="right") for of, at in zip(sums, drawn, strict=True)]).clip(
        max=weight.shape[1] - 1
    )
