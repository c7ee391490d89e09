"""How much of a search is held at a time: the cheapest sizes of blocks that fit a memory budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kernel_core.errors import RequestError

# Rows; larger ones gain nothing. On a CPU a tile of products (TILE x BLOCK) should stay in the last level of cache.
BLOCK = {"cpu": 4_096, "cuda": 8_192}
TILE = {"cpu": 1_024, "cuda": 4_096}
# What embedding and selecting take beside what is counted here: temporaries made of pieces and of groups.
WORKSPACE = {"cpu": 16_000_000, "cuda": 512_000_000}
# Per number multiplied, number embedded, product added to a sum, and tile; only their ratios matter. On a CPU as
# measured on two cores with AVX-512; on CUDA from data sheets, where starting a tile's many small steps costs most.
SECONDS = {
    "cpu": {"product": 5e-12, "embed": 3e-9, "add": 1e-9, "step": 2e-4},
    "cuda": {"product": 1e-14, "embed": 1e-11, "add": 1e-12, "step": 5e-4},
}
ENOUGH = 1.06  # of the fastest plan's time, for a plan that takes less memory


@dataclass(frozen=True)
class Size:
    """The size of a search: rows, their runs and numbers a run, neighbors; bytes of a number as a row, as an operand
    of the product, and of an example's raw values a run; parts the rows are cut into; whether both sides are one.
    """

    n_query: int
    n_database: int
    runs: int
    width: int
    k: int
    itemsize: int = 4
    operand: int = 4
    raw: int = 0
    parts: int = 1
    symmetric: bool = False
    device: str = "cpu"


@dataclass(frozen=True)
class MemoryPlan:
    """How many rows and runs are worked on at a time, and the bytes that takes.

    With slice_runs = all runs, the query rows of a chunk are held as operands. With fewer, rows are embedded slice by
    slice, and the products of a whole chunk × block are held while they are summed.
    """

    query_chunk: int
    database_block: int
    tile_rows: int
    slice_runs: int
    bytes: int


def plan_memory(size: Size, budget: int) -> MemoryPlan:
    """The smallest plan about as fast as the fastest whose rows, tiles and results fit `budget` bytes.

    Raises `RequestError`, saying how much is needed, if none does.
    """
    plans = [(_cost(size, plan), plan) for plan in _plans(size, budget)]
    if not plans:
        least = min(_bytes(size, 1, 1, 1, runs) for runs in {1, size.runs})
        raise RequestError(
            f"The memory budget of {budget / 1e6:,.4g} MB is too small: a single query row against a single database "
            f"row takes {least / 1e6:,.0f} MB. Give at least that much."
        )
    enough = ENOUGH * min(cost for cost, _ in plans)
    return min((plan for cost, plan in plans if cost <= enough), key=lambda plan: plan.bytes)


def _plans(size: Size, budget: int) -> Iterator[MemoryPlan]:
    """For every block, tile and slice, the plan with the largest chunk of queries that fits."""
    for runs in _halves(size.runs):
        largest = BLOCK[size.device] if runs == size.runs else 16 * BLOCK[size.device]
        for block in _powers(size.n_database, largest):
            largest_tile = max(128, TILE[size.device] // size.parts)
            for tile in _powers(size.n_query, min(largest_tile, block) if size.symmetric else largest_tile):
                fixed = _bytes(size, 0, block, tile, runs)
                spare, row = budget - fixed, _bytes(size, 1, block, tile, runs) - fixed
                chunk = min(size.n_query, spare // row)
                if size.symmetric and chunk < size.n_query:
                    chunk -= chunk % block  # so that tiles and blocks share their borders
                if chunk >= 1:
                    yield MemoryPlan(chunk, block, min(tile, chunk), runs, fixed + chunk * row)


def _halves(number: int) -> Iterator[int]:
    """The number, then half of it, and so on down to 1."""
    while number > 1:
        yield number
        number = -(-number // 2)
    yield 1


def _powers(rows: int, largest: int) -> Iterator[int]:
    """All the rows if they are few, else powers of two."""
    if rows <= largest:
        yield rows
    power = 1
    while power <= largest and power < rows:
        yield power
        power *= 2


def _bytes(size: Size, chunk: int, block: int, tile: int, runs: int) -> int:
    """What the search holds at its fullest."""
    number = runs * size.width
    made = size.raw * runs * (2 if size.device == "cuda" else 1) + number * (size.itemsize + size.operand)
    products = size.parts * size.itemsize
    tables = 1 if size.parts == 1 else 1 + size.parts
    best = size.n_query * size.k * (size.itemsize + 8) * tables
    merging = tile * 8 * size.k * 12  # a row's running top-k, the tile's, and what merging them takes
    total = WORKSPACE[size.device] + best + merging + block * made
    total += tile * block * (tables + size.symmetric + 1) * size.itemsize
    if runs >= size.runs:
        return total + chunk * number * size.operand
    return total + tile * made + chunk * block * products


def _cost(size: Size, plan: MemoryPlan) -> float:
    """Roughly the seconds that the plan takes."""
    seconds = SECONDS[size.device]
    numbers = size.runs * size.width
    chunks = -(-size.n_query // plan.query_chunk)
    blocks = -(-size.n_database // plan.database_block)
    tiles = -(-size.n_query // plan.tile_rows)
    slices = -(-size.runs // plan.slice_runs)
    rows = chunks * size.n_database + (size.n_query if slices == 1 else blocks * size.n_query)
    pairs = size.n_query * size.n_database
    product = seconds["product"] * pairs * numbers * (1 + 16 / plan.tile_rows + 64 / plan.database_block)
    return (
        product
        + seconds["embed"] * rows * numbers
        + seconds["step"] * blocks * (tiles + chunks) * slices
        + seconds["add"] * pairs * (slices - 1)
    )
