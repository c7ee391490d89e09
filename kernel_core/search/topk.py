"""Streamed exact top-k: the k largest inner products of every query row with all database rows.

The whole query × database matrix never exists. Query rows are held (in chunks, if the budget demands it), database
rows come in blocks and are embedded on the fly, and each tile of products is merged into a running top-k:
the shape of faiss' `knn_ground_truth` (contrib/exhaustive_search.py). Rows too long to be held (thousands of runs)
are embedded a slice of the runs at a time, and the products of the slices are added up.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.errors import RequestError
from kernel_core.machine import CPU, Machine
from kernel_core.progress import Progress, no_progress
from kernel_core.search.memory_plan import MemoryPlan, Size, plan_memory
from kernel_core.search.products import Product, exact_product
from kernel_core.search.running_topk import TopK

Span = tuple[int, int]  # first row, last row + 1


class RowSource(Protocol):
    """What top-k needs of an embedding (`embed.py` has them): rows of runs * width numbers."""

    runs: int
    width: int
    raw_bytes: int
    dtype: torch.dtype

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int, runs: slice) -> npt.NDArray[Any]:
        """What rows start … stop-1 are made of, read on any thread."""

    def rows(self, raw: Tensor, start: int, runs: slice) -> Tensor:
        """What `read` gave, on some device → rows (stop-start, width * runs) of `dtype` there."""


@dataclass(frozen=True, eq=False)
class Top:
    """The k nearest database rows of every query row: indices int32 (n, k) and values (n, k), ordered as
    `selection.py` says."""

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
) -> Top:
    """The k nearest database rows of every query row, exactly.

    With `exclude_self`, query and database are the same rows: i is never among i's neighbors, and each pair is
    multiplied once. Raises `RequestError` if k exceeds what the database offers or the budget is too small.
    """
    search = Search(query, database, k, exclude_self=exclude_self, machine=machine, progress=progress)
    return search.run()[0]


def top_k_by_class(
    query: RowSource,
    database: RowSource,
    k: int,
    *,
    exclude_self: bool = False,
    machine: Machine = CPU,
    progress: Progress = no_progress,
) -> list[Top]:
    """The k nearest by the average over classes, then by each class alone; all in one pass.

    The rows' width is the number of classes. Otherwise as `top_k`.
    """
    return Search(
        query, database, k, exclude_self=exclude_self, parts=query.width, machine=machine, progress=progress
    ).run()


class Search:
    """One pass over the database.

    exclude_self: query and database are the same rows, and none is its own neighbor; only tiles above the diagonal are
    computed, and used from both sides. own[i]: where the query rows are some of the database's, which of them query row
    i is, never among its neighbors.
    parts: into so many equal parts the numbers of a row are cut; with more than one, the top-k of each part's products
    times `parts` follow the top-k of their sum.
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
                f"k is {k}, but the database offers {available} examples; ask for 1 to {available}."
            )
        device = machine.device
        self.query, self.database, self.parts = query, database, parts
        self.device, self.progress = device, progress
        self.product = product or exact_product(device, query.runs * query.width // parts, query.dtype)
        self.own = None if own is None else own.to(device)
        self.symmetric = exclude_self
        size = Size(
            len(query), len(database), query.runs, query.width, k,
            itemsize=query.dtype.itemsize, operand=self.product.itemsize,
            raw=max(query.raw_bytes, database.raw_bytes), parts=parts,
            symmetric=self.symmetric, device=device.type,
        )  # fmt: skip
        self.plan: MemoryPlan = plan_memory(size, machine.budget)
        tables = 1 if parts == 1 else 1 + parts
        self.best = [TopK(len(query), k, query.dtype, device) for _ in range(tables)]

    def run(self) -> list[Top]:
        """Search; returns the top-k of the whole, then of each part if there are several."""
        n, chunk, step = len(self.query), self.plan.query_chunk, "nearest neighbors"
        chunks = [(start, min(start + chunk, n)) for start in range(0, n, chunk)]
        columns = [(stop - start) * (len(self.database) - self._first(start)) for start, stop in chunks]
        done, whole = 0, sum(columns)
        self.progress(step, 0, whole)
        for start, stop in chunks:
            work = self._with_rows_held if len(self._slices) == 1 else self._slice_by_slice
            for advanced in work(start, stop):
                done += (stop - start) * advanced
                self.progress(step, done // len(self._slices), whole)
        return [Top(b.indices.to(torch.int32).cpu().numpy(), b.values.cpu().numpy()) for b in self.best]

    @property
    def _slices(self) -> list[slice]:
        starts = range(0, self.query.runs, self.plan.slice_runs)
        return [slice(r, min(r + self.plan.slice_runs, self.query.runs)) for r in starts]

    def _first(self, row: int) -> int:
        """The first database row that query rows from `row` on must be multiplied with."""
        return row if self.symmetric else 0

    def _tiles(self, start: int, stop: int) -> list[Span]:
        return spans(start, stop, self.plan.tile_rows)

    def _blocks(self, start: int) -> list[Span]:
        return spans(self._first(start), len(self.database), self.plan.database_block)

    def _with_rows_held(self, start: int, stop: int) -> Iterator[int]:
        """Query rows start … stop-1, embedded once, against the database; yields the columns each block adds."""
        runs = self._slices[0]
        tiles = self._tiles(start, stop)
        held = [operands for _, operands in self._embedded(self.query, tiles, runs)]
        for block, operands in self._embedded(self.database, self._blocks(start), runs):
            for tile, rows in zip(tiles, held, strict=True):
                if not self._done_from_the_other_side(tile, block):
                    self._merge(tile, block, self._multiply(rows, operands))
            yield block[1] - block[0]

    def _slice_by_slice(self, start: int, stop: int) -> Iterator[int]:
        """The same for long rows: block by block, the products of the slices of runs are added up, tile by tile."""
        for block in self._blocks(start):
            tiles = [t for t in self._tiles(start, stop) if not self._done_from_the_other_side(t, block)]
            sums: dict[Span, list[Tensor]] = {}
            for runs in self._slices:
                ((_, operands),) = self._embedded(self.database, [block], runs)
                for tile, rows in self._embedded(self.query, tiles, runs):
                    products = self._multiply(rows, operands)
                    if tile in sums:
                        for total, addend in zip(sums[tile], products, strict=True):
                            total += addend
                    else:
                        sums[tile] = products
                yield block[1] - block[0]
            for tile in tiles:
                self._merge(tile, block, sums.pop(tile))

    def _done_from_the_other_side(self, tile: Span, block: Span) -> bool:
        """Whether a tile of query rows lies below a block of the same rows."""
        return self.symmetric and tile[0] >= block[1]

    def _embedded(self, side: RowSource, spans: list[Span], runs: slice) -> Iterator[tuple[Span, list[Any]]]:
        """The operands of each span of rows, part by part."""
        for span, raw in read_ahead(side, spans, runs, self.device):
            yield span, self._operands_of(side.rows(raw, span[0], runs))

    def _operands_of(self, rows: Tensor) -> list[Any]:
        cut = rows.view(len(rows), self.parts, -1)  # (b, parts, D / parts)
        return [self.product.operand(cut[:, part]) for part in range(self.parts)]

    def _multiply(self, rows: list[Any], operands: list[Any]) -> list[Tensor]:
        return [self.product.multiply(q, d) for q, d in zip(rows, operands, strict=True)]

    def _merge(self, tile: Span, block: Span, products: list[Tensor]) -> None:
        """Take the products of a tile of query rows and a block of database rows, part by part, into the top-k."""
        if self.parts > 1:
            whole = products[0].clone()
            for part in products[1:]:
                whole += part
            products = [whole, *(part.mul_(self.parts) for part in products)]
        for best, values in zip(self.best, products, strict=True):
            if self.own is not None:
                _mask(values, self.own[slice(*tile)] - block[0])
            best.merge(tile[0], values, block[0])
            if self.symmetric and tile[1] <= block[0]:
                best.merge(block[0], values.T.contiguous(), tile[0])


def spans(start: int, stop: int, step: int) -> list[Span]:
    """start … stop cut into spans of `step`, the last one shorter."""
    return [(i, min(i + step, stop)) for i in range(start, stop, step)]


def _mask(tile: Tensor, own: Tensor) -> None:
    """Write -inf where a query row meets itself: row i of the tile (q, b) in column own[i], where there is one."""
    inside = torch.nonzero((own >= 0) & (own < tile.shape[1])).flatten()
    tile[inside, own[inside]] = -torch.inf


def read_ahead(
    side: RowSource, spans: list[Span], runs: slice, device: torch.device
) -> Iterator[tuple[Span, Tensor]]:
    """What each span of rows is made of, on the device; with CUDA, the next is read and copied meanwhile."""
    if device.type != "cuda":
        for span in spans:
            yield span, torch.from_numpy(side.read(*span, runs))
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def fetch(span: Span) -> Tensor:
        pinned = torch.from_numpy(side.read(*span, runs)).pin_memory()
        with torch.cuda.stream(stream):
            raw = pinned.to(device, non_blocking=True)
        stream.synchronize()  # this thread waits, the other one computes
        return raw

    if not spans:
        return
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(fetch, spans[0])
        for span, after in zip_longest(spans, spans[1:]):
            raw = following.result()
            if after is not None:
                following = reader.submit(fetch, after)
            raw.record_stream(torch.cuda.current_stream(device))
            yield span, raw
