"""The top-k of a matrix of scores that somebody else computed, read block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from kernel_core.block_array import unmap_large
from kernel_core.errors import DataError
from kernel_core.progress import Progress, no_progress
from kernel_core.search.running_topk import top_k_of_tile
from kernel_core.search.topk import TopK

BLOCK_BYTES = 64_000_000  # scores that are sorted at a time
HELD_BYTES = 512_000_000  # scores of whole rows that are held where columns lie together in the file
AT_A_TIME = 512  # columns that are copied at a time


def top_k_of_scores(
    scores: npt.NDArray[Any], k: int, name: str, *, exclude_self: bool, progress: Progress = no_progress
) -> TopK:
    """Return the k largest scores of every row, exactly: larger first, ties by smaller index.

    scores: (n, N) of any real type, perhaps memory-mapped. k: at most as many as there are. name: what to
    call them in an error. exclude_self: no row is its own neighbor; then n is N.
    Raises `DataError` if a score is NaN.
    """
    n, N = scores.shape
    k = min(k, N - exclude_self)
    indices, values = np.empty((n, k), np.int32), np.empty((n, k), np.float32)
    size = max(1, BLOCK_BYTES // (8 * N))
    for start, block in _blocks(scores, size):
        rows = np.arange(start, start + len(block))
        if np.isnan(block).any():
            row, column = (int(i) for i in np.argwhere(np.isnan(block))[0])
            raise DataError(f"{name}: the score in row {start + row}, column {column} is not a number.")
        if exclude_self:
            block[rows - start, rows] = -np.inf
        nearest, of_nearest = top_k_of_tile(torch.from_numpy(block), k)
        indices[rows], values[rows] = nearest.numpy(), of_nearest.numpy()
        progress(f"nearest neighbors by {name}", int(rows[-1]) + 1, n)
    return TopK(indices, values)


def _blocks(scores: npt.NDArray[Any], size: int) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """Yield the scores in blocks of rows, and the number of each block's first row."""
    n, N = scores.shape
    turned = scores.flags.f_contiguous and not scores.flags.c_contiguous
    many = size * max(1, HELD_BYTES // (size * N * scores.itemsize)) if turned else n
    for first in range(0, n, many):
        held = scores[first : first + many]
        if turned:  # whole columns lie together: to take few rows is to read all of the file
            held = np.empty_like(held, order="C")
            for column in range(0, N, AT_A_TIME):
                columns = slice(column, column + AT_A_TIME)
                held[:, columns] = scores[first : first + many, columns]
                unmap_large(scores)
        for start in range(0, len(held), size):
            yield first + start, np.array(held[start : start + size], np.float64)
