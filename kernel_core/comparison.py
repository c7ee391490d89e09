"""Two similarities beside each other: random query examples, and how their neighbors' labels agree."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernel_core.records import Neighbors


def random_queries(total: int, seed: int, count: int = 10) -> npt.NDArray[np.int64]:
    """`count` different indices below `total` (all, if there are fewer), drawn by the seed alone."""
    return np.random.default_rng(seed).choice(total, min(count, total), replace=False)


def label_agreement(
    neighbors: Neighbors,
    query_labels: npt.NDArray[np.int64],
    database_labels: npt.NDArray[np.int64],
    k: int,
    queries: npt.NDArray[np.int64] | slice = slice(None),
) -> float:
    """The share of the k nearest neighbors of these queries (all by default) that have the query's own label."""
    nearest = database_labels[neighbors.indices[queries, :k]]  # (n, k)
    return float((nearest == query_labels[queries][:, None]).mean())


def overlap(first: Neighbors, second: Neighbors, k: int) -> float:
    """Overlap@k: the share of the k nearest neighbors that both similarities name, averaged over the queries."""
    a, b = first.indices[:, :k], second.indices[:, :k]
    return float((a[:, :, None] == b[:, None, :]).any(2).mean())
