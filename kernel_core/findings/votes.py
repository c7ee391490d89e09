"""The label that an example's neighbors vote for, by majority or weighted, and how often it is right."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.records import Neighbors

CONFIDENCE = 0.95  # of every interval of a share
BLOCK_CELLS = 65_536  # examples times classes at a time
Labels = npt.NDArray[np.int64]  # class numbers, (N,) or (n, k)


def knn_vote(neighbor_labels: Labels, class_count: int) -> Labels:
    """Return the most frequent label of each row, (n,); ties go to the smallest. neighbor_labels: (n, k).

    >>> knn_vote(np.array([[2, 1, 0], [1, 2, 2]]), 3)
    array([0, 2])
    """
    return weighted_vote(neighbor_labels, np.ones(neighbor_labels.shape), class_count)


def weighted_vote(neighbor_labels: Labels, weights: npt.NDArray[np.float64], class_count: int) -> Labels:
    """Return the label with the largest sum of weights in each row, (n,); ties go to the smallest.

    neighbor_labels, weights: (n, k), weights at least 0.
    """
    winners = np.empty(len(neighbor_labels), np.int64)
    for rows in blocks(len(winners), class_count):
        winners[rows] = class_weights(neighbor_labels[rows], weights[rows], class_count).argmax(1)
    return winners


def class_weights(
    neighbor_labels: Labels, weights: npt.NDArray[np.float64], class_count: int
) -> npt.NDArray[np.float64]:
    """Return the sum of weights of each label in each row, (n, C). Parameters: as of `weighted_vote`."""
    n, _k = neighbor_labels.shape
    sums = np.empty((n, class_count))
    for rows in blocks(n, class_count):
        cells = np.arange(rows.stop - rows.start)[:, None] * class_count + neighbor_labels[rows]
        of_block: npt.NDArray[Any] = np.bincount(
            cells.ravel(), weights[rows].ravel(), minlength=sums[rows].size
        )
        sums[rows] = of_block.reshape(-1, class_count)
    return sums


def blocks(n: int, class_count: int) -> Iterator[slice]:
    """Yield slices of n rows, of which a table of all classes fits a core's cache."""
    size = max(256, BLOCK_CELLS // class_count)
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def neighbor_weights(neighbors: Neighbors, k: int, *, weighted: bool) -> npt.NDArray[np.float64]:
    """Return how much each of the k nearest counts in a vote, (n, k), or fewer columns if fewer are kept.

    weighted: by similarity to the fourth power, as on the dataset card; otherwise each neighbor counts 1. A
    negative similarity has weight 0: the card's `values**4` would give it a positive one. So minus a distance
    has no weighted vote.
    """
    values = neighbors.values[:, :k]
    return fourth_power(values) if weighted else np.ones(values.shape)


def fourth_power(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return values to the fourth power, negative ones as 0; ten times as fast as NumPy's power."""
    weights: npt.NDArray[np.float64] = np.maximum(values, 0).astype(np.float64)
    np.square(weights, out=weights)
    return np.square(weights, out=weights)


def knn_accuracy(neighbors: Neighbors, query_labels: Labels, database_labels: Labels, k: int = 3) -> float:
    """Return the share of query examples whose label is the majority vote of their k nearest neighbors."""
    return _accuracy(neighbors, query_labels, database_labels, neighbor_weights(neighbors, k, weighted=False))


def weighted_knn_accuracy(
    neighbors: Neighbors, query_labels: Labels, database_labels: Labels, k: int = 20
) -> float:
    """Return the share of query examples whose label is the weighted vote of their k nearest neighbors."""
    return _accuracy(neighbors, query_labels, database_labels, neighbor_weights(neighbors, k, weighted=True))


def _accuracy(
    neighbors: Neighbors, query_labels: Labels, database_labels: Labels, weights: npt.NDArray[np.float64]
) -> float:
    """Return how often the vote of the nearest neighbors is right. weights: (n, k), of `neighbor_weights`."""
    class_count = int(max(query_labels.max(), database_labels.max())) + 1
    nearest = database_labels[neighbors.indices[:, : weights.shape[1]]]  # (n, k)
    return float((weighted_vote(nearest, weights, class_count) == query_labels).mean())


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return both ends of Wilson's interval for a share, 0 … 1, at `CONFIDENCE`. trials: at least 1.

    Formula: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    z, share = NormalDist().inv_cdf((1 + CONFIDENCE) / 2), successes / trials
    middle = share + z**2 / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    low, high = (middle - half) / scale, (middle + half) / scale
    return (low if successes else 0.0), (high if successes < trials else 1.0)
