"""How well an ensemble and its neighbors predict labels: single runs, averaged logits, k-NN, weighted k-NN."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.records import Neighbors

Labels = npt.NDArray[np.int64]


def knn_vote(neighbor_labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.int64]:
    """The label most of the neighbors have, ties to the smallest. neighbor_labels: (n, k); returns (n,).

    >>> knn_vote(np.array([[2, 1, 0], [1, 2, 2]]), classes=3)
    array([0, 2])
    """
    return weighted_vote(neighbor_labels, np.ones(neighbor_labels.shape), classes)


def weighted_vote(
    neighbor_labels: npt.NDArray[np.int64], weights: npt.NDArray[Any], classes: int
) -> npt.NDArray[np.int64]:
    """The label with the largest sum of weights, ties to the smallest. Both arguments (n, k), weights >= 0."""
    n, _k = neighbor_labels.shape
    cells = (np.arange(n)[:, None] * classes + neighbor_labels).ravel()
    votes = np.bincount(cells, weights.ravel(), minlength=n * classes).reshape(n, classes)
    winners: npt.NDArray[np.int64] = votes.argmax(1)
    return winners


def neighbor_weights(neighbors: Neighbors, k: int, *, weighted: bool) -> npt.NDArray[np.float64]:
    """How much each of the k nearest counts in a vote, (n, k), fewer where fewer are kept; 1 if not `weighted`.

    Weighted is by similarity to the fourth power, after the dataset card. A negative similarity has weight 0 here; the
    author's `values**4` would make it count as a positive one. So there is no weighted vote by minus a distance.
    """
    values = neighbors.values[:, :k].astype(np.float64)
    return np.maximum(values, 0) ** 4 if weighted else np.ones(values.shape)


def knn_accuracy(neighbors: Neighbors, query_labels: Labels, database_labels: Labels, k: int = 3) -> float:
    """The share of query examples whose label is the majority of their k nearest neighbors' labels."""
    return _accuracy(neighbors, query_labels, database_labels, neighbor_weights(neighbors, k, weighted=False))


def weighted_knn_accuracy(
    neighbors: Neighbors, query_labels: Labels, database_labels: Labels, k: int = 20
) -> float:
    """The same with the k nearest weighted by similarity to the fourth power."""
    return _accuracy(neighbors, query_labels, database_labels, neighbor_weights(neighbors, k, weighted=True))


def _accuracy(
    neighbors: Neighbors, query_labels: Labels, database_labels: Labels, weights: npt.NDArray[np.float64]
) -> float:
    """How often the vote of the nearest neighbors is right; weights (n, k) say how many vote, and how much."""
    classes = int(max(query_labels.max(), database_labels.max())) + 1
    nearest = database_labels[neighbors.indices[:, : weights.shape[1]]]
    return float((weighted_vote(nearest, weights, classes) == query_labels).mean())
