"""The definition of each similarity: raw values → rows whose inner product it is.

The kernel, for logits L of shape (M, N, C) (M runs, N examples, C classes):

    Z = log_softmax(L, -1);  Z = (Z - Z.mean(0)) / Z.std(0)              (unbiased std over the runs)
    K[i, j] = 1/C * sum_c 1/M * sum_r Zq[r, i, c] * Zd[r, j, c]

so K = (M-1)/M * the mean over classes of the Pearson correlation across runs, and K[x, x] = (M-1)/M is the largest
value there is. A class whose output does not vary over the runs contributes 0.
Source: the card of the Hub dataset `kjj0/cifar10-multirun-logits`; the author's script sums over the classes where
this averages, so its values are C times larger.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.errors import DataError
from kernel_core.records import Ensemble, Split, refuse_non_finite

# Normalising pieces this small stay in the processor's cache: five times faster than whole blocks on two cores.
PIECE_BYTES = {"cpu": 2_000_000, "cuda": 64_000_000}
# A class is constant if its spread over the runs, relative to its size, is what float64 rounding alone can make.
# (log_softmax below is exact to a relative 1e-15 in every class, so this does not swallow a sure run's variation.)
CONSTANT = 1e-12


def log_softmax(x: Tensor) -> Tensor:
    """Log-softmax over dim 1, exact for the winning class too.

    log(sum of exp) loses that class's value when the others vanish beside 1 (at 1e-16 in float64); log1p of the
    others' sum keeps it, and with it the variation over runs that the kernel correlates.
    """
    x = x - x.amax(1, keepdim=True)
    winners = x == 0
    others = x.exp().masked_fill_(winners, 0).sum(1, keepdim=True) + (winners.sum(1, keepdim=True) - 1)
    return x - others.log1p()


def standardized_rows(logits: Tensor) -> Tensor:
    """Rows whose inner product is the kernel. logits: (b, C, M), any float; returns float32 (b, C * M).

    The arithmetic is float64. Squared norm of a row: (M-1)/M times the share of classes that vary over the runs.
    """
    b, C, M = logits.shape  # examples, classes, runs
    z = log_softmax(logits.double())
    noise = CONSTANT * M**0.5 * z.abs().amax(2, keepdim=True)  # (b, C, 1)
    z -= z.mean(2, keepdim=True)
    norm = torch.linalg.vector_norm(z, dim=2, keepdim=True)  # (b, C, 1) = unbiased std * sqrt(M-1)
    z *= torch.where(norm > noise, ((M - 1) / (M * C)) ** 0.5 / norm, 0.0)
    return z.reshape(b, C * M).float()


class _Rows:
    """Examples as rows of `dim` numbers, made a few at a time, so that what they are made from never takes much."""

    dtype = torch.float32
    dim: int

    def block(self, start: int, stop: int, device: torch.device) -> Tensor:
        """Rows start … stop-1, (stop-start, dim) of `dtype` on `device`."""
        rows = torch.empty(stop - start, self.dim, dtype=self.dtype, device=device)
        piece = max(1, PIECE_BYTES[device.type] // (8 * self.dim))
        for i in range(start, stop, piece):
            j = min(i + piece, stop)
            rows[i - start : j - start] = self._piece(i, j, device)
        return rows

    def _piece(self, start: int, stop: int, device: torch.device) -> Tensor:
        raise NotImplementedError


class KernelRows(_Rows):
    """The examples of one split as rows for the kernel, dim = C * M. Raises `DataError` on a NaN or infinite logit."""

    def __init__(self, ensemble: Ensemble, split: Split) -> None:
        if ensemble.runs < 2:
            raise DataError(
                f"The ensemble has {ensemble.runs} run; the kernel correlates over runs and needs at least 2."
            )
        self.ensemble, self.split = ensemble, split
        self.dim = ensemble.classes * ensemble.runs

    def __len__(self) -> int:
        return self.ensemble.examples(self.split)

    def _piece(self, start: int, stop: int, device: torch.device) -> Tensor:
        raw = torch.from_numpy(self._read(start, stop)).to(device)  # (M, b, C) as stored, half of float32
        rows = standardized_rows(raw.permute(1, 2, 0).contiguous())
        if not torch.isfinite(rows).all():
            for name, part in zip(self.ensemble.names, self.ensemble.parts, strict=True):
                refuse_non_finite(part[self.split][:, start:stop], name, self.split, first_example=start)
            raise AssertionError("finite logits gave a non-finite row")
        return rows

    def _read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """The logits of examples start … stop-1, the runs of all files one after the other: (M, b, C)."""
        parts = [part[self.split] for part in self.ensemble.parts]
        raw = np.empty((self.ensemble.runs, stop - start, self.ensemble.classes), np.result_type(*parts))
        at = 0
        for part in parts:
            raw[at : at + len(part)] = part[:, start:stop]
            at += len(part)
        return raw


class _VectorRows(_Rows):
    """Rows made of vectors held in memory, values (N, D)."""

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self.values = values
        self.dim = values.shape[1]

    def __len__(self) -> int:
        return len(self.values)

    def _vectors(self, start: int, stop: int, device: torch.device) -> Tensor:
        return torch.from_numpy(np.array(self.values[start:stop])).to(device).double()


class CosineRows(_VectorRows):
    """Feature vectors as rows of unit length: their inner product is the cosine. A zero vector stays zero.

    values: (N, D). With `centered`, each vector's own mean is subtracted first, which makes the cosine the Pearson
    correlation of two vectors: for pixels, a similarity that brightness and contrast do not change.
    """

    def __init__(self, values: npt.NDArray[Any], *, centered: bool = False) -> None:
        super().__init__(values)
        self.centered = centered

    def _piece(self, start: int, stop: int, device: torch.device) -> Tensor:
        rows = self._vectors(start, stop, device)
        if self.centered:
            rows -= rows.mean(1, keepdim=True)
        norm = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        return torch.where(norm > 0, rows / norm, 0.0).float()


class EuclideanRows(_VectorRows):
    """Feature vectors as rows whose inner product is minus the squared Euclidean distance.

    -|q-d|^2 = 2 q·d - |q|^2 - |d|^2: a query row is (sqrt2 q, -|q|^2, 1), a database row (sqrt2 d, 1, -|d|^2).
    float64, since the terms cancel for near examples. values: (N, D); center: (D,), the same for both sides, brings
    the norms, and so the cancellation, down.
    """

    dtype = torch.float64

    def __init__(self, values: npt.NDArray[Any], center: npt.NDArray[np.float64], *, is_query: bool) -> None:
        super().__init__(values)
        self.center, self.is_query = torch.from_numpy(center), is_query
        self.dim += 2

    def _piece(self, start: int, stop: int, device: torch.device) -> Tensor:
        x = self._vectors(start, stop, device) - self.center.to(device)
        squared = -x.square().sum(1, keepdim=True)
        one = torch.ones_like(squared)
        ends = [squared, one] if self.is_query else [one, squared]
        return torch.cat([x * 2**0.5, *ends], dim=1)


def distance(values: Tensor) -> Tensor:
    """Minus squared distances, as `EuclideanRows` gives them, → minus distances; rounding above 0 becomes 0."""
    return -(-values).clamp(min=0).sqrt()
