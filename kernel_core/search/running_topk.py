"""The running top-k of many rows, fed with tiles of values in the order of their columns.

The order is defined: larger value first, and of equal values the smaller index first.
"""

from __future__ import annotations

import torch
from torch import Tensor

GROUP = 64  # columns whose maximum is looked at first: most groups hold nothing new
SORT_ROWS = 64  # rows sorted whole at a time when values tie across the k-th place


class TopK:
    """The k largest values seen so far of each of n rows, and their columns.

    values (n, k), descending; indices int64 (n, k), equal values in the order of their indices. A place not yet
    taken has the value -inf.
    """

    def __init__(self, n: int, k: int, dtype: torch.dtype, device: torch.device) -> None:
        self.k = k
        self.values = torch.full((n, k), -torch.inf, dtype=dtype, device=device)
        self.indices = torch.zeros(n, k, dtype=torch.int64, device=device)

    def merge(self, first_row: int, tile: Tensor, first_column: int) -> None:
        """Take in the values of rows first_row …, columns first_column …; tile: (q, b).

        Columns must come in ascending order, so that what a row holds has smaller indices than what is new.
        """
        rows = torch.arange(first_row, first_row + len(tile), device=tile.device)
        if torch.isinf(self.values[first_row, -1]):  # all rows of a tile fill up together
            columns, values = top_k_of_tile(tile, self.k)
        else:
            hit, columns, values = _above(tile, self.values[rows, -1])
            rows = rows[hit]
        merged_values = torch.cat([self.values[rows], values], dim=1)
        merged_indices = torch.cat([self.indices[rows], columns + first_column], dim=1)
        # A stable sort keeps equal values in index order.
        order = torch.sort(merged_values, dim=1, descending=True, stable=True).indices[:, : self.k]
        self.values[rows] = merged_values.gather(1, order)
        self.indices[rows] = merged_indices.gather(1, order)


def _above(tile: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The values of a tile (q, b) that exceed their row's threshold (q,).

    Returns the rows that have any (h,), and for them columns and values (h, w), in the order of the columns, padded
    with -inf. The maxima of groups of columns are compared first: one pass over the tile, and a look at the few
    groups that matter; 20 times faster than `torch.topk` of the tile on two cores.
    """
    q, b = tile.shape
    if b % GROUP:
        tile = torch.nn.functional.pad(tile, (0, GROUP - b % GROUP), value=-torch.inf)
    groups = tile.view(q, -1, GROUP)
    row, group = torch.nonzero(groups.amax(2) > threshold[:, None], as_tuple=True)
    values = groups[row, group]  # (g, GROUP)
    which, lane = torch.nonzero(values > threshold[row, None], as_tuple=True)
    row, column = row[which], group[which] * GROUP + lane  # both ascending, entry by entry
    hit, count = torch.unique_consecutive(row, return_counts=True)
    start = count.cumsum(0) - count
    place = torch.arange(len(row), device=tile.device) - start.repeat_interleave(count)
    line = torch.arange(len(hit), device=tile.device).repeat_interleave(count)
    width = int(count.max()) if len(count) else 0
    found = tile.new_full((len(hit), width), -torch.inf)
    columns = torch.zeros(len(hit), width, dtype=torch.int64, device=tile.device)
    found[line, place], columns[line, place] = values[which, lane], column
    return hit, columns, found


def top_k_of_tile(tile: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Indices and values (q, min(k, b)) of the k largest in each row, equal values in index order.

    `torch.topk` returns equal values in no order, and any of those that tie for the k-th place; rows where they do
    (seen from one value more) are sorted whole.
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
    """Rows (n, k) by value, descending, equal ones by index, ascending."""
    by_index = indices.argsort(dim=1)
    values, indices = values.gather(1, by_index), indices.gather(1, by_index)
    by_value = torch.sort(values, dim=1, descending=True, stable=True).indices
    return values.gather(1, by_value), indices.gather(1, by_value)
