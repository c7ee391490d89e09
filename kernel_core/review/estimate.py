"""How many positives there are in all of a ranking, from verdicts on some of its items, with 95% intervals.

Items judged because of their place in a list are a census: what is known of them has no variance, whatever
chance did to them. The others of a stratum, N_h of them, are known by n_h that were drawn at random. Because
the census was not chosen by the draw, these n_h are a simple random sample of those N_h.

    T = K + Σ N_h p_h           K: positives of the census; p_h: share of positives among the n_h
    Var T = Σ N_h² (1 − n_h / N_h) p_h (1 − p_h) / (n_h − 1)                           (Cochran, 1977, 5.5)

The normal interval from this variance covers far too rarely where positives are few (docs/leaks.md has the
trial). The intervals here put together exact ones of each stratum, from the hypergeometric distribution, as
Zou and Donner do ("Construction of confidence limits about effect measures", 2008, MOVER): the squares of
the distances from the estimate add up. Where none of n_h is positive, the upper limit is
N_h (1 − 0.05^(1/n_h)).
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.review.sampling import Stratum, default_strata, next_strata

CONFIDENCE = 0.95
MISSED = 1 - CONFIDENCE
STRATA_COLUMNS = [
    "stratum", "first", "last", "size", "census", "census_found", "census_unsure", "rest", "drawn", "found",
    "unsure", "estimate", "low", "high",
]  # fmt: skip
PLAN_COLUMNS = ["more", "low", "high", "width"]
MORE = 50, 100, 200, 400, 800  # further verdicts that a plan is for


@dataclass(frozen=True, eq=False)
class Total:
    """The positives of a ranking: an estimate with a 95% interval.

    estimate: T; an unsure verdict counts as no positive. low, high: the interval; in the upper limit unsure
    verdicts count as positives. variance: Var T; a stratum with one draw counts with the largest share, 1/2.
    found, judged, unsure: positives, verdicts, and unsure ones among them. unknown: items of strata of which
    nothing was drawn; the estimate has none of them, the upper limit all. strata: a row per stratum, with
    `STRATA_COLUMNS`: the numbers of the census, of the rest, and of the draws from it; estimate, low and high
    are of the whole stratum.
    """

    count: int
    estimate: float
    low: float
    high: float
    variance: float
    found: int
    judged: int
    unsure: int
    unknown: int
    strata: pd.DataFrame

    @property
    def drawn(self) -> int:
        """Verdicts of the random sample."""
        return int(self.strata["drawn"].sum())


def wilson(found: int, total: int) -> tuple[float, float]:
    """Return the 95% Wilson interval of a share, 0 … 1. All that one knows of none of none is 0 … 1.

    >>> [round(limit, 4) for limit in wilson(10, 100)]
    [0.0552, 0.1744]
    """
    if not total:
        return 0.0, 1.0
    from scipy.stats import binomtest  # takes 0.5 s to import

    interval = binomtest(int(found), int(total)).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def estimate_total(count: int, judged: pd.DataFrame, strata: Sequence[Stratum] | None = None) -> Total:
    """Return how many positives a ranking of `count` items has.

    judged: one row per item that is judged, as `along_ranking.judged_along` returns: rank (1 … count),
    positive (1.0 or 0.0, nan for unsure) and sampled (bool: drawn at random; else part of the census).
    strata: from which the sample was drawn, by default `default_strata`; if they are only some of the
    ranking, the result is about these.
    """
    strata = default_strata(count) if strata is None else strata
    table = _counted(strata, judged)
    found, unsure = (int(table[["census" + end, start]].to_numpy().sum())
                     for end, start in (("_found", "found"), ("_unsure", "unsure")))  # fmt: skip
    number = int(table[["census", "drawn"]].to_numpy().sum())
    counts = _counts(table)
    estimate, low, high = _limits(counts)
    each = np.array([_limits([row]) for row in counts]).reshape(-1, 3)
    table["estimate"], table["low"], table["high"] = each.T
    size, unknown = (int(sizes.sum()) for sizes in (table["size"], table.loc[table["drawn"] == 0, "rest"]))
    low, high = max(low, found), min(high, size - (number - found - unsure))
    return Total(size, estimate, low, high, _variance(table), found, number, unsure, unknown, table)


def plan_more(total: Total, more: Sequence[int] = MORE) -> pd.DataFrame:
    """Return what further verdicts of the sample buy, with `PLAN_COLUMNS`: one row per number of them.

    more: numbers of further verdicts; at most as many as are left. low, high, width: the interval to expect
    if each stratum goes on as it began. One with no positive so far, or of which nothing was drawn, is
    expected to have none: the interval will be wider if it has some.
    """
    rest, drawn = (total.strata[name].to_numpy(np.int64) for name in ("rest", "drawn"))
    left = int((rest - drawn).sum())
    rows = []
    for number in sorted({min(number, left) for number in more if left}):
        then = drawn + np.bincount(next_strata(rest, drawn, number), minlength=len(rest))
        table = total.strata.assign(drawn=then)
        for name in ("found", "unsure"):
            share = total.strata[name] / np.maximum(drawn, 1)
            table[name] = (share * then).round().astype(np.int64)
        _, low, high = _limits(_counts(table))
        rows.append((number, max(low, total.found), min(high, total.count), high - low))
    return pd.DataFrame(rows, columns=PLAN_COLUMNS)


def _counted(strata: Sequence[Stratum], judged: pd.DataFrame) -> pd.DataFrame:
    """Return the strata with the numbers of verdicts on their items, the columns up to `unsure`."""
    table = pd.DataFrame([(s.name, s.first, s.last, len(s)) for s in strata], columns=STRATA_COLUMNS[:4])
    rank, positive = judged["rank"].to_numpy(np.int64), judged["positive"].to_numpy(float)
    sampled = judged["sampled"].to_numpy(bool)
    number = np.searchsorted(table["last"].to_numpy(np.int64), rank)
    inside = number < len(table)
    inside[inside] = table["first"].to_numpy(np.int64)[number[inside]] <= rank[inside]
    kinds = np.ones_like(inside), positive == 1, np.isnan(positive)  # all, found, unsure

    def numbers(part: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.int64]]:
        return [np.bincount(number[inside & part & kind], minlength=len(table)) for kind in kinds]

    table["census"], table["census_found"], table["census_unsure"] = numbers(~sampled)
    table["rest"] = table["size"] - table["census"]
    table["drawn"], table["found"], table["unsure"] = numbers(sampled)
    return table


def _counts(table: pd.DataFrame) -> list[tuple[int, ...]]:
    """Return what `_limits` takes of each stratum."""
    names = "census_found", "census_unsure", "rest", "drawn", "found", "unsure"
    return list(zip(*(table[name].tolist() for name in names), strict=True))


def _limits(strata: Sequence[tuple[int, ...]]) -> tuple[float, float, float]:
    """Return the estimate and the interval of the sum of some strata.

    Each limit is that of the whole: positives of the census, and of the rest as the squares of the distances
    add up. What nothing was drawn of is none in the lower limit and all in the upper.
    """
    known, possible = 0.0, 0.0  # positives without and with the unsure
    below, above = 0.0, 0.0  # squares
    for census_found, census_unsure, rest, drawn, found, unsure in strata:
        known += census_found
        possible += census_found + census_unsure
        if not drawn:
            possible += rest
            continue
        low, at_low = _stratum(found, drawn, rest)[0], rest * found / drawn
        most = found + unsure
        high, at_high = _stratum(most, drawn, rest)[1], rest * most / drawn
        known, possible = known + at_low, possible + at_high
        below, above = below + (at_low - low) ** 2, above + (high - at_high) ** 2
    return known, known - below**0.5, possible + above**0.5


@functools.lru_cache(4_096)
def _stratum(found: int, drawn: int, size: int) -> tuple[float, float]:
    """Return the 95% interval of the positives of a stratum, of which `drawn` of `size` show `found`.

    The exact one: numbers of positives under which as few, and as many, are no rarer than 2.5%.
    """
    from scipy.stats import hypergeom  # takes 0.5 s to import

    if not found:
        return 0.0, min(size * (1 - MISSED ** (1 / drawn)), size - drawn)
    possible, tail = range(found, size - (drawn - found) + 1), MISSED / 2
    low = bisect_left(possible, True, key=lambda k: bool(hypergeom.sf(found - 1, size, k, drawn) > tail))
    above = bisect_left(possible, True, key=lambda k: bool(hypergeom.cdf(found, size, k, drawn) <= tail))
    return float(possible[low]), float(possible[above - 1])


def _variance(table: pd.DataFrame) -> float:
    """Return Var T."""
    drawn = table[table["drawn"] > 0]
    size, n = drawn["rest"].to_numpy(float), drawn["drawn"].to_numpy(float)
    share = np.where(n > 1, drawn["found"].to_numpy(float) / n, 0.5)
    return float((size**2 * (1 - n / np.maximum(size, 1)) * share * (1 - share) / np.maximum(n - 1, 1)).sum())
