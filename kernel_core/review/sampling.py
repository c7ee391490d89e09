"""A random sample along a ranking, by strata: which items to judge so that their number says how many in all.

A stratum is a range of ranks. Within each the items are drawn at random without replacement; how many of each
stratum are drawn depends on the strata and on the size of the sample alone, never on a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.errors import RequestError

SMALLEST = 32  # items of the first stratum, at least
FEW = 3  # draws of each stratum before any gets more: an interval from fewer says next to nothing
SAMPLE_COLUMNS = ["place", "rank", "stratum", "inclusion_probability"]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Stratum:
    """A range of ranks, from `first` to `last`, both part of it."""

    name: str
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


def default_strata(count: int) -> tuple[Stratum, ...]:
    """Return the strata of a ranking of `count` items, first ranks first.

    The last is the second half, the one before it the second quarter, and so on until fewer than 2 ·
    `SMALLEST` are left: at the top, where positives become rare quickly, they are finest.

    >>> [stratum.name for stratum in default_strata(500)]
    ['ranks 1-62', 'ranks 63-125', 'ranks 126-250', 'ranks 251-500']
    """
    lasts = [count] if count else []
    while lasts and lasts[-1] >= 2 * SMALLEST:
        lasts.append(lasts[-1] // 2)
    firsts = [*(last + 1 for last in lasts[1:]), 1]
    return tuple(
        Stratum(f"ranks {first}-{last}", first, last)
        for first, last in reversed(list(zip(firsts, lasts, strict=False)))
    )


def draw_sample(
    count: int, sample_size: int, seed: int, strata: Sequence[Stratum] | None = None
) -> pd.DataFrame:
    """Return which items of a ranking to judge, in the order in which to judge them, with `SAMPLE_COLUMNS`.

    count: items in the ranking. sample_size: at least 1; all items if there are fewer. strata: by default
    `default_strata`. place: 1 for the first to judge. rank: 1 … count. stratum: its name.
    inclusion_probability: share of the stratum that is drawn. The first n places of a sample are the sample
    of size n of the same seed, so that one can stop early, or go on. Depends on the arguments alone.
    Raises `RequestError` for a size below 1.
    """
    if sample_size < 1:
        raise RequestError(f"A sample of {sample_size} was asked for; expected at least 1.")
    strata = default_strata(count) if strata is None else tuple(strata)
    sizes = np.array([len(stratum) for stratum in strata], np.int64)
    of_place = next_strata(sizes, np.zeros_like(sizes), sample_size)
    drawn = np.bincount(of_place, minlength=len(strata))
    rank = np.empty(len(of_place), np.int64)
    for number, stratum in enumerate(strata):
        order = np.random.default_rng((seed, number)).permutation(len(stratum))
        rank[of_place == number] = stratum.first + order[: drawn[number]]
    return pd.DataFrame(
        {
            "place": np.arange(1, len(rank) + 1),
            "rank": rank,
            "stratum": np.array([stratum.name for stratum in strata], object)[of_place],
            "inclusion_probability": (drawn / np.maximum(sizes, 1))[of_place],
        }
    )


def next_strata(sizes: Counts, drawn: Counts, more: int) -> Counts:
    """Return the number of the stratum that each of the next draws is from, in order; fewer if all are drawn.

    sizes, drawn: (strata,), items in each stratum, and those of it that are drawn already.
    After `FEW` of each, draws are shared in proportion to the square roots of the sizes, by the divisor
    method of Webster, which never takes back a draw as the sample grows. Neyman's best shares are in
    proportion to N_h √(p_h (1 − p_h)); these are the same if all strata hold equally many positives, few of
    each: a power allocation (Bankier, 1988, "Power allocations").
    """
    left = np.maximum(sizes - drawn, 0)
    stratum = np.repeat(np.arange(len(sizes)), np.minimum(left, more))
    begins = np.cumsum(np.minimum(left, more)) - np.minimum(left, more)
    place = drawn[stratum] + np.arange(len(stratum)) - begins[stratum]
    turn = np.where(place < FEW, place - FEW, (place + 0.5) / np.sqrt(sizes[stratum]))
    return stratum[np.argsort(turn, kind="stable")[:more]]
