"""Work on ranges of examples, a thread per core."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def core_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_blocks(total: int, size: int, work: Callable[[int, int], T]) -> list[T]:
    """Return the results of `work` for each block of `size` out of `total`, in order; a thread per core.

    work: function of the block's first number and of that after its last.
    """
    starts = range(0, total, size)
    if len(starts) == 1:
        return [work(0, total)]
    with ThreadPoolExecutor(core_count()) as threads:
        return list(threads.map(lambda start: work(start, min(start + size, total)), starts))
