"""How similar the nearest neighbors of all queries are, and how often the labels agree along their ranking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

BINS = 60
POINTS = 400  # of the curve, no more than there are pixels to draw it


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of similarities in bins of equal width.

    edges: float64 (bins + 1,), rising. counts: int64 (bins,). first, last: int64 (bins,), the ranks (1 is the most
    similar) of what lies in each bin; an empty bin's last rank is one below its first.
    """

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]


def histogram(similarities: npt.NDArray[np.float32], bins: int = BINS) -> Histogram:
    """The histogram of similarities, float (N,) in any order, N at least 1; one bin if all are equal.

    A value on an edge lies in the bin above it, the largest in the last bin.
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
    """How many ranks the running share of a ranking of `count` is over: a twentieth, 20 to 500, or all there are.

    >>> window_length(10_000), window_length(500), window_length(40), window_length(9)
    (500, 25, 20, 9)
    """
    return min(count, max(20, min(500, count // 20)))


def label_agreement_curve(agrees: npt.NDArray[np.bool_], window: int, points: int = POINTS) -> pd.DataFrame:
    """How often labels agree along a ranking. agrees: bool (N,), by rank, N at least 1. window: 1 … N ranks.

    Columns: rank (1 … N, at most `points` of them, first and last among them), running (the share of the window of
    ranks around it, shifted inwards at the ends, in [0, 1]), cumulative (of this rank and all before, in [0, 1]).
    """
    count = len(agrees)
    total = np.concatenate([[0], np.cumsum(agrees)])  # (N + 1,): how many of the first so many agree
    rank = np.unique(np.linspace(1, count, min(points, count)).round().astype(np.int64))
    start = np.clip(rank - 1 - window // 2, 0, count - window)
    return pd.DataFrame(
        {
            "rank": rank,
            "running": (total[start + window] - total[start]) / window,
            "cumulative": total[rank] / rank,
        }
    )
