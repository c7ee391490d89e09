"""Neighbors as other tools read them: cleanlab's graph, and a table for Embedding Atlas."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kernel_core.records import Neighbors
from kernel_core.results.results import Results
from kernel_core.similarities import Similarity
from kernel_core.spec import Split

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 65_536  # of the table for Embedding Atlas, at a time


def distances(
    similarity: Similarity, values: npt.NDArray[np.float32], largest: float | None = None
) -> npt.NDArray[np.float64]:
    """Return distances of at least 0 for similarities, in the same order: float64, shape of values.

    Minus a distance becomes the distance. A correlation or cosine becomes 1 minus it; any other similarity
    the largest minus it. largest: of `largest_of`, where these are some values of a table.
    """
    wide = values.astype(np.float64)
    if similarity.is_distance:
        return np.maximum(0.0, -wide)
    top = largest_of(similarity, values) if largest is None else largest
    return np.maximum(0.0, top - wide)


def largest_of(similarity: Similarity, values: npt.NDArray[np.float32]) -> float:
    """Return the similarity whose distance is 0. values: of the whole table."""
    is_bounded = similarity.is_distance or similarity.by in ("correlation", "cosine")
    return 1.0 if is_bounded else float(values.max(initial=0.0))


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
            np.asarray(neighbors.indices).ravel(),
            np.arange(0, count * k + 1, k),
        ),
        shape=(count, count),
    )
    buffer = io.BytesIO()
    sparse.save_npz(buffer, graph, compressed=False)  # 1,000,000 examples: 2 core-seconds, not 40
    return buffer.getvalue()


def atlas_parquet(results: Results, tables: Mapping[Split, Neighbors], similarity: Similarity) -> bytes:
    """Return all examples as a Parquet table for Embedding Atlas, test examples first.

    Columns: example (as in test:3), split, index, label, class, and neighbors: ids (row numbers of this
    table, from 0) and distances, or null where no neighbors are given. tables: by query split, its neighbors.
    """
    import pyarrow as pa
    from pyarrow import parquet

    counts, start = results.example_counts, 0
    near = pa.struct({"ids": pa.list_(pa.int64()), "distances": pa.list_(pa.float64())})
    types = {"example": pa.string(), "split": pa.string(), "index": pa.int64(), "label": pa.int64()}
    schema = pa.schema({**types, "class": pa.string(), "neighbors": near})
    starts: dict[Split, int] = {}
    for split in sorted(counts):
        starts[split], start = start, start + counts[split]
    buffer = io.BytesIO()
    with parquet.ParquetWriter(buffer, schema) as writer:
        for split in starts:
            table = tables.get(split)
            largest = 0.0 if table is None else largest_of(similarity, table.values)
            for first in range(0, counts[split], ROWS):
                rows = slice(first, min(first + ROWS, counts[split]))
                column = pa.nulls(rows.stop - rows.start, near)
                if table is not None:
                    column = _lists(table, rows, starts[table.spec.database], similarity, largest)
                writer.write_table(pa.table({**_facts(results, split, rows), "neighbors": column}, schema))
    return buffer.getvalue()


def _facts(results: Results, split: Split, rows: slice) -> dict[str, Any]:
    """Return the columns that do not need neighbors, of some examples of a split."""
    index, labels = np.arange(rows.start, rows.stop), results.examples[split].labels[rows]
    return {
        "example": [f"{split}:{i}" for i in index.tolist()],
        "split": [split] * len(index),
        "index": index,
        "label": labels,
        "class": np.array(results.class_names, object)[labels],
    }


def _lists(
    neighbors: Neighbors, rows: slice, start: int, similarity: Similarity, largest: float
) -> pa.StructArray:
    """Return ids and distances of the neighbors of some query examples.

    start: the id of the first example that they can be. largest: of `largest_of`.
    """
    import pyarrow as pa

    indices = neighbors.indices[rows]
    ends = np.arange(len(indices) + 1, dtype=np.int32) * indices.shape[1]
    ids = (indices.astype(np.int64) + start).ravel()
    far = distances(similarity, neighbors.values[rows], largest).ravel()
    lists = [pa.ListArray.from_arrays(ends, values) for values in (ids, far)]
    return pa.StructArray.from_arrays(lists, names=["ids", "distances"])
