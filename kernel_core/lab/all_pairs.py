"""Tables of the values of all pairs of few examples: the kernel, and what is read from such a table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from kernel_core.findings.votes import knn_vote
from kernel_core.similarity.kernel import kernel_rows

Values = npt.NDArray[np.float64]  # (n, m), of n query and m database examples
Labels = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]  # of the query and the database examples
Logits = npt.NDArray[np.floating]


def kernel_values(query: Logits, database: Logits) -> Values:
    """Return the kernel of all pairs, (n, m). query, database: logits (M, n, C) and (M, m, C)."""
    of_query, of_database = (
        kernel_rows(torch.from_numpy(logits).permute(1, 2, 0))[0].flatten(1).double().numpy()
        for logits in (query, database)
    )
    values: Values = of_query @ of_database.T
    return values


def pearson(first: Values, second: Values, chosen: npt.NDArray[np.bool_] | None = None) -> float:
    """Return Pearson's correlation of two tables of values, of the chosen pairs."""
    pairs = (first.ravel(), second.ravel()) if chosen is None else (first[chosen], second[chosen])
    return float(np.corrcoef(*pairs)[0, 1])


def nearest_of(values: Values, k: int) -> npt.NDArray[np.int64]:
    """Return the k nearest of each row, (n, k), nearest first; ties by lower index."""
    return np.argsort(-values, axis=1, kind="stable")[:, :k]


def shared(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> float:
    """Return the share of the first's indices that are among the second's, row by row."""
    return float((first[:, :, None] == second[:, None]).any(2).mean())


def vote_accuracy(values: Values, labels: Labels) -> float:
    """Return the share of query examples whose label is the majority vote of the 3 nearest."""
    return float(vote_right(values, labels).mean())


def vote_right(values: Values, labels: Labels) -> npt.NDArray[np.bool_]:
    """Return whether each query example's label is the majority vote of its 3 nearest, (n,)."""
    count = int(max(map(np.max, labels))) + 1
    right: npt.NDArray[np.bool_] = knn_vote(labels[1][nearest_of(values, 3)], count) == labels[0]
    return right
