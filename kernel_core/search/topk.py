"""Streamed exact top-k: the k largest inner products of every query row with all database rows.

The whole query × database matrix never exists. Query rows are held in memory, in chunks if the budget demands
it; database rows come in blocks and are embedded on the fly; each tile of products is merged into a running
top-k. This is the shape of faiss' `knn_ground_truth` (contrib/exhaustive_search.py). Rows too long to be held
(thousands of runs) are embedded one slice of the runs at a time, and the products of the slices are added up.

On a CPU several threads of Python work at once, each with one thread of torch: a step of a tile is so short
that threads inside it would mostly wait for each other, and spin while another program has their core. Each
takes the next block and has a running top-k of its own; the tables are merged at the end. A product of a tile
and a block is the same call in whichever thread, so their number changes no bit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kernel_core.errors import RequestError
from kernel_core.machine import CPU, Machine
from kernel_core.progress import Progress, no_progress
from kernel_core.search.memory_plan import MemoryPlan, SearchSize, plan_memory
from kernel_core.search.passes import Pass
from kernel_core.search.products import Product, exact_product
from kernel_core.search.row_source import RowSource, ranges
from kernel_core.search.tables import TopK
from kernel_core.threads import thread_count

__all__ = ["TopK", "TopKSearch", "top_k", "top_k_by_class"]


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
    """One pass of query rows over the database.

    exclude_self: query and database are the same rows, and no row is its own neighbor. Only tiles on and
        above the diagonal are computed; each serves both of its sides.
    own: int64 (n,), where the query rows are some of the database rows: which one query row i is. It is never
        among the neighbors of i.
    parts: number of equal parts per row. With several, the top-k of the whole rows is followed by the top-k
        of each part, whose products are multiplied by `parts`.
    product: how blocks are multiplied; by default the fastest exact product.
    plan: how many rows at a time; by default the best for the machine.

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
        plan: MemoryPlan | None = None,
        machine: Machine = CPU,
        progress: Progress = no_progress,
    ) -> None:
        own = torch.arange(len(query)) if exclude_self else own
        available = len(database) - (own is not None)
        if not 1 <= k <= available:
            raise RequestError(
                f"k is {k}, but only {available} neighbors are available; ask for 1 to {available}."
            )
        device = machine.device
        self.progress = progress
        product = product or exact_product(
            device, query.run_count * query.width // parts, query.dtype, machine.choices
        )
        size = _size_of(query, database, k, product, device, parts=parts, symmetric=exclude_self)
        self.plan: MemoryPlan = plan or plan_memory(size, machine.budget)
        self.steps = Pass(
            query,
            database,
            k,
            self.plan,
            product,
            device,
            thread_count(device),
            parts=parts,
            own=None if own is None else own.to(device),
            symmetric=exclude_self,
        )

    def compute(self) -> list[TopK]:
        """Return the top-k of the whole rows, then of each part if there are several."""
        steps, n, columns = self.steps, len(self.steps.query), (0, len(self.steps.database))
        chunks = ranges(0, n, self.plan.chunk_rows)
        best = steps.tables((0, n))
        total = sum(steps.pair_count(chunk, columns) for chunk in chunks)
        step, done = "nearest neighbors", 0.0
        self.progress(step, 0, total)
        for chunk in chunks:
            for pairs in steps.search(chunk, columns, best, best):
                done += pairs
                self.progress(step, round(done), total)
        return [table.top(steps.product.name) for table in best]


def _size_of(
    query: RowSource,
    database: RowSource,
    k: int,
    product: Product,
    device: torch.device,
    *,
    parts: int,
    symmetric: bool,
) -> SearchSize:
    return SearchSize(
        n_query=len(query),
        n_database=len(database),
        run_count=query.run_count,
        width=query.width,
        k=k,
        row_itemsize=query.dtype.itemsize,
        operand_itemsize=product.itemsize,
        raw_bytes=max(query.raw_bytes, database.raw_bytes),
        held_bytes=database.held_bytes,
        work=database.work,
        parts=parts,
        symmetric=symmetric,
        device=device.type,
        threads=thread_count(device),
    )
