"""The kernel's rows of the examples of an ensemble, read from its files block by block."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.block_array import BlockArray
from kernel_core.checks import refuse_non_finite
from kernel_core.errors import DataError
from kernel_core.records import Ensemble
from kernel_core.similarity.kernel import kernel_rows
from kernel_core.similarity.rows import SimilarityRows
from kernel_core.similarity.split_moments import Kept, SplitMoments, in_memory, pieces, read_moments
from kernel_core.spec import Split
from kernel_core.threads import each, thread_count

TRACE_BYTES = 32_000_000  # bytes of float32 rows made at a time for the traces


class KernelRows(SimilarityRows):
    """The examples of one split as rows for the kernel: class after class, the values of the runs.

    transform: a key of `TRANSFORMS`.
    classes: the classes averaged over, None for all.
    kept_moments: number of a file → what is kept of the moments of the split over its runs, asked for when it
        is needed; read from the files if it is not given. Rows of all the runs at once need none.

    Raises `DataError` if there are fewer than two runs, and where a logit is NaN or infinite.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        split: Split,
        *,
        transform: str = "log_softmax",
        classes: tuple[int, ...] | None = None,
        kept_moments: Callable[[int], Kept] | None = None,
    ) -> None:
        if ensemble.run_count < 2:
            raise DataError(
                f"The ensemble has {ensemble.run_count} run; the kernel correlates over runs and needs "
                "at least 2."
            )
        self.ensemble, self.split, self.transform, self.classes = ensemble, split, transform, classes
        self.run_count = ensemble.run_count
        class_count = 1 if transform == "shift" else ensemble.class_count
        self.width = class_count if classes is None else len(classes)
        self._dtype = np.result_type(*(part[split].dtype for part in ensemble.parts))  # of the logits
        self.raw_bytes = ensemble.class_count * self._dtype.itemsize
        self._kept_moments, self._lock = kept_moments, threading.Lock()
        self._moments: SplitMoments | None = None

    def __len__(self) -> int:
        return self.ensemble.example_count(self.split)

    def moments(self, device: torch.device) -> SplitMoments:
        """Return the moments of all examples over all runs; read on the device if they were not given."""
        with self._lock:
            if self._moments is None:
                parts = [part[self.split] for part in self.ensemble.parts]
                files = [self._kept_of(file, device) for file in range(len(parts))]
                read = functools.partial(self.read, run_slice=slice(None))
                self._moments = SplitMoments([len(part) for part in parts], files, self.transform, read)
            return self._moments

    def _kept_of(self, file: int, device: torch.device) -> Kept:
        if self._kept_moments is not None:
            return self._kept_moments(file)
        return in_memory(read_moments(self.ensemble, file, self.split, self.transform, device))

    def read(self, start: int, stop: int, run_slice: slice) -> npt.NDArray[np.floating]:
        """Return the logits (m, b, C) of these runs, from all files they are spread over."""
        first, last, _ = run_slice.indices(self.run_count)
        raw = np.empty((last - first, stop - start, self.ensemble.class_count), self._dtype)
        target = torch.from_numpy(raw)
        self.ensemble.check_unchanged()
        part_first = 0  # number of the part's first run
        for part in (part[self.split] for part in self.ensemble.parts):
            i, j = max(first, part_first), min(last, part_first + len(part))
            if i < j:
                logits = part[i - part_first : j - part_first, start:stop]
                if isinstance(logits, BlockArray):
                    logits.read(raw[i - first : j - first])
                else:
                    target[i - first : j - first] = torch.from_numpy(logits)
            part_first += len(part)
        return raw

    def rows(self, raw: Tensor, start: int, _run_slice: slice) -> Tensor:
        """Return the rows (b, width * m) of logits (m, b, C), standardized over all the runs."""
        m, b, _C = raw.shape  # runs, examples, classes
        is_whole = m == self.run_count
        rows = torch.empty(b, self.width, m, device=raw.device)
        for i, logits in pieces(raw):  # (p, C, m)
            first, last = start + i, start + i + len(logits)
            known = None if is_whole else self.moments(raw.device)[first:last].to(raw.device)
            place = rows[i : i + len(logits)]
            _, moments = kernel_rows(logits, self.transform, self.classes, known, out=place)
            if is_whole and not torch.isfinite(moments.mean).all():
                self._refuse_non_finite(first, last)
        return rows.view(b, -1)

    def _refuse_non_finite(self, start: int, stop: int) -> None:
        for file, part in enumerate(self.ensemble.parts):
            block = part[self.split][:, start:stop]
            refuse_non_finite(block, self.ensemble, file, self.split, first_example=start)


def trace_ranges(ensemble: Ensemble, split: Split) -> list[slice]:
    """Return the ranges of examples whose traces are made at a time."""
    N = ensemble.example_count(split)
    size = max(1, TRACE_BYTES // (4 * ensemble.class_count * ensemble.run_count))
    return [slice(start, min(start + size, N)) for start in range(0, N, size)]


def trace_blocks(ensemble: Ensemble, split: Split) -> Iterator[tuple[slice, npt.NDArray[np.float16]]]:
    """Yield each of `trace_ranges` with what `traces_of_range` returns of it."""
    ranges = trace_ranges(ensemble, split)
    blocks = each(
        lambda examples: traces_of_range(ensemble, split, examples),
        ranges,
        thread_count(torch.device("cpu")),
    )
    yield from zip(ranges, blocks, strict=True)


def traces_of_range(ensemble: Ensemble, split: Split, examples: slice) -> npt.NDArray[np.float16]:
    """Return the traces of a range of examples over all runs of the ensemble: (b, C, M).

    `kernel_core.explain.traces` says what a trace is. Raises `DataError` if a logit is NaN or infinite.
    """
    rows = KernelRows(ensemble, split)
    C, M = rows.width, rows.run_count  # classes, runs
    block = rows.block(examples.start, examples.stop, torch.device("cpu")).view(-1, M)
    block *= (M * C) ** 0.5  # from unit length to unbiased variance 1
    # NumPy finds a median three times as fast as torch, torch makes float16 ten times as fast as NumPy.
    block -= torch.from_numpy(np.partition(block.numpy(), M // 2, axis=1)[:, M // 2, None])
    return block.half().numpy().reshape(-1, C, M)
