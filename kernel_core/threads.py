"""Threads of Python that each have one thread of torch, for work that comes in many independent pieces."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import torch

from kernel_core.machine import one_thread

A = TypeVar("A")
B = TypeVar("B")


def thread_count(device: torch.device) -> int:
    """Return how many threads compute at once: as many as torch would use, and one that feeds a GPU."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def each(
    work: Callable[[A], B], items: Iterable[A], count: int, stop: threading.Event | None = None
) -> Iterator[B]:
    """Yield what `work` returns for each item, in their order, from `count` threads at once.

    Items are begun in their order, at most twice `count` before the one whose result is taken next: results
    that wait take memory. Where it fails, or is left early, no thread outlives it, and items not yet begun
    never are. stop: is set then, so that long work can end early.
    """
    if count == 1:
        with one_thread():
            yield from map(work, items)
        return
    upcoming = iter(items)
    begun: deque[Future[B]] = deque()
    with one_thread(), ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            while True:
                begun.extend(pool.submit(work, item) for item in islice(upcoming, 2 * count - len(begun)))
                if not begun:
                    return
                yield begun.popleft().result()
        except BaseException:
            if stop is not None:
                stop.set()
            pool.shutdown(cancel_futures=True)
            raise
