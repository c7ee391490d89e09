"""The memory plan of a search: the cheapest sizes of blocks that fit a budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kernel_core.errors import RequestError

# Most rows per block and per tile; larger ones gain nothing. On a CPU a tile of products (TILE x BLOCK)
# should stay in the last level of cache.
BLOCK = {"cpu": 4_096, "cuda": 8_192}
TILE = {"cpu": 1_024, "cuda": 4_096}
# Bytes that embedding and selecting take beside those counted here: temporaries of pieces and of groups.
WORKSPACE = {"cpu": 16_000_000, "cuda": 512_000_000}
# Seconds per number multiplied, number embedded, product added to a sum, product looked at, tile, and
# beginning to look at a tile; only the ratios matter.
# The CPU's were measured on two cores with AVX-512. CUDA's come from data sheets; starting a tile's many
# small steps costs most.
SECONDS = {
    "cpu": {"product": 5e-12, "embed": 3e-9, "add": 1e-9, "select": 2.2e-10, "step": 2e-4, "begin": 4e-4},
    "cuda": {"product": 1e-14, "embed": 1e-11, "add": 1e-12, "select": 1e-12, "step": 5e-4, "begin": 0},
}
NARROW = {"cpu": 2_000, "cuda": 200}  # columns of a block at which looking at a product takes twice that
# Database rows multiplied at once where rows are too long to be held, and blocks therefore larger.
MULTIPLIED = 4_096
REUSED = 31_000_000  # bytes of rows above which the C library maps new memory each time
SHARED_BY = 2  # threads among which blocks should divide evenly
ENOUGH = 1.04  # times the fastest plan's time: slow enough for a plan that takes less memory


@dataclass(frozen=True)
class SearchSize:
    """The size of a search.

    n_query, n_database: rows. run_count, width: a row has run_count * width numbers. k: neighbors per query
    row.
    row_itemsize, operand_itemsize: bytes per number of a row, and of an operand of the product.
    raw_bytes: bytes of stored values per row and run.
    held_bytes: bytes held to make rows, however many. work: numbers multiplied to make a number of a row.
    parts: number of equal parts per row, each with a top-k of its own.
    symmetric: query and database are the same rows.
    threads: how many work at once, each on a block of its own.
    """

    n_query: int
    n_database: int
    run_count: int
    width: int
    k: int
    row_itemsize: int = 4
    operand_itemsize: int = 4
    raw_bytes: int = 0
    held_bytes: int = 0
    work: int = 0
    parts: int = 1
    symmetric: bool = False
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class MemoryPlan:
    """How many rows and runs are worked on at a time, and the bytes that takes.

    chunk_rows: query rows of a chunk, each of which meets the whole database. block_rows: database rows per
    block.
    tile_rows: query rows multiplied with a block at once. slice_runs: runs embedded at once.

    If slice_runs is all runs, a chunk is held as operands. If it is fewer, rows are embedded slice by slice,
    and the products of a whole chunk with a block are held while they are summed.
    """

    chunk_rows: int
    block_rows: int
    tile_rows: int
    slice_runs: int
    bytes: int


def plan_memory(size: SearchSize, budget: int) -> MemoryPlan:
    """Return the smallest of the plans that fit the budget and are about as fast as the fastest of them.

    budget: bytes for rows, tiles and results. Raises `RequestError`, saying how much is needed, if no plan
    fits.
    """
    plans = [(_seconds(size, plan), plan) for plan in _plans(size, budget)]
    if not plans:
        least = min(_bytes(size, 1, 1, 1, slice_runs) for slice_runs in {1, size.run_count})
        raise RequestError(
            f"The memory budget of {budget / 1e6:,.4g} MB is too small: "
            "one query row against one database row takes "
            f"{least / 1e6:,.0f} MB. Give at least that much."
        )
    enough = ENOUGH * min(seconds for seconds, _ in plans)
    return min((plan for seconds, plan in plans if seconds <= enough), key=lambda plan: plan.bytes)


def _plans(size: SearchSize, budget: int) -> Iterator[MemoryPlan]:
    """Yield, for every size of block, tile and slice, the plan with the largest chunk that fits."""
    for runs in _halvings(size.run_count):
        most_block_rows = BLOCK[size.device] if runs == size.run_count else 16 * BLOCK[size.device]
        for block in _block_rows(size, most_block_rows):
            most_tile_rows = max(128, TILE[size.device] // size.parts)
            if size.symmetric:
                most_tile_rows = min(most_tile_rows, block)
            for tile in _powers_of_two(size.n_query, most_tile_rows):
                fixed = _bytes(size, 0, block, tile, runs)
                per_row = _bytes(size, 1, block, tile, runs) - fixed
                chunk = min(size.n_query, (budget - fixed) // per_row)
                if size.symmetric and chunk < size.n_query:
                    chunk -= chunk % block  # so that tiles and blocks share their borders
                if chunk >= 1:
                    yield MemoryPlan(chunk, block, min(tile, chunk), runs, fixed + chunk * per_row)


def _halvings(number: int) -> Iterator[int]:
    """Yield the number, then its half, rounded up, and so on down to 1."""
    while number > 1:
        yield number
        number = -(-number // 2)
    yield 1


def _block_rows(size: SearchSize, most: int) -> Iterator[int]:
    """Yield sizes of a block: powers of two, and that of an even number of large blocks, as threads share."""
    yield from _powers_of_two(size.n_database, most)
    if size.n_database > most and not size.symmetric:
        pairs_of_blocks = -(-size.n_database // (SHARED_BY * most))
        yield min(most, -(-size.n_database // (SHARED_BY * pairs_of_blocks * 64)) * 64)


def _powers_of_two(rows: int, most: int) -> Iterator[int]:
    """Yield all the rows if they are few, then the powers of two below."""
    if rows <= most:
        yield rows
    power = 1
    while power <= most and power < rows:
        yield power
        power *= 2


def _bytes(size: SearchSize, chunk: int, block: int, tile: int, runs: int) -> int:
    """Return the bytes that the search holds at its fullest."""
    numbers = runs * size.width
    # On CUDA the next block is read while one is embedded.
    blocks_read = 2 if size.device == "cuda" else 1
    per_row = size.raw_bytes * runs * blocks_read + numbers * (size.row_itemsize + size.operand_itemsize)
    table_count = 1 if size.parts == 1 else 1 + size.parts
    tables = size.n_query * size.k * (size.row_itemsize + 8) * table_count
    merging = tile * 8 * size.k * 12  # a row's running top-k, the tile's, and the temporaries of the merge
    total = WORKSPACE[size.device] + size.held_bytes + tables
    if runs >= size.run_count:
        products = tile * block * (table_count + size.symmetric + 1) * size.row_itemsize
        of_thread = tables * min(chunk, size.n_query) // size.n_query if size.threads > 1 else 0
        # First the query rows are made, tile by tile, then blocks of the database rows meet them.
        of_thread += max(merging + block * per_row + products, tile * per_row)
        return total + size.threads * of_thread + chunk * numbers * size.operand_itemsize
    piece = min(block, MULTIPLIED)
    products = tile * piece * (size.parts + size.symmetric + 1) * size.row_itemsize
    of_thread = merging + tile * per_row + products + piece * per_row
    held = block * numbers * size.operand_itemsize
    return total + size.threads * of_thread + held + chunk * block * table_count * size.row_itemsize


def _seconds(size: SearchSize, plan: MemoryPlan) -> float:
    """Return roughly how long the plan takes."""
    cost = SECONDS[size.device]
    numbers = size.run_count * size.width
    chunks = -(-size.n_query // plan.chunk_rows)
    blocks = -(-size.n_database // plan.block_rows)
    tiles = -(-size.n_query // plan.tile_rows)
    slices = -(-size.run_count // plan.slice_runs)
    rows_embedded = chunks * size.n_database + (size.n_query if slices == 1 else blocks * size.n_query)
    pairs = size.n_query * size.n_database
    embed = cost["embed"]
    made = plan.block_rows if slices == 1 else plan.tile_rows  # rows at a time, of those made most often
    if size.device == "cpu" and made * plan.slice_runs * size.width * size.row_itemsize > REUSED:
        embed *= 1.5  # each new page costs a fault
    short_blocks = 1 + 16 / plan.tile_rows + 32 / min(plan.block_rows, MULTIPLIED)
    if size.device == "cpu":  # threads take blocks, or tiles of one block
        shares = blocks if slices == 1 else -(-plan.chunk_rows // plan.tile_rows)
        short_blocks *= -(-shares // SHARED_BY) * SHARED_BY / shares
    return (
        cost["product"] * pairs * numbers * short_blocks
        + (embed + cost["product"] * size.work) * rows_embedded * numbers
        + cost["step"] * blocks * (tiles + chunks) * slices
        + cost["begin"] * blocks * tiles
        + cost["add"] * pairs * (slices - 1)
        + cost["select"] * pairs * (1 + NARROW[size.device] / min(plan.block_rows, MULTIPLIED))
    )
