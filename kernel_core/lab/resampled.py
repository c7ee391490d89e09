"""Shares by number of runs, of examples and sets of runs that are drawn again and again: a bootstrap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kernel_core.lab.curves import Points

Values = npt.NDArray[np.float64]
BLOCK = 50  # resamples whose weights are held at a time


def right_by_count(by_count: Points, measure: str) -> list[Values]:
    """Return by number of runs, of each set and example, whether a measure is right: 0 or 1, (sets, n)."""
    return [np.stack([point.right[measure] for point in of]).astype(np.float64) for of in by_count.values()]


def resampled_shares(right: Sequence[Values], repeats: int, seed: int, *, with_sets: bool = True) -> Values:
    """Return the mean share of each resample by number of runs, (repeats, counts).

    right: as of `right_by_count`. with_sets: draw anew among the sets of each size, too, where there are
    several. The same seed draws alike for all measures of the same examples, so that these can be compared.
    """
    random, n = np.random.default_rng(seed), right[0].shape[1]
    found = []
    for first in range(0, repeats, BLOCK):
        count = min(BLOCK, repeats - first)
        weights = random.multinomial(n, np.full(n, 1 / n), count) / n
        found.append(np.stack([_means(weights @ of.T, random, with_sets=with_sets) for of in right], 1))
    return np.concatenate(found)


def _means(shares: Values, random: np.random.Generator, *, with_sets: bool) -> Values:
    """Return the mean over the sets, or over as many drawn anew. shares: (repeats, sets)."""
    repeats, sets = shares.shape
    weights = random.multinomial(sets, np.full(sets, 1 / sets), repeats) / sets
    return np.asarray((shares * weights).sum(1) if with_sets else shares.mean(1))
