"""Neighbors that the source's owner gives: a matrix of scores, or a table of neighbors.

Datamodels as their authors publish them are such a matrix: a file of torch with a tensor `weight`, whose rows
are the database and whose columns are the queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.array_files import Array, form_of, open_arrays
from kernel_core.errors import DataError, shown
from kernel_core.files import regular_file
from kernel_core.sources.source import Given, Source
from kernel_core.spec import Split
from kernel_core.torch_places import tensors_in

WEIGHT = "weight"  # what files of datamodels call their matrix (database, queries), beside bias and lam
COLUMNS = ["query_index", "database_index", "similarity"]  # of a table as CSV or Parquet; the last may lack
FORMS = (
    "expected a matrix of scores (queries, database) in a .npy file, weight (database, queries) in a .pt, "
    "arrays indices and values (queries, k), or a table with the columns query_index, database_index and "
    "similarity"
)


@dataclass(frozen=True, eq=False)
class GivenNeighbors:
    """What a file of given neighbors holds: either scores, or indices and values.

    scores: (n, N) of any real type, memory-mapped; a larger one is nearer. indices, values: int32 and float32
    (n, k), as in `Neighbors`.
    """

    given: Given
    scores: npt.NDArray[Any] | None = None
    indices: npt.NDArray[np.int32] | None = None
    values: npt.NDArray[np.float32] | None = None

    def scores_of(self, split: Split, index: int, among: Split) -> npt.NDArray[np.float64] | None:
        """Return an example's scores with all examples of a split, (N,); None where they are not given."""
        if self.scores is None:
            return None
        if (split, among) == (self.given.query, self.given.database):
            return np.array(self.scores[index], np.float64)
        if (split, among) == (self.given.database, self.given.query):
            return np.array(self.scores[:, index], np.float64)
        return None


def open_given(given: Given, counts: Mapping[Split, int]) -> GivenNeighbors:
    """Return the neighbors that a file gives. counts: number of examples in each split.

    Raises `DataError` if the file cannot be read, or does not fit the examples.
    """
    path, shape = regular_file(given.file), (counts[given.query], counts[given.database])
    if path.suffix.lower() in (".csv", ".parquet"):
        return GivenNeighbors(given, None, *_fitting(given, *_read_table(path, shape[0]), shape))
    arrays = _arrays_in(path)
    if "indices" in arrays:
        indices = np.asarray(arrays["indices"])
        values = np.asarray(arrays["values"]) if "values" in arrays else None
        return GivenNeighbors(given, None, *_fitting(given, indices, values, shape))
    if len(arrays) != 1:
        raise DataError(f"{path} holds the arrays {shown(sorted(arrays))}; {FORMS}.")
    ((name, scores),) = arrays.items()
    if name == WEIGHT:
        scores = scores.T
    if scores.shape != shape or scores.dtype.kind not in "fiu":
        hint = " It is the transpose: save scores.T." if scores.shape == shape[::-1] else ""
        raise DataError(
            f"{path} holds {scores.dtype} {scores.shape}; expected real numbers {shape}, one row per "
            f"{given.query} example and one column per {given.database} example.{hint}"
        )
    return GivenNeighbors(given, scores)


def _arrays_in(path: Path) -> Mapping[str, Array]:
    """Return the arrays of a file by name, mapped; of one with datamodels, the weights alone."""
    if form_of(path) == "torch":
        tensors = tensors_in(path)
        return {name: tensors[name]().read() for name in ([WEIGHT] if WEIGHT in tensors else tensors)}
    arrays = open_arrays(path, "a matrix of scores, or a table of neighbors").arrays
    return {WEIGHT: arrays[WEIGHT]} if WEIGHT in arrays else arrays


def _read_table(path: Path, query_count: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    """Return indices and values (queries, k) of a table with one row per pair."""
    try:
        table = pd.read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except Exception as error:  # noqa: BLE001 (pandas and pyarrow raise what they like)
        raise DataError(f"{path} cannot be read as a table ({str(error)[:200]}); {FORMS}.") from None
    if not set(COLUMNS[:2]) <= set(table.columns):
        raise DataError(f"{path} has the columns {shown(list(table.columns))}; {FORMS}.")
    has_values = COLUMNS[2] in table.columns
    if has_values:
        table = table.sort_values(COLUMNS[2], ascending=False, kind="stable")
    groups = dict(iter(table.groupby(COLUMNS[0], sort=True)))
    sizes = {len(rows) for rows in groups.values()}
    if sorted(groups) != list(range(query_count)) or len(sizes) != 1:
        raise DataError(
            f"{path} has neighbors of {len(groups):,} queries, {min(sizes, default=0)} to "
            f"{max(sizes, default=0)} each; expected as many of each of the queries 0 … {query_count - 1:,}."
        )
    indices = np.stack([rows[COLUMNS[1]].to_numpy() for rows in groups.values()])
    values = np.stack([rows[COLUMNS[2]].to_numpy() for rows in groups.values()]) if has_values else None
    return indices, values


def _fitting(
    given: Given, indices: npt.NDArray[Any], values: npt.NDArray[Any] | None, shape: tuple[int, int]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return indices and values, nearest first. Where no values are given, they are 1/1, 1/2, 1/3, …"""
    n, N = shape
    if indices.ndim != 2 or len(indices) != n or indices.dtype.kind not in "iu" or not indices.shape[1]:
        raise DataError(
            f"{given.file}: indices are {indices.dtype} {indices.shape}; expected whole numbers ({n:,}, k), "
            f"one row per {given.query} example."
        )
    if values is None:
        values = np.broadcast_to(1 / np.arange(1, indices.shape[1] + 1), indices.shape)
    if values.shape != indices.shape or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise DataError(
            f"{given.file}: values are {values.dtype} {values.shape}; expected finite numbers "
            f"{indices.shape}, one per neighbor."
        )
    own = np.arange(n)[:, None] if given.query == given.database else -1
    wrong = np.argwhere((indices < 0) | (indices >= N) | (indices == own))
    if wrong.size:
        row, place = (int(i) for i in wrong[0])
        raise DataError(
            f"{given.file}: neighbor {place} of query {row} is {indices[row, place]}; expected a "
            f"{given.database} example, 0 … {N - 1:,}, other than the query itself."
        )
    order = np.argsort(-values.astype(np.float64), axis=1, kind="stable")
    return (
        np.take_along_axis(indices, order, 1).astype(np.int32),
        np.take_along_axis(values, order, 1).astype(np.float32),
    )


def fitting(source: Source, query: Split, database: Split) -> tuple[str, ...]:
    """Return the names of the similarities that can be asked for between two splits; some are given."""
    between = {given.name: (given.query, given.database) for given in source.given}
    names = (similarity.name for similarity in source.similarities)
    return tuple(name for name in names if between.get(name, (query, database)) == (query, database))
