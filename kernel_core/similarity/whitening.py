"""The whitened kernel: the cosine of the kernel's rows, whitened by the covariance of the training rows.

For rows x of d = classes * runs numbers, with mean mu and covariance S of the training rows:

    y = (x - mu) (S + 0.1 * tr(S)/d * 1)^(-1/2),    W[i, j] = y_i . y_j / (|y_i| |y_j|)

Directions in which all examples vary alike, as those of the classes do, then weigh no more than others. It is
the cosine in the metric of Mahalanobis, its covariance shrunk towards a multiple of the identity (as by
Ledoit and Wolf, 2004, but by a fixed share). Any root gives the same inner products (Kessy, Lewin and
Strimmer, "Optimal whitening and decorrelation", 2018); Cholesky's takes a fraction of the time of the
symmetric one (ZCA).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.errors import DataError, RequestError
from kernel_core.machine import Machine
from kernel_core.progress import Progress, no_progress
from kernel_core.similarity.rows import SimilarityRows
from kernel_core.spec import KernelSpec

SHRINKAGE = 0.1  # of the mean variance, added to each
WIDEST = 8_000  # numbers in a row; the covariance and its root then take 1 GB
PIECE_BYTES = 16_000_000  # float64 numbers worked on at a time
CONSTANT = 1e-12  # variance relative to the size of the rows: less is rounding


@dataclass(frozen=True, eq=False)
class Whitening:
    """What whitens rows: their mean, float64 (d,), and the lower Cholesky factor of S, float64 (d, d)."""

    mean: Tensor
    root: Tensor

    def apply_(self, rows: Tensor) -> Tensor:
        """Whiten float32 rows (b, d) in place, each to unit length; a row that is the mean becomes zero."""
        for piece in torch.split(rows, _piece_rows(len(self.mean))):
            centered = (piece.double() - self.mean).T
            y = torch.linalg.solve_triangular(self.root, centered, upper=False)
            norm = torch.linalg.vector_norm(y, dim=0)
            piece.copy_(torch.where(norm > 0, y / norm, 0.0).T)
        return rows


def fit_whitening(rows: SimilarityRows, machine: Machine, progress: Progress = no_progress) -> Whitening:
    """Return what whitens like the covariance of these rows, read once, block by block, in float64.

    Raises `RequestError` if the covariance does not fit the machine's budget, and `DataError` if all the rows
    are equal.
    """
    n, d = len(rows), rows.dim
    needed = 2 * 8 * d * d + 4 * PIECE_BYTES
    if needed > machine.budget:
        raise RequestError(
            f"Whitening rows of {d:,} numbers takes {needed / 1e6:,.0f} MB; the memory budget is "
            f"{machine.budget / 1e6:,.0f} MB. Give --memory {-(-needed // 1_000_000)}MB."
        )
    total = torch.zeros(d, dtype=torch.float64, device=machine.device)
    covariance = torch.zeros(d, d, dtype=torch.float64, device=machine.device)
    size = _piece_rows(d)
    for start in range(0, n, size):
        stop = min(start + size, n)
        block = rows.block(start, stop, machine.device).double()
        total += block.sum(0)
        covariance.addmm_(block.T, block)
        progress("covariance of the training rows", stop, n)
    mean, squares = total / n, covariance.trace() / n
    covariance.div_(n).addr_(mean, mean, alpha=-1)
    variance = covariance.trace()
    if variance <= CONSTANT * squares:
        raise DataError("All training rows are equal, so nothing can be whitened. Look at the logits.")
    covariance.diagonal().add_(SHRINKAGE * variance / d)
    return Whitening(mean, torch.linalg.cholesky(covariance))


class WhitenedRows(SimilarityRows):
    """The rows of another similarity, whitened: of unit length, so that their inner product is a cosine."""

    def __init__(self, rows: SimilarityRows, whitening: Whitening) -> None:
        self.of, self.whitening = rows, whitening
        self.width = self.work = rows.dim
        self.raw_bytes = rows.raw_bytes * rows.run_count
        self.held_bytes = 8 * rows.dim * rows.dim + 4 * PIECE_BYTES

    def __len__(self) -> int:
        return len(self.of)

    def read(self, start: int, stop: int, _run_slice: slice) -> npt.NDArray[Any]:
        """Return the stored values of all runs."""
        return self.of.read(start, stop, slice(None))

    def rows(self, raw: Tensor, start: int, _run_slice: slice) -> Tensor:
        """Return the whitened rows (b, d)."""
        return self.whitening.apply_(self.of.rows(raw, start, slice(None)))


def _piece_rows(d: int) -> int:
    """Return how many rows of d numbers are whitened at a time."""
    return max(1, PIECE_BYTES // (8 * d))


def refuse_too_wide(specs: Sequence[KernelSpec], run_count: int, class_count: int) -> None:
    """Raise `RequestError` if a covariance that a spec takes is too large.

    run_count, class_count: of the ensemble.
    """
    for spec in specs:
        width = 1 if spec.transform == "shift" else len(spec.classes or range(class_count))
        runs = spec.run_count or run_count
        if spec.whitened and runs * width > WIDEST:
            fitting = WIDEST // width
            instead = f"the first {fitting:,} runs: --runs {fitting}" if fitting > 1 else "fewer --classes"
            raise RequestError(
                f"{spec.title} of {runs:,} runs takes a covariance of {runs * width:,} × {runs * width:,} "
                f"numbers; at most {WIDEST:,} × {WIDEST:,} are computed. Use {instead}."
            )
