"""The running top-k of many rows, fed with tiles of values.

The order is defined: larger values first, ties by smaller index. The order of the tiles does not matter.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.search.packed_topk import PackedTopK

GROUP = 64  # columns whose maximum is compared first: most groups hold nothing new
SORT_ROWS = 64  # rows sorted whole at a time, where values tie for the k-th place


class RunningTopK:
    """The k largest values seen so far of each of n rows, and their columns.

    Candidates may wait to be merged; `values` and `indices` merge them first.
    least: float32 (n,), the least value that each row will keep, as far as is known, -inf where nothing is.
        Several that are merged at the end share it, on any threads: what is below is of no use to any. Each
        raises it. Used for float32 on the CPU alone.
    """

    def __init__(
        self,
        n: int,
        k: int,
        dtype: torch.dtype,
        device: torch.device,
        least: npt.NDArray[np.float32] | None = None,
    ) -> None:
        packed = dtype == torch.float32 and device.type == "cpu"
        self.kept = PackedTopK(n, k, least) if packed else _SortedTopK(n, k, dtype, device)

    def merge(self, first_row: int, tile: Tensor, first_column: int) -> None:
        """Take in a tile of values (q, b): rows first_row …, columns first_column ….

        The tile may be the transpose of a contiguous one; then it is best not copied. A row is fed in ranges
        that begin at the same row each time, or nearly so. -inf stands for no value.
        """
        self.kept.merge(first_row, tile, first_column)

    @property
    def values(self) -> Tensor:
        """The values (n, k), descending; -inf in a place not taken."""
        return self.kept.values

    @property
    def indices(self) -> Tensor:
        """The columns, int64 (n, k), ascending where values tie."""
        return self.kept.indices


class _SortedTopK:
    """The same by torch alone: for GPUs, and for float64."""

    def __init__(self, n: int, k: int, dtype: torch.dtype, device: torch.device) -> None:
        self.k = k
        self.values = torch.full((n, k), -torch.inf, dtype=dtype, device=device)
        self.indices = torch.zeros(n, k, dtype=torch.int64, device=device)

    def merge(self, first_row: int, tile: Tensor, first_column: int) -> None:
        tile = tile.contiguous()
        rows = torch.arange(first_row, first_row + len(tile), device=tile.device)
        last = self.values[rows, -1]
        if torch.isinf(last[0]):  # all rows of a tile fill up together
            columns, values = top_k_of_tile(tile, self.k)
        else:
            # One that ties with the last value held takes its place only if its column is smaller.
            is_later = self.indices[rows, -1] < first_column
            bound = torch.where(is_later, last, torch.nextafter(last, torch.full_like(last, -torch.inf)))
            improved, columns, values = _above(tile, bound)
            rows = rows[improved]
        merged_values = torch.cat([self.values[rows], values], dim=1)
        merged_indices = torch.cat([self.indices[rows], columns + first_column], dim=1)
        merged_values, merged_indices = in_order(merged_values, merged_indices)
        self.values[rows] = merged_values[:, : self.k]
        self.indices[rows] = merged_indices[:, : self.k]


def _above(tile: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the values of a tile (q, b) that exceed the threshold (q,) of their row.

    Returns the rows that have any (h,), and for each of them columns and values (h, w), in the order of the
    columns, padded with -inf.

    The maxima of groups of columns are compared first: one pass over the tile, then a look at the few groups
    that matter. That is 20 times faster than `torch.topk` of the tile on two cores.
    """
    q, b = tile.shape
    if b % GROUP:
        tile = torch.nn.functional.pad(tile, (0, GROUP - b % GROUP), value=-torch.inf)
    groups = tile.view(q, -1, GROUP)
    row, group = torch.nonzero(groups.amax(2) > threshold[:, None], as_tuple=True)
    candidates = groups[row, group]  # (g, GROUP)
    of_candidate, lane = torch.nonzero(candidates > threshold[row, None], as_tuple=True)
    # One entry per value above its threshold, ascending by row, then by column.
    row, column = row[of_candidate], group[of_candidate] * GROUP + lane
    rows, count = torch.unique_consecutive(row, return_counts=True)
    first = count.cumsum(0) - count
    place = torch.arange(len(row), device=tile.device) - first.repeat_interleave(count)
    line = torch.arange(len(rows), device=tile.device).repeat_interleave(count)
    width = int(count.max()) if len(count) else 0
    values = tile.new_full((len(rows), width), -torch.inf)
    columns = torch.zeros(len(rows), width, dtype=torch.int64, device=tile.device)
    values[line, place], columns[line, place] = candidates[of_candidate, lane], column
    return rows, columns, values


def top_k_of_tile(tile: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return indices and values (q, min(k, b)) of the k largest of each row of a tile (q, b).

    Ties go to the smaller index.

    `torch.topk` returns equal values in no order, and any of those that tie for the k-th place. Rows with
    such a tie, which one more value shows, are sorted whole.
    """
    _q, b = tile.shape
    kept = min(k, b)
    values, indices = tile.topk(min(k + 1, b), dim=1)
    tied = torch.nonzero(values[:, -1] == values[:, kept - 1]).flatten() if kept < b else indices.new_empty(0)
    values, indices = in_order(values[:, :kept], indices[:, :kept])
    for rows in torch.split(tied, SORT_ROWS):
        sorted_values, sorted_indices = torch.sort(tile[rows], dim=1, descending=True, stable=True)
        values[rows], indices[rows] = sorted_values[:, :kept], sorted_indices[:, :kept]
    return indices, values


def in_order(values: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Return values and indices (n, k) with each row sorted: larger values first, ties by smaller index."""
    by_index = indices.argsort(dim=1)
    values, indices = values.gather(1, by_index), indices.gather(1, by_index)
    by_value = torch.sort(values, dim=1, descending=True, stable=True).indices
    return values.gather(1, by_value), indices.gather(1, by_value)
