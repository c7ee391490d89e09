"""Failure modes: query examples whose nearest database example has another label."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kernel_core.findings.pairs import Labels, nearest_pairs
from kernel_core.records import Neighbors


def label_mismatches(neighbors: Neighbors, query_labels: Labels, database_labels: Labels) -> pd.DataFrame:
    """The near-duplicate ranking, kept where the two labels differ; its columns, its ranks, each pair once."""
    pairs = nearest_pairs(neighbors, query_labels, database_labels)
    return pairs[pairs["query_label"] != pairs["database_label"]]


def of_labels(mismatches: pd.DataFrame, query_label: int, database_label: int) -> pd.DataFrame:
    """Those mismatches whose labels are these two class numbers, in this order."""
    return mismatches[
        (mismatches["query_label"] == query_label) & (mismatches["database_label"] == database_label)
    ]


def confusion(mismatches: pd.DataFrame) -> pd.DataFrame:
    """How often each pair of labels is among these mismatches, the most frequent first, then by label.

    Columns: query_label, database_label (class numbers), count (1 …); pairs that do not occur have no row.
    """
    counts = mismatches.groupby(["query_label", "database_label"]).size().rename("count")
    return counts.sort_values(ascending=False, kind="stable").reset_index()


def most_confused(counts: pd.DataFrame, classes: int, limit: int) -> list[int]:
    """The labels with most mismatches, at most `limit`, in rising order; counts: of `confusion`.

    A mismatch counts for both its labels; of equal counts the smaller label goes first.
    """
    met = np.zeros(classes, np.int64)
    for side in ("query_label", "database_label"):
        np.add.at(met, counts[side].to_numpy(np.int64), counts["count"].to_numpy())
    return sorted(np.argsort(-met, kind="stable")[:limit].tolist())


def with_neighbors(
    pairs: pd.DataFrame, neighbors: Neighbors, database_labels: Labels, count: int
) -> pd.DataFrame:
    """Each pair's row once for each of the query's `count` nearest database examples.

    Adds the column position (1 … count); database_index, similarity and database_label are that neighbor's.
    Raises `RequestError` if fewer neighbors are kept.
    """
    kept = neighbors.head(count)
    rows = pairs.loc[pairs.index.repeat(count)].reset_index(drop=True)
    query = pairs["query_index"].to_numpy()
    nearest = kept.indices[query].astype(np.int64)  # (pairs, count)
    rows["database_index"] = nearest.ravel()
    rows["similarity"] = kept.values[query].ravel()
    rows["database_label"] = database_labels[nearest].ravel()
    rows["position"] = np.tile(np.arange(1, count + 1), len(pairs))
    return rows
