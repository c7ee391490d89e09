"""The neighbors of one example, and its rank as a neighbor, computed on demand: NumPy alone, any split to any split.

What a build keeps is the nearest training examples of every test example. A walk goes on from there to training
examples, and a pair has a rank from both sides: one example against all of a split is one product of a matrix and a
vector, which takes milliseconds. Products in float32 propose, float64 decides, so that the order is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.explain.traces import standardize, to_float32

BLOCK = 500_000  # numbers made float32 at a time: 2 MB, which fit a core's cache
# What float32 may be wrong by, relative to the size of a value, with room; of the kernel more, as the rows kept are of
# unit variance only up to their float16.
SPARE = {"kernel": 2e-3}
OTHERS = 1e-4


@dataclass(frozen=True, eq=False)
class Vectors:
    """The examples of one split as vectors that a similarity compares.

    similarity: kernel, of rows as kernel_core/explain/traces.py keeps them (N, C, M); penultimate (cosine) or
    penultimate-euclidean (minus the distance), of features (N, D); or pixels (correlation), of images (N, H, W, 3).
    values: those, of any type, perhaps memory-mapped. mean, norm: float64 (N,): what is subtracted from a vector, and
    what it is then divided by.
    """

    similarity: str
    values: npt.NDArray[Any]
    mean: npt.NDArray[np.float64]
    norm: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    def row(self, indices: Any) -> npt.NDArray[np.float64]:
        """The vectors of these examples (n, D) in float64, as they are compared."""
        wanted = np.atleast_1d(indices)
        rows = np.asarray(self.values[wanted], np.float64)
        if self.similarity == "kernel":
            rows = standardize(rows)
        rows = rows.reshape(len(wanted), -1)
        norm = self.norm[wanted, None]
        return np.divide(rows - self.mean[wanted, None], norm, out=np.zeros_like(rows), where=norm > 0)


def prepare_vectors(similarity: str, values: npt.NDArray[Any]) -> Vectors:
    """The vectors with their means and lengths, in one pass over them."""
    N = len(values)
    mean, norm = np.zeros(N), np.ones(N)
    if similarity in ("penultimate", "pixels"):
        for part, rows in _blocks(values, np.float64):
            if similarity == "pixels":
                mean[part] = rows.mean(1)
                rows -= mean[part, None]
            norm[part] = np.sqrt(np.vecdot(rows, rows))
    if similarity == "kernel":
        norm[:] = float(np.prod(values.shape[1:])) ** 0.5  # squares that sum to 1 over classes and runs
    return Vectors(similarity, values, mean, norm)


def _blocks(values: npt.NDArray[Any], dtype: Any) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
    """Blocks of rows as (b, D) of a type, and where they stand."""
    N = len(values)
    size = max(1, BLOCK // max(1, int(np.prod(values.shape[1:]))))
    for start in range(0, N, size):
        part = slice(start, min(start + size, N))
        block = values[part]
        if block.dtype == np.float16 and dtype == np.float32:
            made = to_float32(np.ascontiguousarray(block), np.empty(block.shape, np.float32))
        else:
            made = np.asarray(block, dtype)
        yield part, made.reshape(part.stop - start, -1)


def similarities(query: Vectors, index: int, database: Vectors) -> npt.NDArray[np.float32]:
    """The similarity of query example `index` to every database example, float32 (N,), as float32 gives it."""
    found = np.empty(len(database), np.float32)
    row = query.row(index)[0]
    # np.vecdot stays on this thread: 17 ms for CIFAR-10's kernel, where a product by BLAS took 470 on a busy machine
    vector, total = row.astype(np.float32), float(row.sum())
    for part, rows in _blocks(database.values, np.float32):
        if query.similarity == "penultimate-euclidean":
            rows = rows - vector  # the difference first: a sum of squares would cancel for near examples
            found[part] = -np.sqrt(np.vecdot(rows, rows))
        else:
            product = np.vecdot(rows, vector) - database.mean[part] * total
            norm = database.norm[part]
            found[part] = np.divide(product, norm, out=np.zeros(len(norm)), where=norm > 0)
    return found


def exact_similarities(query: Vectors, index: int, database: Vectors, others: Any) -> npt.NDArray[np.float64]:
    """The similarity of query example `index` to these database examples, float64 (n,)."""
    row, rows = query.row(index), database.row(others)
    if query.similarity == "penultimate-euclidean":
        values: npt.NDArray[np.float64] = -np.linalg.norm(rows - row, axis=1)
    else:
        values = (rows * row).sum(1)
    return values


def _spare(query: Vectors, value: float) -> float:
    """By how much a value as float32 gives it may differ from the exact one."""
    return SPARE.get(query.similarity, OTHERS) * max(1.0, abs(value))


def nearest(
    query: Vectors, index: int, database: Vectors, k: int, *, excludes_self: bool
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The k nearest database examples of query example `index`, as in a row of `Neighbors`: indices and values (k,).

    excludes_self: the database is the query's own split, and an example is never its own neighbor.
    """
    rough = similarities(query, index, database).astype(np.float64)
    if excludes_self:
        rough[index] = -np.inf
    k = min(k, len(rough) - excludes_self)
    if k < 1:
        return np.empty(0, np.int32), np.empty(0, np.float32)
    least = np.partition(rough, len(rough) - k)[len(rough) - k]
    candidates = np.flatnonzero(rough >= least - _spare(query, least))
    values = exact_similarities(query, index, database, candidates)
    order = np.argsort(-values.astype(np.float32), kind="stable")[:k]  # equal values by index, as everywhere
    return candidates[order].astype(np.int32), values[order].astype(np.float32)


def rank_of(
    query: Vectors, index: int, database: Vectors, other: int, *, excludes_self: bool
) -> tuple[int, float]:
    """The rank of database example `other` among the neighbors of query example `index`, from 1, and its similarity.

    Equal values stand in the order of their indices.
    """
    rough = similarities(query, index, database).astype(np.float64)
    if excludes_self:
        rough[index] = -np.inf
    value = exact_similarities(query, index, database, other)[0]
    spare = _spare(query, value)
    unsure = np.flatnonzero(np.abs(rough - value) <= spare)
    exact = exact_similarities(query, index, database, unsure).astype(np.float32)
    ahead = (exact > np.float32(value)) | ((exact == np.float32(value)) & (unsure < other))
    return int((rough > value + spare).sum() + ahead.sum()) + 1, float(value)
