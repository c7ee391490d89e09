"""The examples of a large database that can be among the nearest of one: found by the plain kernel alone.

What is computed for many weightings of the runs goes class by class, 0.5 µs per example and class. One
product with every trace costs a hundredth of that, so beyond `LIMIT` it chooses whom the rest is about.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernel_core.explain.in_parallel import in_blocks
from kernel_core.explain.traces import Traces, standardize, to_float32

LIMIT = 2_000_000  # examples times classes, half a core-second per answer; CIFAR-10 has 500,000
LENGTH = 10_000  # examples of a shortlist, fewer where there are many classes
NUMBERS = 1_000_000  # examples times classes of a shortlist: half a core-second of resamples
LEAST = 4  # times the neighbors shown
BLOCK = 20_000_000  # numbers that a thread takes at once
PIECE = 100_000  # numbers that are converted at once: they fit a core's cache
Singles = npt.NDArray[np.float32]


def shortlist_length(count: int, class_count: int, k: int) -> int:
    """Return how many examples a shortlist has for `count` examples; `count` itself if all are looked at.

    k: the number of neighbors shown.
    """
    if count * class_count <= LIMIT:
        return count
    return min(count, max(min(LENGTH, NUMBERS // class_count), LEAST * k))


def shortlist(
    query: npt.NDArray[np.float64], database: Traces, length: int, exclude: int | None
) -> npt.NDArray[np.int64]:
    """Return the examples of the largest kernel values with an example: rising indices, (length,).

    query: (C, M), its raw trace. exclude: an index that is left out. Of equal values, the lower index comes
    first. Values are as exact as float16 traces are, 2e-3, which matters at the end of the list alone.
    """
    values = plain_kernel(query, database)
    if exclude is not None:
        values[exclude] = -np.inf
    length = min(length, len(values) - (exclude is not None))
    least = np.partition(values, len(values) - length)[len(values) - length]
    above, equal = np.flatnonzero(values > least), np.flatnonzero(values == least)
    return np.union1d(above, equal[: length - len(above)])


def plain_kernel(query: npt.NDArray[np.float64], database: Traces) -> Singles:
    """Return the kernel of an example with a database by all runs, float32 (N,), up to 2e-3.

    query: (C, M), its raw trace.
    """
    vector = standardize(query).astype(np.float32).ravel() / np.float32(query.size)
    rows = database.values.reshape(len(database), -1)  # (N, C M), of the mapped file
    piece = max(1, PIECE // rows.shape[1])
    values = np.empty(len(rows), np.float32)

    def work(start: int, stop: int) -> None:
        room = np.empty((piece, rows.shape[1]), np.float32)
        for first in range(start, stop, piece):
            last = min(first + piece, stop)
            converted = to_float32(rows[first:last], room[: last - first])
            np.vecdot(converted, vector, out=values[first:last])

    in_blocks(len(rows), max(piece, BLOCK // rows.shape[1]), work)
    return values
