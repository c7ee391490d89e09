"""The moments of the examples of a split, over all runs: file by file, kept as float32, perhaps mapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.checks import refuse_non_finite
from kernel_core.machine import piece_bytes
from kernel_core.progress import Progress, no_progress
from kernel_core.records import Ensemble
from kernel_core.similarity.kernel import exact_moments, moments_of
from kernel_core.similarity.moments import KEPT, Moments, merge
from kernel_core.spec import Split
from kernel_core.threads import each, thread_count

READ_BYTES = 32_000_000  # bytes of a file, and of its moments in float64, held at a time per thread
EXACT_BYTES = 64_000_000  # bytes of float64 that delicate examples are computed in at a time, and kept

Kept = Mapping[str, npt.NDArray[np.float32]]
"""The mean and norm of a file's examples over its runs, as `Moments.kept` returns them."""


def pieces(raw: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield logits as stored (m, b, C) a few examples at a time: first place, and (p, C, m)."""
    m, b, C = raw.shape  # runs, examples, classes
    size = max(1, piece_bytes(raw.device.type) // (4 * m * C))
    for first in range(0, b, size):
        yield first, raw[:, first : first + size].permute(1, 2, 0)


def moments_of_range(
    ensemble: Ensemble,
    file: int,
    split: Split,
    transform: str,
    examples: slice,
    device: torch.device,
) -> dict[str, npt.NDArray[np.float32]]:
    """Return the mean and norm over the runs of one file of some examples, float32 (b, C) each.

    file: number of the file. examples: a range. device: where to compute.

    Raises `DataError`, naming the file, if a logit is NaN or infinite, or if the file changes meanwhile.
    """
    ensemble.check_unchanged()
    part = ensemble.parts[file][split]
    raw = torch.from_numpy(np.ascontiguousarray(part[:, examples])).to(device)
    found = [moments_of(logits, transform).to(torch.device("cpu")) for _, logits in pieces(raw)]
    first = examples.indices(part.shape[1])[0]
    for i in torch.nonzero(~torch.isfinite(torch.cat([of.mean for of in found])).all(1)).flatten().tolist():
        refuse_non_finite(part[:, first + i : first + i + 1], ensemble, file, split, first_example=first + i)
    kept = [of.kept() for of in found]
    return {name: np.concatenate([of[name] for of in kept]) for name in KEPT}


def moment_ranges(ensemble: Ensemble, file: int, split: Split) -> list[slice]:
    """Return the ranges of examples of one file whose moments are taken at a time."""
    part = ensemble.parts[file][split]
    m, N, C = part.shape  # runs, examples, classes
    size = max(1, READ_BYTES // ((part.itemsize * m + 40) * C))
    return [slice(start, min(start + size, N)) for start in range(0, N, size)]


def read_moments(
    ensemble: Ensemble,
    file: int,
    split: Split,
    transform: str,
    device: torch.device,
    progress: Progress = no_progress,
) -> Iterator[tuple[int, Kept]]:
    """Read one file once and yield what `moments_of_range` returns of it, with the first example's index."""
    blocks = moment_ranges(ensemble, file, split)
    found = each(
        lambda block: moments_of_range(ensemble, file, split, transform, block, device),
        blocks,
        thread_count(device),
    )
    for block, moments in zip(blocks, found, strict=True):
        yield block.start, moments
        progress("mean and spread over the runs", block.stop, blocks[-1].stop)


def in_memory(blocks: Iterator[tuple[int, Kept]]) -> Kept:
    """Return what `read_moments` yields as whole arrays."""
    found = [of for _, of in blocks]
    return {name: np.concatenate([of[name] for of in found]) for name in KEPT}


class SplitMoments:
    """The moments of a split over the runs of all files, for any range of examples.

    run_counts, files: number of runs, and what is kept, of each file. read: a range of examples → their
    logits over all runs (M, b, C), for delicate examples.
    """

    def __init__(
        self,
        run_counts: Sequence[int],
        files: Sequence[Kept],
        transform: str,
        read: Callable[[int, int], npt.NDArray[Any]],
    ) -> None:
        self._files, self._transform, self._read = list(zip(run_counts, files, strict=True)), transform, read
        self._exact: dict[tuple[int, int], Moments] = {}
        self._exact_bytes = 0

    def __getitem__(self, examples: slice) -> Moments:
        """Return the moments of a range of examples, on the CPU."""
        first = examples.start
        found = merge([Moments.of_kept(count, kept, examples) for count, kept in self._files])
        for start, stop in _consecutive(torch.nonzero(found.delicate).flatten().numpy()):
            found[start:stop] = self._exactly(first + start, first + stop)
        return found

    def _exactly(self, start: int, stop: int) -> Moments:
        """Return the moments of a range of examples in float64, read from the files unless it was before."""
        known = self._exact.get((start, stop))
        if known is not None:
            return known
        by_piece, i = [], start
        while i < stop:
            logits = torch.from_numpy(self._read(i, i + 1)).permute(1, 2, 0)
            more = min(stop - i - 1, EXACT_BYTES // (8 * logits.numel()))
            if more > 0:
                logits = torch.from_numpy(self._read(i, i + 1 + more)).permute(1, 2, 0)
            by_piece.append(exact_moments(logits, self._transform))
            i += len(logits)
        exact = Moments(
            by_piece[0].run_count,
            torch.cat([of.mean for of in by_piece]),
            torch.cat([of.squares for of in by_piece]),
        )
        if self._exact_bytes < EXACT_BYTES:  # each slice of the runs asks again
            self._exact[start, stop] = exact
            self._exact_bytes += 2 * exact.mean.nbytes
        return exact


def _consecutive(rising: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield the ranges that rising numbers make up, each as its first, and its last + 1.

    >>> list(_consecutive(np.array([2, 3, 4, 7])))
    [(2, 5), (7, 8)]
    """
    for group in np.split(rising, np.flatnonzero(np.diff(rising) > 1) + 1):
        if len(group):
            yield int(group[0]), int(group[-1]) + 1
