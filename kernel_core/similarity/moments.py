"""What each example's outputs do over the runs: their mean and spread, which turn logits into standardised values.

The runs may be spread over any number of files: the moments of the files are merged (Chan, Golub and LeVeque,
"Updating formulae and a pairwise algorithm for computing sample variances", 1979), so that the standard deviation
is that over all runs, and no more than one block of one file is ever read at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.checks import refuse_non_finite
from kernel_core.machine import piece_bytes
from kernel_core.progress import Progress, no_progress
from kernel_core.records import Ensemble
from kernel_core.spec import Split

# A class is constant if its spread over the runs, relative to its size, is what float64 rounding alone can make.
# (log_softmax below is exact to a relative 1e-15 in every class, so this does not swallow a sure run's variation.)
CONSTANT = 1e-12
# Below this spread, relative to its size, float32's rounding (6e-8) would show in the kernel: then float64 is used.
DELICATE = 0.01
READ_BYTES = 64_000_000  # of a file, read at a time


def log_softmax(x: Tensor) -> Tensor:
    """Log-softmax over dim 1, exact for the winning class too.

    log(sum of exp) loses that class's value when the others vanish beside 1 (at 6e-8 in float32); log1p of the
    others' sum keeps it, and with it the variation over runs that the kernel correlates.
    """
    x = x - x.amax(1, keepdim=True)
    exponentials = x.exp()  # 1 for the winner, and for any that tie with it
    whole = exponentials.sum(1, keepdim=True)
    others = exponentials.frac_().sum(1, keepdim=True)  # without those that are 1: half the time of a mask
    others += (whole - others).round_() - 1  # all ones but the winner's
    return x.sub_(others.log1p_())


def transformed(logits: Tensor, transform: str, at_least: torch.dtype = torch.float32) -> Tensor:
    """What is correlated, new, in `at_least` or the logits' own precision. logits: (b, C, m), any float."""
    dtype = torch.promote_types(logits.dtype, at_least)
    return log_softmax(logits.to(dtype)) if transform == "log_softmax" else logits.to(dtype, copy=True)


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and spread over `runs` runs of each of C outputs of N examples.

    mean, squares, largest: float64 (N, C): the mean, the sum of squared deviations from it, and the largest
    absolute value.
    """

    runs: int
    mean: Tensor
    squares: Tensor
    largest: Tensor

    def __getitem__(self, rows: slice | Tensor) -> Moments:
        """The moments of some examples."""
        return Moments(self.runs, self.mean[rows], self.squares[rows], self.largest[rows])

    def to(self, device: torch.device) -> Moments:
        """The same on a device."""
        return Moments(self.runs, *(getattr(self, name).to(device) for name in ARRAYS))

    def merged(self, other: Moments) -> Moments:
        """The moments over the runs of both."""
        runs = self.runs + other.runs
        delta = other.mean - self.mean
        return Moments(
            runs,
            self.mean + delta * (other.runs / runs),
            self.squares + other.squares + delta.square() * (self.runs * other.runs / runs),
            torch.maximum(self.largest, other.largest),
        )

    @property
    def scale(self) -> Tensor:
        """float64 (N, C): 1 / norm of the deviations over the runs; 0 for a class that does not vary."""
        norm = self.squares.sqrt()
        return torch.where(norm > CONSTANT * self.runs**0.5 * self.largest, 1 / norm, 0.0)

    @property
    def delicate(self) -> Tensor:
        """bool (N,): examples with a class that varies too little for float32."""
        little = self.squares.sqrt() <= DELICATE * self.runs**0.5 * self.largest
        return torch.any(little, 1)

    def arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        """The three arrays by name; `Moments.of_arrays` takes them back."""
        return {name: getattr(self, name).numpy() for name in ARRAYS}

    @classmethod
    def of_arrays(cls, runs: int, arrays: Mapping[str, npt.NDArray[Any]]) -> Moments:
        """The moments whose `arrays` were kept."""
        return cls(runs, *(torch.from_numpy(np.array(arrays[name])) for name in ARRAYS))


ARRAYS = [field.name for field in fields(Moments) if field.name != "runs"]


def merge(moments: list[Moments]) -> Moments:
    """The moments over the runs of all."""
    return reduce(Moments.merged, moments)


def moments_of(logits: Tensor, transform: str) -> Moments:
    """The moments of logits (b, C, m), any float.

    In float32 where that is enough (`DELICATE`), else in float64. A NaN or infinite logit gives a mean that is not
    finite.
    """
    return _refined(_center(transformed(logits, transform)), logits, transform)


def standardized(logits: Tensor, transform: str, moments: Moments | None = None) -> tuple[Tensor, Moments]:
    """Deviations from the mean over the runs, divided by their norm: float32 (b, C, m); and the moments used.

    logits: (b, C, m), any float. moments: of these examples over all runs; None if the logits are of all runs. Over
    all runs, the squares of each class sum to 1, or to 0 if it does not vary.
    """
    z = transformed(logits, transform)
    if moments is None:
        moments = _refined(_center(z), logits, transform)
    else:
        z -= moments.mean[:, :, None].to(z.dtype)
    z *= moments.scale[:, :, None].to(z.dtype)
    z = z.float()
    delicate = moments.delicate
    if delicate.any():
        few = moments[delicate]
        exact = transformed(logits[delicate], transform, torch.float64) - few.mean[:, :, None]
        z[delicate] = exact.mul_(few.scale[:, :, None]).float()
    return z, moments


def _center(z: Tensor) -> Moments:
    """Subtract from z (b, C, m) its mean over the runs, in place, and return its moments."""
    least, most = z.amin(2), z.amax(2)
    mean = z.mean(2)
    z -= mean[:, :, None]
    squares = torch.linalg.vector_norm(z, dim=2).double().square()
    return Moments(z.shape[2], mean.double(), squares, torch.maximum(-least, most).double())


def _refined(moments: Moments, logits: Tensor, transform: str) -> Moments:
    """The same moments, but for examples where float32 is not enough in float64."""
    delicate = moments.delicate
    if delicate.any():
        exact = _center(transformed(logits[delicate], transform, torch.float64))
        for name in ARRAYS:
            getattr(moments, name)[delicate] = getattr(exact, name)
    return moments


def pieces(raw: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Logits as stored (m, b, C) → a few examples at a time: the first one's place, and (p, C, m), contiguous."""
    m, b, C = raw.shape  # runs, examples, classes
    size = max(1, piece_bytes(raw.device.type) // (4 * m * C))
    for first in range(0, b, size):
        yield first, raw[:, first : first + size].permute(1, 2, 0).contiguous()


def read_moments(
    ensemble: Ensemble,
    file: int,
    split: Split,
    transform: str,
    device: torch.device,
    progress: Progress = no_progress,
) -> Moments:
    """The moments over the runs of one file of an ensemble, on the CPU; the file is read once, block by block.

    Raises `DataError`, naming it, on a NaN or infinite logit, and if the file changes meanwhile.
    """
    part = ensemble.parts[file][split]
    m, N, C = part.shape  # runs, examples, classes
    found = []
    block = max(1, READ_BYTES // (part.itemsize * m * C))
    for start in range(0, N, block):
        ensemble.check_unchanged()
        raw = torch.from_numpy(np.ascontiguousarray(part[:, start : start + block])).to(device)
        found += [moments_of(logits, transform).to(torch.device("cpu")) for _, logits in pieces(raw)]
        progress("mean and spread over the runs", min(start + block, N), N)
    moments = Moments(m, *(torch.cat([getattr(f, name) for f in found]) for name in ARRAYS))
    wrong = torch.nonzero(~torch.isfinite(moments.mean).all(1)).flatten().tolist()
    for i in wrong:
        refuse_non_finite(part[:, i : i + 1], ensemble.names[file], split, first_example=i)
    return moments
