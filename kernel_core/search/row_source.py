"""Rows to search, read range by range."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from typing import Any, Protocol

import numpy.typing as npt
import torch
from torch import Tensor

Range = tuple[int, int]  # first, last + 1


class RowSource(Protocol):
    """Rows to search, as `kernel_core.similarity` makes them: run_count * width numbers each.

    Any slice of the runs can be embedded alone; the inner product of two rows is the sum over the slices.

    run_count: number of runs in a row. width: numbers per run.
    raw_bytes: bytes that `read` returns per row and run.
    held_bytes: bytes that query and database hold to make rows, however many.
    work: numbers multiplied to make a number of a row.
    dtype: dtype of the rows, float32 or float64.
    """

    run_count: int
    width: int
    raw_bytes: int
    held_bytes: int
    work: int
    dtype: torch.dtype

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int, run_slice: slice) -> npt.NDArray[Any]:
        """Return the stored values of rows start … stop-1. May be called on any thread."""

    def rows(self, raw: Tensor, start: int, run_slice: slice) -> Tensor:
        """Return the rows (b, width * runs in the slice) made of what `read` returned, on its device."""


def ranges(start: int, stop: int, step: int) -> list[Range]:
    """Cut start … stop into ranges of length `step`; the last may be shorter.

    >>> ranges(0, 5, 2)
    [(0, 2), (2, 4), (4, 5)]
    """
    return [(first, min(first + step, stop)) for first in range(start, stop, step)]


def read_ahead(
    source: RowSource, row_ranges: list[Range], run_slice: slice, device: torch.device
) -> Iterator[tuple[Range, Tensor]]:
    """Yield each range of rows with its stored values, on the device.

    With CUDA, a thread reads and copies the next range meanwhile. It ends with the iteration, whatever ends
    that.
    """
    if device.type != "cuda":
        for row_range in row_ranges:
            yield row_range, torch.from_numpy(source.read(*row_range, run_slice))
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def fetch(row_range: Range) -> Tensor:
        pinned = torch.from_numpy(source.read(*row_range, run_slice)).pin_memory()
        with torch.cuda.stream(stream):
            raw = pinned.to(device, non_blocking=True)
        stream.synchronize()  # this thread waits, the other one computes
        return raw

    if not row_ranges:
        return
    with ThreadPoolExecutor(1) as reader:
        upcoming = reader.submit(fetch, row_ranges[0])
        for row_range, following in zip_longest(row_ranges, row_ranges[1:]):
            raw = upcoming.result()
            if following is not None:
                upcoming = reader.submit(fetch, following)
            raw.record_stream(torch.cuda.current_stream(device))
            yield row_range, raw
