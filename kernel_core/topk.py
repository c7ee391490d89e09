"""Streamed exact top-k: the k largest inner products of every query row with all database rows.

The whole query × database matrix never exists. Query rows are held (in chunks, if the budget demands it), database
rows come in blocks and are embedded on the fly, and each tile of products is merged into a running top-k:
the shape of faiss' `knn_ground_truth` (contrib/exhaustive_search.py).

The order is defined: larger value first, and of equal values the smaller index first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.errors import RequestError
from kernel_core.records import Progress, no_progress

DATABASE_BLOCK = 8_192  # rows; larger ones gain nothing on CPU or GPU
TILE_BYTES = 128_000_000
# What embedding a block takes beside its rows: embed.PIECE_BYTES and the temporaries made of a piece.
WORKSPACE = {"cpu": 16_000_000, "cuda": 512_000_000}
SORT_ROWS = 64  # rows sorted whole at a time when values tie across the k-th place


class Rows(Protocol):
    """What top-k needs of an embedding (`embed.py` has them)."""

    dim: int
    dtype: torch.dtype

    def __len__(self) -> int: ...

    def block(self, start: int, stop: int, device: torch.device) -> Tensor:
        """Rows start … stop-1, (stop-start, dim) of `dtype`, on `device`."""


@dataclass(frozen=True)
class Plan:
    """How many rows are held at a time, and the bytes that takes."""

    query_chunk: int  # query rows embedded and held
    database_block: int  # database rows embedded at a time
    tile_rows: int  # query rows multiplied at a time
    bytes: int


def plan_blocks(
    n_query: int, n_database: int, dim: int, k: int, budget: int, *, itemsize: int = 4, device: str = "cpu"
) -> Plan:
    """The largest blocks, within reason, whose rows, tile and results fit `budget` bytes.

    Raises `RequestError`, saying how much is needed, if not even the smallest do.
    """
    row = dim * itemsize
    best = 8 * k * 12  # a query row's running top-k, the block's, and what merging them takes

    def total(chunk: int, block: int, tile: int) -> int:
        return WORKSPACE[device] + (chunk + block) * row + chunk * best + tile * block * (itemsize + 1)

    block = min(n_database, DATABASE_BLOCK)
    sizes = {"chunk": n_query, "block": block, "tile": max(1, min(n_query, TILE_BYTES // (block * itemsize)))}
    while total(**sizes) > budget and max(sizes.values()) > 1:
        # halve whichever takes most; a smaller chunk costs another pass over the database
        chunk, block, tile = sizes.values()
        costs = {"chunk": chunk * (row + best), "block": block * row, "tile": tile * block * itemsize}
        largest = max((name for name in sizes if sizes[name] > 1), key=costs.__getitem__)
        sizes[largest] = (sizes[largest] + 1) // 2
        sizes["tile"] = min(sizes["tile"], sizes["chunk"])
    if total(**sizes) > budget:
        raise RequestError(
            f"The memory budget of {budget / 1e6:,.4g} MB is too small: a single query row against a single database "
            f"row takes {total(1, 1, 1) / 1e6:,.0f} MB. Give at least that much."
        )
    return Plan(sizes["chunk"], sizes["block"], sizes["tile"], total(**sizes))


def top_k(
    query: Rows,
    database: Rows,
    k: int,
    *,
    exclude_self: bool = False,
    device: torch.device | str = "cpu",
    budget: int = 1_000_000_000,
    progress: Progress = no_progress,
) -> tuple[npt.NDArray[np.int32], Tensor]:
    """The k nearest database rows of every query row, exactly.

    Returns indices int32 (n_query, k) and values (n_query, k) of the rows' dtype on the CPU, both ordered as the
    module says. With `exclude_self`, query and database are the same rows and i is never among i's neighbors.
    Raises `RequestError` if k exceeds what the database offers or the budget (bytes) is too small.
    """
    device = torch.device(device)
    available = len(database) - exclude_self
    if not 1 <= k <= available:
        raise RequestError(
            f"k is {k}, but the database offers {available} examples; ask for 1 to {available}."
        )
    plan = plan_blocks(
        len(query), len(database), query.dim, k, budget, itemsize=query.dtype.itemsize, device=device.type
    )
    whole, done = len(query) * len(database), 0

    def advance(products: int) -> None:
        nonlocal done
        done += products
        progress("nearest neighbors", done, whole)

    advance(0)
    found = []
    for start in range(0, len(query), plan.query_chunk):
        rows = query.block(start, min(start + plan.query_chunk, len(query)), device)
        found.append(_top_k_of_chunk(rows, database, k, start if exclude_self else None, plan, advance))
    indices = torch.cat([i for i, _ in found]).to(torch.int32)
    return indices.numpy(), torch.cat([v for _, v in found])


def _top_k_of_chunk(
    rows: Tensor, database: Rows, k: int, first: int | None, plan: Plan, advance: Callable[[int], None]
) -> tuple[Tensor, Tensor]:
    """Top-k of the query rows held against the whole database. first: the index of rows[0] where self is masked."""
    n = len(rows)
    indices = torch.zeros(n, k, dtype=torch.int64, device=rows.device)
    values = torch.full((n, k), -torch.inf, dtype=rows.dtype, device=rows.device)
    for b0 in range(0, len(database), plan.database_block):
        b1 = min(b0 + plan.database_block, len(database))
        block = database.block(b0, b1, rows.device)  # (b, D)
        for q0 in range(0, n, plan.tile_rows):
            q1 = min(q0 + plan.tile_rows, n)
            tile = rows[q0:q1] @ block.T  # (q, D) x (D, b) -> (q, b)
            if first is not None:
                _mask_self(tile, first + q0, b0)
            tile_indices, tile_values = top_k_of_tile(tile, k)
            merged_values = torch.cat([values[q0:q1], tile_values], dim=1)
            merged_indices = torch.cat([indices[q0:q1], tile_indices + b0], dim=1)
            # Everything found before has smaller indices, so a stable sort keeps equal values in index order.
            order = torch.sort(merged_values, dim=1, descending=True, stable=True).indices[:, :k]
            values[q0:q1], indices[q0:q1] = merged_values.gather(1, order), merged_indices.gather(1, order)
        advance(n * (b1 - b0))
    return indices.cpu(), values.cpu()


def _mask_self(tile: Tensor, first_query: int, first_database: int) -> None:
    """Write -inf where a query row meets itself. tile: (q, b)."""
    q, b = tile.shape
    columns = torch.arange(first_query, first_query + q, device=tile.device) - first_database
    inside = (columns >= 0) & (columns < b)
    tile[torch.arange(q, device=tile.device)[inside], columns[inside]] = -torch.inf


def top_k_of_tile(tile: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Indices and values (q, min(k, b)) of the k largest in each row, equal values in index order.

    `torch.topk` returns equal values in no order, and any of those that tie for the k-th place; rows where they do
    (seen from one value more) are sorted whole.
    """
    _q, b = tile.shape
    kept = min(k, b)
    values, indices = tile.topk(min(k + 1, b), dim=1)
    tied = torch.nonzero(values[:, -1] == values[:, kept - 1]).flatten() if kept < b else indices.new_empty(0)
    values, indices = values[:, :kept], indices[:, :kept]
    equal_rows = torch.nonzero((values[:, 1:] == values[:, :-1]).any(1)).flatten()
    if len(equal_rows):
        values[equal_rows], indices[equal_rows] = _in_index_order(values[equal_rows], indices[equal_rows])
    for rows in torch.split(tied, SORT_ROWS):
        sorted_values, sorted_indices = torch.sort(tile[rows], dim=1, descending=True, stable=True)
        values[rows], indices[rows] = sorted_values[:, :kept], sorted_indices[:, :kept]
    return indices, values


def _in_index_order(values: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Reorder rows of descending values so that equal ones stand in the order of their indices."""
    by_index = indices.argsort(dim=1)
    values, indices = values.gather(1, by_index), indices.gather(1, by_index)
    by_value = torch.sort(values, dim=1, descending=True, stable=True).indices
    return values.gather(1, by_value), indices.gather(1, by_value)
