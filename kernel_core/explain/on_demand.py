"""The neighbors of one example and its rank as a neighbor, computed on demand, from any split to any split.

A build keeps the nearest training examples of every test example. A walk goes on from there to training
examples, and a pair has a rank from both sides. One example against a whole split is one product of a matrix
and a vector, which takes milliseconds, with NumPy alone. Products in float32 propose, float64 decides, so the
order is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.block_array import unmap_large
from kernel_core.explain.in_parallel import in_blocks
from kernel_core.explain.traces import standardize, to_float32
from kernel_core.nngp import GrayInputs, nngp_of_cosine
from kernel_core.similarities import Similarity

BLOCK = 100_000  # numbers converted at a time: 0.4 MB of float32, which fit a core's cache
ON_A_THREAD = 50_000_000  # numbers that one thread takes; CIFAR-10's 60 runs are 30,000,000
# How far float32 may be off, relative to the size of a value, with room to spare. The kernel's vectors have
# unit variance only up to the float16 of the traces, so it may be off by more.
KERNEL_TOLERANCE = 2e-3
TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Vectors:
    """The examples of one split as the vectors that a similarity compares.

    similarity: the kernel, of traces (N, C, M); one of features (N, D); pixels, of images (N, H, W, 3); or
        the closed form, of inputs (N, D), which are compared by their cosine.
    values: those traces, features, images or inputs, of any dtype, perhaps memory-mapped.
    mean: float64 (N,), subtracted from each vector.
    norm: float64 (N,), by which each vector is then divided.
    longest: the largest length of a vector as it is compared.
    of_some_runs: whether the traces are cut to fewer runs than they were made of. Their variance over these
        runs is not 1, so that each block is standardized before it is compared.
    """

    similarity: Similarity
    values: npt.NDArray[Any] | GrayInputs
    mean: npt.NDArray[np.float64]
    norm: npt.NDArray[np.float64]
    longest: float = 1.0
    of_some_runs: bool = False

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, indices: int | npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the vectors of these examples as they are compared, (n, D) in float64."""
        selected = np.atleast_1d(indices)
        rows = np.asarray(self.values[selected], np.float64)
        if self.similarity.kind == "kernel":
            rows = standardize(rows)
        rows = rows.reshape(len(selected), -1)
        norm = self.norm[selected, None]
        return np.divide(rows - self.mean[selected, None], norm, out=np.zeros_like(rows), where=norm > 0)


def some(vectors: Vectors, indices: npt.NDArray[np.intp]) -> Vectors:
    """Return the vectors of some examples of the split, in memory. indices: (n,)."""
    parts = {name: getattr(vectors, name)[indices] for name in ("values", "mean", "norm")}
    return replace(vectors, **parts)


def prepare_vectors(
    similarity: Similarity, values: npt.NDArray[Any] | GrayInputs, *, of_some_runs: bool = False
) -> Vectors:
    """Return the vectors of a split with their means and norms, read once. Parameters: as of `Vectors`."""
    N = len(values)
    mean, norm, longest = np.zeros(N), np.ones(N), 1.0
    if similarity.kind == "kernel":
        norm[:] = float(np.prod(values.shape[1:])) ** 0.5  # squares that sum to 1 over classes and runs
    elif similarity.by in ("cosine", "correlation", "dot"):
        for part, rows in _blocks(values, np.float64):
            if similarity.kind == "pixels":
                mean[part] = rows.mean(1)
                rows -= mean[part, None]
            norm[part] = np.sqrt(np.vecdot(rows, rows))
    if similarity.by == "dot":
        norm, longest = np.ones(N), float(norm.max(initial=0))
    return Vectors(similarity, values, mean, norm, longest, of_some_runs)


