"""Failure modes: query examples whose nearest database example has another label."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kernel_core.duplicates import Labels, nearest_pairs
from kernel_core.records import Neighbors


def label_mismatches(neighbors: Neighbors, query_labels: Labels, database_labels: Labels) -> pd.DataFrame:
    """The near-duplicate ranking, kept where the two labels differ; its columns, its ranks, each pair once."""
    pairs = nearest_pairs(neighbors, query_labels, database_labels)
    return pairs[pairs["query_label"] != pairs["database_label"]]


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
