"""How well an ensemble and its neighbors predict labels: single runs, averaged logits, k-NN, weighted k-NN."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.records import (
    Ensemble,
    Neighbors,
    Predictions,
    Progress,
    Split,
    no_progress,
    refuse_non_finite,
)

Labels = npt.NDArray[np.int64]
RUNS_AT_A_TIME = 16  # 16 x 10,000 x 10 logits in float32 are 6 MB


def predict(
    ensemble: Ensemble, split: Split, labels: npt.NDArray[np.int64], progress: Progress = no_progress
) -> Predictions:
    """Each run's accuracy on a split, and the averaged prediction with its confidence; one pass over the logits.

    Raises `DataError` on a NaN or infinite logit.
    """
    N, C, M = ensemble.examples(split), ensemble.classes, ensemble.runs  # examples, classes, runs
    logit_sum = np.zeros((N, C))
    probability_sum = np.zeros((N, C))
    single: list[float] = []
    for name, part in zip(ensemble.names, ensemble.parts, strict=True):
        for start in range(0, len(part[split]), RUNS_AT_A_TIME):
            logits = np.asarray(part[split][start : start + RUNS_AT_A_TIME], dtype=np.float32)  # (m, N, C)
            refuse_non_finite(logits, name, split, first_run=start)
            single += [float(accuracy) for accuracy in (logits.argmax(-1) == labels).mean(1)]
            logit_sum += logits.sum(0, dtype=np.float64)
            exponentials = np.exp(logits - logits.max(-1, keepdims=True))
            probability_sum += (exponentials / exponentials.sum(-1, keepdims=True)).sum(0, dtype=np.float64)
            progress("reading what each run predicts", len(single), M)
    predicted = logit_sum.argmax(-1)
    confidence = probability_sum[np.arange(N), predicted] / M
    return Predictions(np.array(single), predicted.astype(np.int64), confidence.astype(np.float32))


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


def knn_accuracy(neighbors: Neighbors, query_labels: Labels, database_labels: Labels, k: int = 3) -> float:
    """The share of query examples whose label is the majority of their k nearest neighbors' labels."""
    return _accuracy(neighbors, query_labels, database_labels, np.ones(neighbors.values[:, :k].shape))


def weighted_knn_accuracy(
    neighbors: Neighbors, query_labels: Labels, database_labels: Labels, k: int = 20
) -> float:
    """The same with the k nearest weighted by similarity to the fourth power, after the dataset card.

    A negative similarity has weight 0 here; the author's `values**4` would make it count as a positive one.
    """
    weights = np.maximum(neighbors.values[:, :k].astype(np.float64), 0) ** 4
    return _accuracy(neighbors, query_labels, database_labels, weights)


def _accuracy(
    neighbors: Neighbors, query_labels: Labels, database_labels: Labels, weights: npt.NDArray[np.float64]
) -> float:
    """How often the vote of the nearest neighbors is right; weights (n, k) say how many vote, and how much."""
    classes = int(max(query_labels.max(), database_labels.max())) + 1
    nearest = database_labels[neighbors.indices[:, : weights.shape[1]]]
    return float((weighted_vote(nearest, weights, classes) == query_labels).mean())