def _blocks(
    values: npt.NDArray[Any] | GrayInputs, dtype: type[np.floating]
) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
    """Yield blocks of rows, (b, D) of a dtype, each with its place."""
    N = len(values)
    size = max(1, BLOCK // max(1, int(np.prod(values.shape[1:]))))
    for start in range(0, N, size):
        part = slice(start, min(start + size, N))
        block = values[part]
        if block.dtype == np.float16 and dtype == np.float32:
            converted = to_float32(np.ascontiguousarray(block), np.empty(block.shape, np.float32))
        else:
            converted = np.asarray(block, dtype)
        yield part, converted.reshape(part.stop - start, -1)
    unmap_large(values)


def approximate_similarities(query: Vectors, index: int, database: Vectors) -> npt.NDArray[np.float32]:
    """Return the similarity of a query example to every database example, (N,), as exact as float32 is."""
    similarities = np.empty(len(database), np.float32)
    row = query.rows(index)[0]
    # np.vecdot stays on its thread: 17 ms for CIFAR-10's kernel; a BLAS product took 470 on a busy machine.
    vector, total = row.astype(np.float32), float(row.sum())

    def work(start: int, stop: int) -> None:
        for block, rows in _blocks(database.values[start:stop], np.float32):
            part = slice(start + block.start, start + block.stop)
            if database.of_some_runs:
                traces = rows.reshape(len(rows), *database.values.shape[1:])
                rows = standardize(traces).reshape(rows.shape)
            if query.similarity.is_distance:
                rows = rows - vector  # the difference first, as squares of near examples would cancel
                similarities[part] = -np.sqrt(np.vecdot(rows, rows))
            else:
                product = np.vecdot(rows, vector) - database.mean[part] * total
                norm = database.norm[part]
                similarities[part] = np.divide(product, norm, out=np.zeros(len(norm)), where=norm > 0)

    in_blocks(len(database), max(1, ON_A_THREAD // len(row)), work)
    return similarities


def exact_similarities(
    query: Vectors, index: int, database: Vectors, others: int | npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Return the similarity of a query example to some database examples, float64 (n,)."""
    row, selected = query.rows(index), np.atleast_1d(others)
    similarities = np.empty(len(selected))
    size = max(1, BLOCK // row.size)
    for start in range(0, len(selected), size):
        part = slice(start, start + size)
        rows = database.rows(selected[part])
        if query.similarity.is_distance:
            similarities[part] = -np.linalg.norm(rows - row, axis=1)
        else:
            similarities[part] = (rows * row).sum(1)
    return similarities


def _tolerance(query: Vectors, index: int, database: Vectors, value: float) -> float:
    """Return how far an approximate value may be from the exact one."""
    if query.similarity.by == "dot":  # its terms may cancel
        return TOLERANCE * float(np.linalg.norm(query.rows(index))) * database.longest
    relative = KERNEL_TOLERANCE if query.similarity.kind == "kernel" else TOLERANCE
    return relative * max(1.0, abs(value))


def nearest(
    query: Vectors, index: int, database: Vectors, k: int, *, excludes_self: bool
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return the k nearest database examples of query example `index`, as in a row of `Neighbors`.

    excludes_self: whether the database is the query's own split, where an example is not its own neighbor.
    Returns indices and values, both (k,), or fewer if there are fewer examples.
    """
    approximate = approximate_similarities(query, index, database).astype(np.float64)
    if excludes_self:
        approximate[index] = -np.inf
    k = min(k, len(approximate) - excludes_self)
    if k < 1:
        return np.empty(0, np.int32), np.empty(0, np.float32)
    least = np.partition(approximate, len(approximate) - k)[len(approximate) - k]
    candidates = np.flatnonzero(approximate >= least - _tolerance(query, index, database, least))
    values = exact_similarities(query, index, database, candidates)
    order = np.argsort(-values.astype(np.float32), kind="stable")[:k]  # equal values by index, as everywhere
    return candidates[order].astype(np.int32), _shown(query.similarity, values[order]).astype(np.float32)


def rank_of(
    query: Vectors, index: int, database: Vectors, other: int, *, excludes_self: bool
) -> tuple[int, float]:
    """Return the rank of a database example among a query example's neighbors, from 1, and its similarity.

    index: of the query example. other: of the database example. excludes_self: as of `nearest`. Equal values
    are ranked by index.
    """
    approximate = approximate_similarities(query, index, database).astype(np.float64)
    if excludes_self:
        approximate[index] = -np.inf
    value = exact_similarities(query, index, database, other)[0]
    tolerance = _tolerance(query, index, database, value)
    undecided = np.flatnonzero(np.abs(approximate - value) <= tolerance)
    exact = exact_similarities(query, index, database, undecided).astype(np.float32)
    ahead = (exact > np.float32(value)) | ((exact == np.float32(value)) & (undecided < other))
    place = int((approximate > value + tolerance).sum() + ahead.sum()) + 1
    return place, float(_shown(query.similarity, value))


def _shown(similarity: Similarity, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return values as they are shown; all else compares by the cosine of the networks' inputs."""
    return nngp_of_cosine(values) if similarity.kind == "nngp" else values


def nearest_of_scores(
    scores: npt.NDArray[np.float64], k: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return the k largest scores, as `nearest` does. scores: (N,), minus infinity for the query itself."""
    order = np.argsort(-scores, kind="stable")[: min(k, int((scores > -np.inf).sum()))]
    return order.astype(np.int32), scores[order].astype(np.float32)


def rank_of_scores(scores: npt.NDArray[np.float64], other: int) -> tuple[int, float]:
    """Return the rank of an example by its score, from 1, and the score. Equal ones are ranked by index."""
    value = float(scores[other])
    ahead = (scores > value) | ((scores == value) & (np.arange(len(scores)) < other))
    return int(ahead.sum()) + 1, value
