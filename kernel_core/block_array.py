"""Arrays of logits that are read from their files, and converted, block by block."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Fill = Callable[[Array, int, int], None]
"""Array (m, n, C), first run, first example: writes what is stored of these m runs and n examples into it."""


LARGE = 256_000_000  # bytes; smaller maps may stay in this process


def unmap(values: Array) -> None:
    """Let go of what was read of a mapped array, which stays in the system's cache; of others, nothing."""
    mapped = getattr(values, "_mmap", None)
    with contextlib.suppress(AttributeError):  # Windows has no such call
        if mapped is not None:
            mapped.madvise(mmap.MADV_DONTNEED)


def unmap_large(values: Any) -> None:
    """Let go of what was read of a mapped array of more than `LARGE` bytes, as `unmap`."""
    if getattr(values, "nbytes", 0) > LARGE:  # of what is made when it is cut, nothing is mapped
        unmap(values)


def say_scattered(values: Array) -> None:
    """Say that a mapped array is read here and there; else Linux reads up to megabytes around every place."""
    with contextlib.suppress(AttributeError):  # others are in memory, and Windows has no such call
        values._mmap.madvise(mmap.MADV_RANDOM)  # type: ignore[attr-defined]


class BlockArray:
    """Logits (m, N, C), of which nothing is in memory: slices of runs and examples cut it, `read` reads.

    fill: how blocks of the whole are read. dtype: native floating; that of what is read.
    first: the first run and the first example of this array in the whole.
    """

    ndim = 3

    def __init__(
        self, fill: Fill, shape: tuple[int, ...], dtype: npt.DTypeLike, first: tuple[int, int] = (0, 0)
    ) -> None:
        self._fill, self.shape, self.dtype, self._first = fill, shape, np.dtype(dtype), first

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice | tuple[slice, slice]) -> BlockArray:
        """Return some consecutive runs, or some consecutive examples of some runs; nothing is read."""
        slices = key if isinstance(key, tuple) else (key, slice(None))
        first, shape = list(self._first), list(self.shape)
        for axis, of_axis in enumerate(slices):
            start, stop, step = of_axis.indices(self.shape[axis])
            assert step == 1
            first[axis], shape[axis] = first[axis] + start, max(0, stop - start)
        return BlockArray(self._fill, tuple(shape), self.dtype, (first[0], first[1]))

    def read(self, out: Array | None = None) -> Array:
        """Return all of it, written into `out` if that is given, which may be of another floating dtype."""
        out = np.empty(self.shape, self.dtype) if out is None else out
        self._fill(out, *self._first)
        return out

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        return self.read(np.empty(self.shape, self.dtype if dtype is None else dtype))


Logits = Array | BlockArray
"""Logits (m, N, C): in memory, mapped, or read block by block. `np.asarray` reads what a slice has left."""


def opened_for_each_block(open_array: Callable[[], Array], shape: tuple[int, ...], dtype: Any) -> BlockArray:
    """Return the array of a file, which is opened anew for each block, so that no file stays open.

    shape: (m, N, C), which what `open_array` returns is given. dtype: native floating.
    """

    def fill(out: Array, run: int, example: int) -> None:
        mapped = open_array()
        if out.shape[1] == 1:  # one example, of which each run's numbers lie far apart
            say_scattered(mapped)
        stored = mapped.reshape(shape)
        out[...] = stored[run : run + len(out), example : example + out.shape[1]]

    return BlockArray(fill, shape, dtype)


def stacked(arrays: Sequence[Logits]) -> Logits:
    """Return the runs of several arrays (m, N, C) of the same N and C as one array."""
    if len(arrays) == 1:
        return arrays[0]
    ends = np.cumsum([len(array) for array in arrays])

    def fill(out: Array, run: int, example: int) -> None:
        stop, at = run + len(out), run
        for number in range(int(np.searchsorted(ends, run, "right")), len(arrays)):
            if at >= stop:
                break
            array, first = arrays[number], int(ends[number]) - len(arrays[number])
            last = min(stop, int(ends[number]))
            block = array[at - first : last - first, example : example + out.shape[1]]
            target = out[at - run : last - run]
            if isinstance(block, BlockArray):
                block.read(target)
            else:
                target[...] = block
            at = last

    dtype = np.result_type(*{array.dtype for array in arrays})
    return BlockArray(fill, (int(ends[-1]), *arrays[0].shape[1:]), dtype)
