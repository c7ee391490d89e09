"""Neighbors as other tools read them: cleanlab's graph, and a table for Embedding Atlas."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.records import Neighbors
from kernel_core.results.results import Results
from kernel_core.similarities import Similarity
from kernel_core.spec import Split


def distances(similarity: Similarity, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return distances of at least 0 for similarities, in the same order: float64, shape of values.

    Minus a distance becomes the distance. A correlation or cosine becomes 1 minus it; any other similarity
    the largest minus it.
    """
    wide = values.astype(np.float64)
    if similarity.is_distance:
        return np.maximum(0.0, -wide)
    largest = 1.0 if similarity.by in ("correlation", "cosine") else float(wide.max(initial=0.0))
    return np.maximum(0.0, largest - wide)


def knn_graph(neighbors: Neighbors, similarity: Similarity) -> bytes:
    """Return the neighbors within one split as a scipy CSR matrix (N, N) of distances, in the npz format.

    cleanlab's Datalab takes it as `knn_graph`: the same number of neighbors per row, nearest first, none of
    them the row itself. Distances of 0 are kept. A split of N examples has at most N - 1 neighbors per row.
    """
    from scipy import sparse  # takes 0.2 s to import

    count, k = neighbors.indices.shape
    graph = sparse.csr_matrix(
        (
            distances(similarity, neighbors.values).ravel(),
            neighbors.indices.astype(np.int64).ravel(),
            np.arange(0, count * k + 1, k),
        ),
        shape=(count, count),
    )
    buffer = io.BytesIO()
    sparse.save_npz(buffer, graph)
    return buffer.getvalue()


def atlas_parquet(results: Results, tables: Mapping[Split, Neighbors], similarity: Similarity) -> bytes:
    """Return all examples as a Parquet table for Embedding Atlas, test examples first.

    Columns: example (as in test:3), split, index, label, class, and neighbors: ids (row numbers of this
    table, from 0) and distances, or null where no neighbors are given. tables: by query split, its neighbors.
    """
    start: dict[Split, int] = {}
    parts: list[pd.DataFrame] = []
    for split in sorted(results.examples):
        start[split] = sum(len(part) for part in parts)
        labels = results.examples[split].labels
        parts.append(
            pd.DataFrame(
                {
                    "example": [f"{split}:{index}" for index in range(len(labels))], "split": split,
                    "index": np.arange(len(labels)), "label": labels,
                    "class": [results.class_names[label] for label in labels],
                }
            )
        )  # fmt: skip
    table = pd.concat(parts, ignore_index=True)
    column: list[dict[str, list[float]] | None] = [None] * len(table)
    for split, neighbors in tables.items():
        rows = neighbors.indices.astype(np.int64) + start[neighbors.spec.database]
        far = distances(similarity, neighbors.values)
        for index in range(len(rows)):
            column[start[split] + index] = {"ids": rows[index].tolist(), "distances": far[index].tolist()}
    return bytes(table.assign(neighbors=column).to_parquet(index=False))
