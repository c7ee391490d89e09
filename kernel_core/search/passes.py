"""One pass of a chunk of query rows over a range of database rows, on as many threads as there are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.search.memory_plan import MULTIPLIED, MemoryPlan
from kernel_core.search.products import Operand, Product
from kernel_core.search.row_source import Range, RowSource, ranges, read_ahead
from kernel_core.search.running_topk import RunningTopK
from kernel_core.search.tables import Table
from kernel_core.threads import each

B = TypeVar("B")
Products = list[Tensor]  # of a tile of query rows and some database rows (q, b), one per part of the rows


@dataclass(frozen=True, eq=False)
class Pass:
    """How query rows meet database rows.

    k: neighbors per query row. parts: number of equal parts per row, each of which has neighbors of its own.
    own: int64 (n,), which database row query row i is, negative for none; None if none is any.
    symmetric: query and database are the same rows; only tiles on and above the diagonal are multiplied.
    threads: how many compute at once. stop: set where the search failed or was interrupted.
    """

    query: RowSource
    database: RowSource
    k: int
    plan: MemoryPlan
    product: Product
    device: torch.device
    threads: int
    parts: int = 1
    own: Tensor | None = None
    symmetric: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    def search(
        self, chunk: Range, columns: Range, best: list[Table], mirrored: list[Table]
    ) -> Iterator[float]:
        """Search with a chunk of query rows in a range of database rows; yield numbers of pairs as they end.

        best: the tables that take what the rows of the chunk find, as `tables` makes them. mirrored: those
            that take what database rows find among the query rows before them, if they are the same rows.
        """
        is_held = len(self._run_slices) == 1
        search = self._search_held if is_held else self._search_by_slices
        yield from search(chunk, columns, best, mirrored)

    def tables(self, rows: Range) -> list[Table]:
        """Return empty tables for some rows: for the whole rows, then for each part if there are several."""
        return [Table(rows, self.k, self.query.dtype, self.device) for _ in range(self._table_count)]

    def pair_count(self, chunk: Range, columns: Range) -> int:
        """Return how many pairs a chunk of query rows and a range of database rows make."""
        return (chunk[1] - chunk[0]) * (columns[1] - self._first_column(chunk, columns))

    @property
    def _table_count(self) -> int:
        return 1 if self.parts == 1 else 1 + self.parts

    @property
    def _run_slices(self) -> list[slice]:
        run_count = self.query.run_count
        return [slice(first, last) for first, last in ranges(0, run_count, self.plan.slice_runs)]

    def _first_column(self, chunk: Range, columns: Range) -> int:
        """Return the first row of a range that a chunk of query rows must be multiplied with."""
        return min(max(chunk[0], columns[0]), columns[1]) if self.symmetric else columns[0]

    def _running(self, rows: Range, least: npt.NDArray[np.float32] | None = None) -> list[RunningTopK]:
        """Return empty running tables; least: as in `RunningTopK`, a row of it for each of them."""
        n, shared = rows[1] - rows[0], [None] * self._table_count if least is None else least
        return [RunningTopK(n, self.k, self.query.dtype, self.device, of_table) for of_table in shared]

    def _search_held(
        self, chunk: Range, columns: Range, best: list[Table], mirrored: list[Table]
    ) -> Iterator[float]:
        """Search with query rows that are embedded once and held."""
        tiles = ranges(*chunk, self.plan.tile_rows)
        held = list(self._each_query(tiles, slice(None), lambda _tile, of_tile: of_tile))
        idle: SimpleQueue[list[RunningTopK]] = SimpleQueue()  # the tables of threads that have no block now
        least = np.full((self._table_count, chunk[1] - chunk[0]), -np.inf, np.float32)
        for _ in range(self.threads):
            idle.put(self._running(chunk, least if self.threads > 1 else None))

        def search_block(block: Range, of_block: list[Operand]) -> int:
            running, reverse = idle.get(), self._running(block) if self.symmetric else []
            for tile, of_tile in zip(tiles, held, strict=True):
                if self.stop.is_set():
                    break
                if not self._is_below_diagonal(tile, block):
                    values = self._finished(tile, block, self._multiply(of_tile, of_block))
                    _merge(running, tile[0] - chunk[0], values, block[0])
                    if self._is_above_diagonal(tile, block):
                        _merge_mirrored(reverse, values, tile[0])
            idle.put(running)
            _take(mirrored, block[0], reverse)
            return self.pair_count(chunk, block)

        blocks = ranges(self._first_column(chunk, columns), columns[1], self.plan.block_rows)
        yield from self._each_database(blocks, slice(None), search_block)
        while not idle.empty():
            _take(best, chunk[0], idle.get())

    def _search_by_slices(
        self, chunk: Range, columns: Range, best: list[Table], mirrored: list[Table]
    ) -> Iterator[float]:
        """Search with query rows too long to be held: add up the products of slices of the runs."""
        tiles = ranges(*chunk, self.plan.tile_rows)
        for block in ranges(self._first_column(chunk, columns), columns[1], self.plan.block_rows):
            pieces = ranges(*block, MULTIPLIED)
            sums: dict[tuple[Range, Range], Products] = {}
            for run_slice in self._run_slices:
                self._add_slice(tiles, pieces, run_slice, sums)
                yield self.pair_count(chunk, block) / len(self._run_slices)
            finished = {pair: self._finished(*pair, products) for pair, products in sums.items()}
            self._take_sums(tiles, pieces, finished, best)
            if self.symmetric:
                self._take_mirrored(tiles, pieces, finished, mirrored)

    def _add_slice(
        self,
        tiles: list[Range],
        pieces: list[Range],
        run_slice: slice,
        sums: dict[tuple[Range, Range], Products],
    ) -> None:
        """Add the products of a slice of the runs to the sums of each tile and piece."""
        held = list(self._each_database(pieces, run_slice, lambda _piece, of_piece: of_piece))

        def add(tile: Range, of_tile: list[Operand]) -> None:
            for piece, of_piece in zip(pieces, held, strict=True):
                if self._is_below_diagonal(tile, piece) or self.stop.is_set():
                    continue
                products = self._multiply(of_tile, of_piece)
                for total, addend in zip(sums.setdefault((tile, piece), products), products, strict=True):
                    if total is not addend:
                        total += addend

        list(self._each_query(tiles, run_slice, add))

    def _take_sums(
        self,
        tiles: list[Range],
        pieces: list[Range],
        sums: dict[tuple[Range, Range], Products],
        best: list[Table],
    ) -> None:
        def take(tile: Range) -> None:
            running = self._running(tile)
            for piece in pieces:
                if (tile, piece) in sums:
                    _merge(running, 0, sums[tile, piece], piece[0])
            _take(best, tile[0], running)

        list(each(take, tiles, self.threads, self.stop))

    def _take_mirrored(
        self,
        tiles: list[Range],
        pieces: list[Range],
        sums: dict[tuple[Range, Range], Products],
        mirrored: list[Table],
    ) -> None:
        def take(piece: Range) -> None:
            reverse = self._running(piece)
            for tile in tiles:
                if self._is_above_diagonal(tile, piece):
                    _merge_mirrored(reverse, sums[tile, piece], tile[0])
            _take(mirrored, piece[0], reverse)

        list(each(take, pieces, self.threads, self.stop))

    def _is_below_diagonal(self, tile: Range, block: Range) -> bool:
        """Return whether a tile of query rows lies below a block of the same rows: its products are known."""
        return self.symmetric and tile[0] >= block[1]

    def _is_above_diagonal(self, tile: Range, block: Range) -> bool:
        """Return whether a tile of query rows lies above a block of the same rows: it serves both sides."""
        return self.symmetric and tile[1] <= block[0]

    def _each_query(
        self, tiles: list[Range], run_slice: slice, work: Callable[[Range, list[Operand]], B]
    ) -> Iterator[B]:
        """Yield what `work` makes of each tile of query rows and its operands, one per part."""
        return self._each_embedded(self.query, self.product.operand, tiles, run_slice, work)

    def _each_database(
        self, blocks: list[Range], run_slice: slice, work: Callable[[Range, list[Operand]], B]
    ) -> Iterator[B]:
        """Yield what `work` makes of each block of database rows and its operands, one per part."""
        return self._each_embedded(self.database, self.product.database_operand, blocks, run_slice, work)

    def _each_embedded(
        self,
        source: RowSource,
        operand: Callable[[Tensor], Operand],
        row_ranges: list[Range],
        run_slice: slice,
        work: Callable[[Range, list[Operand]], B],
    ) -> Iterator[B]:
        run_slice = slice(*run_slice.indices(source.run_count))

        def on_operands(row_range: Range, raw: Tensor) -> B:
            rows = source.rows(raw, row_range[0], run_slice)
            by_part = rows.view(len(rows), self.parts, -1)  # (b, parts, D / parts)
            return work(row_range, [operand(by_part[:, part]) for part in range(self.parts)])

        if self.device.type == "cuda":
            for row_range, raw in read_ahead(source, row_ranges, run_slice, self.device):
                yield on_operands(row_range, raw)
            return

        def embed(row_range: Range) -> B:
            return on_operands(row_range, torch.from_numpy(source.read(*row_range, run_slice)))

        yield from each(embed, row_ranges, self.threads, self.stop)

    def _multiply(self, of_tile: list[Operand], of_block: list[Operand]) -> Products:
        return [self.product.multiply(*pair) for pair in zip(of_tile, of_block, strict=True)]

    def _finished(self, tile: Range, block: Range, products: Products) -> Products:
        """Return the values of a tile and a block: of the whole rows, then of each part if there are any."""
        if self.parts > 1:
            whole = products[0].clone()
            for part in products[1:]:
                whole += part
            products = [whole, *(part.mul_(self.parts) for part in products)]
        if self.own is not None:
            for values in products:
                _mask_own(values, self.own[slice(*tile)] - block[0])
        return products


def _mask_own(values: Tensor, own: Tensor) -> None:
    """Write -inf where a query row meets itself: in row i of a tile (q, b), at column own[i] if any."""
    inside = torch.nonzero((own >= 0) & (own < values.shape[1])).flatten()
    values[inside, own[inside]] = -torch.inf


def _merge(running: list[RunningTopK], first_row: int, values: Products, first_column: int) -> None:
    for of_part, of_tile in zip(running, values, strict=True):
        of_part.merge(first_row, of_tile, first_column)


def _merge_mirrored(running: list[RunningTopK], values: Products, first_column: int) -> None:
    _merge(running, 0, [of_part.T for of_part in values], first_column)


def _take(tables: list[Table], first_row: int, running: list[RunningTopK]) -> None:
    """Let tables take what was found; of nothing, an empty list, nothing."""
    for table, found in zip(tables, running, strict=False):
        table.take(first_row, found.values, found.indices)
