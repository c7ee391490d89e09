"""What a build costs by its size: from times measured per logit, pixel and pair, and the plan of the search.

The times are those of a virtual core with AVX-512 that does 105 billion float32 operations a second.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernel_core.explain.traces import kept_run_count
from kernel_core.search.blocks import SECONDS_PER_NUMBER, SECONDS_PER_PAIR, SearchJob, cut
from kernel_core.search.memory_plan import MemoryPlan, SearchSize, plan_memory

# Core-seconds per image, per pixel of it, and per logit: to look at it and count votes, to take means and
# spreads, and to keep it.
IMAGE, PIXEL = 36e-6, 8.7e-9
LOOKED_AT, SUMMED, KEPT = 50e-9, 45e-9, 60e-9
NEIGHBORS = 50  # kept per query
THUMBNAIL = 96  # side of the small images that are kept beside larger ones
PRODUCT = "oneDNN"  # for the number of blocks any is right


@dataclass(frozen=True)
class Size:
    """The size of a source: examples of each split, classes, runs. side: of its images, in pixels; or 0."""

    train: int
    test: int
    classes: int
    runs: int
    side: int = 0

    @property
    def examples(self) -> int:
        """Number of examples in both splits."""
        return self.train + self.test

    @property
    def logits(self) -> int:
        """Number of logits of all runs."""
        return self.examples * self.classes * self.runs


@dataclass(frozen=True)
class Step:
    """A part of a build.

    seconds: on one core. read, kept: bytes of logits, and bytes left in the cache. is_shared: whether all
    cores do it; what is not takes one core of the machine of the command.
    """

    name: str
    seconds: float
    read: float
    kept: float
    is_shared: bool = False

    def time(self, cores: int) -> float:
        """Return how many seconds it takes with so many cores."""
        return self.seconds / cores if self.is_shared else self.seconds


@dataclass(frozen=True)
class Blocks:
    """The blocks of a search that engines do.

    count: how many. seconds: core-seconds of one, on average. memory: bytes that one takes. read, returned:
    bytes that a worker reads for one, and sends back.
    """

    count: int
    seconds: float
    memory: float
    read: float
    returned: float


def steps(size: Size, memory: int) -> list[Step]:
    """Return the parts of a build of neighbors by the kernel test→train, and last those within train.

    memory: bytes that the search may take; with few, rows are made in slices of the runs, which takes means
    and spreads. Raises `RequestError` if it is too small.
    """
    sliced = _plan(size, memory).slice_runs < size.runs
    numbers, logit_bytes = float(size.examples * size.classes), 2.0 * size.logits
    kept_runs = kept_run_count(size.runs, size.examples * size.classes)
    kept = numbers * (kept_runs if kept_runs >= 2 else 0)
    pixels = float(size.examples * size.side**2)
    small = size.examples * THUMBNAIL**2 if size.side > THUMBNAIL else 0
    images = IMAGE * size.examples + PIXEL * pixels if size.side else 0.0
    votes = 10 * numbers + size.examples * size.runs
    across, within = size.test * size.train, size.train * (size.train - 1) / 2
    found = 8.0 * NEIGHBORS
    return [
        Step("images", images, 0.0, 3 * (pixels + small), is_shared=True),
        Step("votes and probabilities", LOOKED_AT * size.logits, 2 * logit_bytes, votes),
        Step("means and spreads", SUMMED * size.logits * sliced, logit_bytes * sliced, 8 * numbers * sliced),
        Step("neighbors test→train", _pair(size) * across, logit_bytes, found * size.test, True),
        Step("what explains values", KEPT * kept, 2 * kept, 2 * kept),
        Step("neighbors within train", _pair(size) * within, logit_bytes, found * size.train, True),
    ]


def blocks(size: Size, seconds: float, memory: int) -> Blocks:
    """Return the blocks of the search test→train of about so many core-seconds each.

    memory: bytes that a worker may take. Raises `RequestError` if it is too small.
    """
    k, plan = min(NEIGHBORS, size.train), _plan(size, memory)
    job = SearchJob(
        size.test, size.train, size.runs, size.classes, k, False, PRODUCT,
        plan.chunk_rows, plan.block_rows, plan.tile_rows, plan.slice_runs,
    )  # fmt: skip
    found = cut(job, seconds)
    rows = sum(b.query[1] - b.query[0] + b.database[1] - b.database[0] for b in found) / len(found)
    queries = sum(b.query[1] - b.query[0] for b in found) / len(found)
    return Blocks(
        len(found),
        _pair(size) * size.test * size.train / len(found),
        plan.bytes,
        2.0 * rows * size.classes * size.runs,
        8.0 * queries * k,
    )


def _pair(size: Size) -> float:
    """Return the core-seconds of one pair of examples."""
    return SECONDS_PER_PAIR + SECONDS_PER_NUMBER * size.classes * size.runs


def _plan(size: Size, memory: int) -> MemoryPlan:
    k = min(NEIGHBORS, size.train)
    raw = 2 * size.classes
    return plan_memory(SearchSize(size.test, size.train, size.runs, size.classes, k, raw_bytes=raw), memory)
