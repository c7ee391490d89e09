"""The top-k of a matrix of scores that somebody else computed, read block by block."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from kernel_core.errors import DataError
from kernel_core.progress import Progress, no_progress
from kernel_core.search.running_topk import top_k_of_tile
from kernel_core.search.topk import TopK

BLOCK_BYTES = 64_000_000  # scores read at a time


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
    for start in range(0, n, size):
        rows = np.arange(start, min(start + size, n))
        block = np.array(scores[start : start + size], np.float64)
        if np.isnan(block).any():
            row, column = (int(i) for i in np.argwhere(np.isnan(block))[0])
            raise DataError(f"{name}: the score in row {start + row}, column {column} is not a number.")
        if exclude_self:
            block[rows - start, rows] = -np.inf
        nearest, of_nearest = top_k_of_tile(torch.from_numpy(block), k)
        indices[rows], values[rows] = nearest.numpy(), of_nearest.numpy()
        progress(f"nearest neighbors by {name}", int(rows[-1]) + 1, n)
    return TopK(indices, values)
