"""Work that is done block by block, on threads that each have one thread of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from kernel_core.threads import each, thread_count

T = TypeVar("T")


def in_blocks(count: int, size: int, work: Callable[[slice], T]) -> Iterator[tuple[slice, T]]:
    """Yield ranges of `count` things, `size` or fewer in each, with what `work` returns of them, in order.

    A few blocks are begun before they are taken. torch's own threads would wait for each other in every
    product, which costs several times as much where other programs use the cores.
    """
    ranges = [slice(start, min(start + size, count)) for start in range(0, count, size)]
    yield from zip(ranges, each(work, ranges, thread_count(torch.device("cpu"))), strict=True)
