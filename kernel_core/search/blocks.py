"""A search cut into blocks that anyone may do, here or elsewhere, in any order, and merged again.

`plan_job` decides all that the bits of the result depend on; `cut`, `do` and `merge` are pure functions of
it. A block does not depend on how many there are to do them, so what was finished before serves again.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from kernel_core.machine import Machine
from kernel_core.progress import Progress, no_progress
from kernel_core.search.memory_plan import MemoryPlan
from kernel_core.search.passes import Pass
from kernel_core.search.products import BY_NAME
from kernel_core.search.row_source import Range, RowSource, ranges
from kernel_core.search.tables import Table
from kernel_core.search.topk import TopKSearch

# Core-seconds per pair of rows: for each number, and beside. Measured with AVX-512; see docs/measurements.md.
SECONDS_PER_NUMBER, SECONDS_PER_PAIR = 2.2e-11, 4e-9
CPU = torch.device("cpu")


@dataclass(frozen=True)
class SearchJob:
    """A search by one similarity, but for the rows.

    n_query, n_database: rows. run_count, width: a row has run_count * width numbers. k: neighbors per query
    row. exclude_self: query and database are the same rows, and no row is its own neighbor. product: a name
    of `products.BY_NAME`. parts: of a row, each of which has neighbors of its own, as in `TopKSearch`. The
    rest: as in `MemoryPlan`.
    """

    n_query: int
    n_database: int
    run_count: int
    width: int
    k: int
    exclude_self: bool
    product: str
    chunk_rows: int
    block_rows: int
    tile_rows: int
    slice_runs: int
    parts: int = 1

    @property
    def table_count(self) -> int:
        """How many tables are found: that of the whole rows, then one per part if there are several."""
        return 1 if self.parts == 1 else 1 + self.parts

    def to_json(self) -> dict[str, Any]:
        """Return the job as plain JSON values; `from_json` takes them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> SearchJob:
        """Return the job that `to_json` returned."""
        return cls(**content)


@dataclass(frozen=True)
class Block:
    """A range of query rows against a range of database rows. number: its place in the job, from 0."""

    number: int
    query: Range
    database: Range


@dataclass(frozen=True, eq=False)
class Part:
    """What a block found for rows first_row …: the nearest in its range of the other rows.

    indices: int32 (n, k). values: (n, k), descending, in the dtype of the rows; -inf where there are fewer
    than k, the index then means nothing. table: 0 for the whole rows, 1 … for each part of them.
    """

    first_row: int
    indices: npt.NDArray[np.int32]
    values: npt.NDArray[Any]
    table: int = 0


def plan_job(
    query: RowSource,
    database: RowSource,
    k: int,
    *,
    exclude_self: bool = False,
    parts: int = 1,
    machine: Machine,
) -> SearchJob:
    """Return the job of finding the k nearest database rows of every query row, planned for a machine's CPU.

    parts: as in `SearchJob`. Raises `RequestError` as `topk.top_k` does.
    """
    search = TopKSearch(query, database, k, exclude_self=exclude_self, parts=parts, machine=machine)
    plan = search.plan
    return SearchJob(
        len(query),
        len(database),
        query.run_count,
        query.width,
        k,
        exclude_self,
        search.steps.product.name,
        plan.chunk_rows,
        plan.block_rows,
        plan.tile_rows,
        plan.slice_runs,
        parts,
    )


def cut(job: SearchJob, seconds: float) -> list[Block]:
    """Cut a job into blocks of about so many core-seconds; at least one block of the memory plan each."""
    per_pair = SECONDS_PER_PAIR * job.table_count + SECONDS_PER_NUMBER * job.run_count * job.width
    pairs = seconds / per_pair
    blocks: list[Block] = []
    for first, last in ranges(0, job.n_query, job.chunk_rows):
        start = first if job.exclude_self else 0
        while start < job.n_database:
            before = start - first  # rows of the chunk above the block, which meet all of it
            if job.exclude_self and start < last:  # and of its own rows, each meets those after it
                columns = math.sqrt(before**2 + 2 * pairs) - before
            else:
                columns = pairs / (last - first)
            width = max(1, round(columns / job.block_rows)) * job.block_rows
            stop = min(start + width, job.n_database)
            query = (first, min(last, stop) if job.exclude_self else last)
            blocks.append(Block(len(blocks), query, (start, stop)))
            start = stop
    return blocks


def do(
    job: SearchJob,
    block: Block,
    query: RowSource,
    database: RowSource,
    *,
    threads: int = 1,
    progress: Progress = no_progress,
) -> list[Part]:
    """Search one block: return what its query rows found, and its database rows too if they are the same.

    One part per table of the job, and as many again for the database rows.

    query, database: all the rows of the job. threads: how many compute at once; they change no bit. progress:
    counts pairs.

    Raises what reading rows raises.
    """
    plan = MemoryPlan(job.chunk_rows, job.block_rows, job.tile_rows, job.slice_runs, 0)
    own = torch.arange(job.n_query) if job.exclude_self else None
    product = BY_NAME[job.product]
    one = Pass(
        query, database, job.k, plan, product, CPU, threads, job.parts, own=own, symmetric=job.exclude_self
    )
    best = one.tables(block.query)
    mirrored = best if block.query == block.database else one.tables(block.database)
    total, done = one.pair_count(block.query, block.database), 0.0
    progress("nearest neighbors", 0, total)
    for pairs in one.search(block.query, block.database, best, mirrored):
        done += pairs
        progress("nearest neighbors", min(round(done), total), total)
    found = [best] if mirrored is best or not job.exclude_self else [best, mirrored]
    return [_part(table, number) for tables in found for number, table in enumerate(tables)]


def empty(job: SearchJob, dtype: npt.DTypeLike = np.float32) -> list[Part]:
    """Return what was found before the first block, for all query rows: nothing, one part per table."""
    shape = job.n_query, job.k
    return [
        Part(0, np.zeros(shape, np.int32), np.full(shape, -np.inf, np.dtype(dtype)), number)
        for number in range(job.table_count)
    ]


def merge(a: Part, b: Part) -> Part:
    """Return the k best of two parts of the same rows, from different columns; the order does not matter."""
    assert (a.table, a.first_row, a.values.shape) == (b.table, b.first_row, b.values.shape)
    n, k = a.values.shape
    table = Table((a.first_row, a.first_row + n), k, torch.from_numpy(a.values).dtype, CPU)
    for part in (a, b):
        table.take(part.first_row, torch.from_numpy(part.values), torch.from_numpy(part.indices).long())
    return _part(table, a.table)


def _part(table: Table, number: int) -> Part:
    top = table.top()
    return Part(table.rows[0], top.indices, top.values, number)
