"""How the similarities of a ranking of pairs are distributed, and how often labels agree along it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

BINS = 60  # of the histogram
POINTS = 400  # of the label agreement curve; a screen has no more pixels to draw it


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of similarities in bins of equal width.

    edges: float64 (bins + 1,), rising.
    counts: int64 (bins,).
    first, last: int64 (bins,), the ranks in each bin; an empty bin's last rank is one below its first.
    """

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]


def histogram(similarities: npt.NDArray[np.float32], bins: int = BINS) -> Histogram:
    """Return the histogram of similarities; a single bin if all are equal.

    similarities: float (N,) in any order, with N at least 1. A value on an edge belongs to the bin above it,
    the largest value to the last bin.
    """
    values = np.asarray(similarities, np.float64)
    low, high = float(values.min()), float(values.max())
    if low == high:
        edges = np.array([low, high])
        counts = np.array([len(values)])
    else:
        edges = np.linspace(low, high, bins + 1)
        counts = np.histogram(values, edges)[0].astype(np.int64)
    last = np.cumsum(counts[::-1])[::-1]
    return Histogram(edges, counts, last - counts + 1, last)


def window_length(count: int) -> int:
    """Return the number of ranks that the running share of a ranking averages: a twentieth, from 20 to 500.

    It is never more than the `count` ranks there are.

    >>> window_length(10_000), window_length(500), window_length(40), window_length(9)
    (500, 25, 20, 9)
    """
    return min(count, max(20, min(500, count // 20)))


def label_agreement_curve(agrees: npt.NDArray[np.bool_], window: int, points: int = POINTS) -> pd.DataFrame:
    """Return how often labels agree along a ranking, at up to `points` ranks with the first and the last.

    agrees: bool (N,), by rank, with N at least 1. window: number of ranks averaged, 1 … N.
    Columns: rank (1 … N), running (share of the ranks in the window around it that agree, 0 … 1; near the
    ends the window is shifted inward), cumulative (share of this rank and all before it that agree, 0 … 1).
    """
    count = len(agrees)
    agreeing = np.concatenate([[0], np.cumsum(agrees)])  # (N + 1,): element n counts the first n ranks
    rank = np.unique(np.linspace(1, count, min(points, count)).round().astype(np.int64))
    start = np.clip(rank - 1 - window // 2, 0, count - window)
    return pd.DataFrame(
        {
            "rank": rank,
            "running": (agreeing[start + window] - agreeing[start]) / window,
            "cumulative": agreeing[rank] / rank,
        }
    )
