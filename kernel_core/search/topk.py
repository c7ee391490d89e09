"""Streamed exact top-k: the k largest inner products of every query row with all database rows.

The whole query × database matrix never exists. Query rows are held in memory, in chunks if the budget demands
it; database rows come in blocks and are embedded on the fly; each tile of products is merged into a running
top-k. This is the shape of faiss' `knn_ground_truth` (contrib/exhaustive_search.py). Rows too long to be held
(thousands of runs) are embedded one slice of the runs at a time, and the products of the slices are added up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.errors import RequestError
from kernel_core.machine import CPU, Machine
from kernel_core.progress import Progress, no_progress
from kernel_core.search.memory_plan import MemoryPlan, SearchSize, plan_memory
from kernel_core.search.products import Operand, Product, exact_product
from kernel_core.search.row_source import Range, RowSource, ranges, read_ahead
from kernel_core.search.running_topk import RunningTopK


@dataclass(frozen=True, eq=False)
class TopK:
    """The k nearest database rows of every query row: larger values first, ties by smaller index.

    indices: int32 (n, k), the database rows. values: (n, k), their inner products, in the dtype of the rows.
    """

    indices: npt.NDArray[np.int32]
    values: npt.NDArray[Any]


def top_k(
    query: RowSource,
    database: RowSource,
    k: int,
    *,
    exclude_self: bool = False,
    machine: Machine = CPU,
    progress: Progress = no_progress,
) -> TopK:
    """Return the k nearest database rows of every query row, exactly.

    exclude_self: query and database are the same rows. Row i is never among its own neighbors, and each pair
        of rows is multiplied once.

    Raises `RequestError` if k exceeds what the database offers, or if the budget is too small.
    """
    search = TopKSearch(query, database, k, exclude_self=exclude_self, machine=machine, progress=progress)
    return search.compute()[0]


def top_k_by_class(
    query: RowSource,
    database: RowSource,
    k: int,
    *,
    exclude_self: bool = False,
    machine: Machine = CPU,
    progress: Progress = no_progress,
) -> list[TopK]:
    """Return the k nearest by the average over all classes, then by each class alone, from one pass.

    The width of the rows is the number of classes. Parameters and errors are those of `top_k`.
    """
    search = TopKSearch(
        query, database, k, exclude_self=exclude_self, parts=query.width, machine=machine, progress=progress
    )
    return search.compute()


class TopKSearch:
    """One pass of all query rows over the database.

    exclude_self: query and database are the same rows, and no row is its own neighbor. Only tiles on and
        above the diagonal are computed; each serves both of its sides.
    own: int64 (n,), where the query rows are some of the database rows: which one query row i is. It is never
        among the neighbors of i.
    parts: number of equal parts per row. With several, the top-k of the whole rows is followed by the top-k
        of each part, whose products are multiplied by `parts`.
    product: how blocks are multiplied; by default the fastest exact product.

    Raises `RequestError` if k exceeds what the database offers, or if the budget is too small.
    """

    def __init__(
        self,
        query: RowSource,
        database: RowSource,
        k: int,
        *,
        exclude_self: bool = False,
        own: Tensor | None = None,
        parts: int = 1,
        product: Product | None = None,
        machine: Machine = CPU,
        progress: Progress = no_progress,
    ) -> None:
        own = torch.arange(len(query)) if exclude_self else own
        available = len(database) - (own is not None)
        if not 1 <= k <= available:
            raise RequestError(
                f"k is {k}, but only {available} neighbors are available; ask for 1 to {available}."
            )
        self.query, self.database, self.parts = query, database, parts
        self.device, self.progress = machine.device, progress
        row_length = query.run_count * query.width
        self.product = product or exact_product(
            self.device, row_length // parts, query.dtype, machine.choices
        )
        self.own = None if own is None else own.to(self.device)
        self.symmetric = exclude_self
        self.plan: MemoryPlan = plan_memory(self._size(k), machine.budget)
        table_count = 1 if parts == 1 else 1 + parts
        self.best = [RunningTopK(len(query), k, query.dtype, self.device) for _ in range(table_count)]

    def _size(self, k: int) -> SearchSize:
        return SearchSize(
            n_query=len(self.query),
            n_database=len(self.database),
            run_count=self.query.run_count,
            width=self.query.width,
            k=k,
            row_itemsize=self.query.dtype.itemsize,
            operand_itemsize=self.product.itemsize,
            raw_bytes=max(self.query.raw_bytes, self.database.raw_bytes),
            held_bytes=self.database.held_bytes,
            work=self.database.work,
            parts=self.parts,
            symmetric=self.symmetric,
            device=self.device.type,
        )

    def compute(self) -> list[TopK]:
        """Return the top-k of the whole rows, then of each part if there are several."""
        chunks = ranges(0, len(self.query), self.plan.chunk_rows)
        total = sum(
            (stop - start) * (len(self.database) - self._first_column(start)) for start, stop in chunks
        )
        slice_count = len(self._run_slices)
        search_chunk = self._search_held if slice_count == 1 else self._search_by_slices
        step, done = "nearest neighbors", 0  # done: pairs times slices
        self.progress(step, 0, total)
        for start, stop in chunks:
            for columns in search_chunk(start, stop):
                done += (stop - start) * columns
                self.progress(step, done // slice_count, total)
        return [TopK(b.indices.to(torch.int32).cpu().numpy(), b.values.cpu().numpy()) for b in self.best]

    @property
    def _run_slices(self) -> list[slice]:
        run_count = self.query.run_count
        return [slice(first, last) for first, last in ranges(0, run_count, self.plan.slice_runs)]

    def _first_column(self, row: int) -> int:
        """Return the first database row that query rows from `row` on must be multiplied with."""
        return row if self.symmetric else 0

    def _tiles(self, start: int, stop: int) -> list[Range]:
        return ranges(start, stop, self.plan.tile_rows)

    def _blocks(self, start: int) -> list[Range]:
        return ranges(self._first_column(start), len(self.database), self.plan.block_rows)

    def _search_held(self, start: int, stop: int) -> Iterator[int]:
        """Search with query rows start … stop-1, embedded once; yield each block's number of columns."""
        (all_runs,) = self._run_slices
        tiles = self._tiles(start, stop)
        held = [operands for _, operands in self._operands(self.query, tiles, all_runs)]
        for block, block_operands in self._operands(self.database, self._blocks(start), all_runs):
            for tile, tile_operands in zip(tiles, held, strict=True):
                if not self._covered_by_symmetry(tile, block):
                    self._merge(tile, block, self._multiply(tile_operands, block_operands))
            yield block[1] - block[0]

    def _search_by_slices(self, start: int, stop: int) -> Iterator[int]:
        """Search with query rows start … stop-1, too long to be held: add up the products of slices of runs.

        Yields the columns that each block adds, once per slice.
        """
        for block in self._blocks(start):
            tiles = [tile for tile in self._tiles(start, stop) if not self._covered_by_symmetry(tile, block)]
            sums: dict[Range, list[Tensor]] = {}
            for run_slice in self._run_slices:
                ((_, block_operands),) = self._operands(self.database, [block], run_slice)
                for tile, tile_operands in self._operands(self.query, tiles, run_slice):
                    products = self._multiply(tile_operands, block_operands)
                    if tile in sums:
                        for total, addend in zip(sums[tile], products, strict=True):
                            total += addend
                    else:
                        sums[tile] = products
                yield block[1] - block[0]
            for tile in tiles:
                self._merge(tile, block, sums.pop(tile))

    def _covered_by_symmetry(self, tile: Range, block: Range) -> bool:
        """Return whether a tile of query rows lies below a block of the same rows: its products are known."""
        return self.symmetric and tile[0] >= block[1]

    def _operands(
        self, source: RowSource, row_ranges: list[Range], run_slice: slice
    ) -> Iterator[tuple[Range, list[Operand]]]:
        """Yield each range of rows with its operands, one per part."""
        for row_range, raw in read_ahead(source, row_ranges, run_slice, self.device):
            rows = source.rows(raw, row_range[0], run_slice)
            by_part = rows.view(len(rows), self.parts, -1)  # (b, parts, D / parts)
            yield row_range, [self.product.operand(by_part[:, part]) for part in range(self.parts)]

    def _multiply(self, tile_operands: list[Operand], block_operands: list[Operand]) -> list[Tensor]:
        pairs = zip(tile_operands, block_operands, strict=True)
        return [self.product.multiply(of_tile, of_block) for of_tile, of_block in pairs]

    def _merge(self, tile: Range, block: Range, products: list[Tensor]) -> None:
        """Merge the products of a tile of query rows with a block of database rows, one per part."""
        if self.parts > 1:
            whole = products[0].clone()
            for part in products[1:]:
                whole += part
            products = [whole, *(part.mul_(self.parts) for part in products)]
        for best, values in zip(self.best, products, strict=True):
            if self.own is not None:
                _mask_own(values, self.own[slice(*tile)] - block[0])
            best.merge(tile[0], values, block[0])
            if self.symmetric and tile[1] <= block[0]:
                best.merge(block[0], values.T.contiguous(), tile[0])


def _mask_own(tile: Tensor, own: Tensor) -> None:
    """Write -inf where a query row meets itself: in row i of the tile (q, b), at column own[i] if any."""
    inside = torch.nonzero((own >= 0) & (own < tile.shape[1])).flatten()
    tile[inside, own[inside]] = -torch.inf
