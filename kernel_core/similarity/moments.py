"""Mean and spread over the runs of each of an example's outputs, by which outputs are standardized.

The runs may be spread over any number of files. The moments of the files are merged (Chan, Golub and LeVeque,
"Updating formulae and a pairwise algorithm for computing sample variances", 1979), so that the standard
deviation is that over all runs, and no more than one block of one file needs to be in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

# A class is constant if its spread over the runs, relative to its size, is what float64 rounding alone can
# make. (`kernel.log_softmax` is exact to a relative 1e-15 in every class, so a very sure run's variation is
# not lost.)
CONSTANT = 1e-12
# Below this spread, relative to its size, float32's rounding (6e-8) would show in the kernel: then float64 is
# used.
DELICATE = 0.01


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and spread, over `run_count` runs, of each of C outputs of N examples: float64 (N, C) each.

    mean: the mean. squares: the sum of squared deviations from it. largest: the largest absolute value.
    """

    run_count: int
    mean: Tensor
    squares: Tensor
    largest: Tensor

    def __getitem__(self, examples: slice | Tensor) -> Moments:
        """Return the moments of some of the examples."""
        return Moments(self.run_count, self.mean[examples], self.squares[examples], self.largest[examples])

    def to(self, device: torch.device) -> Moments:
        """Return these moments on a device."""
        return Moments(self.run_count, *(getattr(self, name).to(device) for name in ARRAYS))

    def merged(self, other: Moments) -> Moments:
        """Return the moments over the runs of both."""
        run_count = self.run_count + other.run_count
        delta = other.mean - self.mean
        return Moments(
            run_count,
            self.mean + delta * (other.run_count / run_count),
            self.squares + other.squares + delta.square() * (self.run_count * other.run_count / run_count),
            torch.maximum(self.largest, other.largest),
        )

    @property
    def scale(self) -> Tensor:
        """1 / norm of the deviations over the runs, float64 (N, C); 0 for a class that does not vary."""
        norm = self.squares.sqrt()
        return torch.where(norm > CONSTANT * self.run_count**0.5 * self.largest, 1 / norm, 0.0)

    @property
    def delicate(self) -> Tensor:
        """Whether an example has a class that varies too little for float32, bool (N,)."""
        varies_little = self.squares.sqrt() <= DELICATE * self.run_count**0.5 * self.largest
        return torch.any(varies_little, 1)

    def arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return the three arrays by name; `from_arrays` takes them back."""
        return {name: getattr(self, name).numpy() for name in ARRAYS}

    @classmethod
    def from_arrays(cls, run_count: int, arrays: Mapping[str, npt.NDArray[Any]]) -> Moments:
        """Return the moments that `arrays` returned."""
        return cls(run_count, *(torch.from_numpy(np.array(arrays[name])) for name in ARRAYS))


ARRAYS = [field.name for field in fields(Moments) if field.name != "run_count"]


def merge(moments: Sequence[Moments]) -> Moments:
    """Return the moments over the runs of all of these."""
    return reduce(Moments.merged, moments)


def center(values: Tensor) -> Moments:
    """Subtract from values (b, C, m) their mean over the m runs, in place; return their moments."""
    least, most = values.amin(2), values.amax(2)
    mean = values.mean(2)
    values -= mean[:, :, None]
    squares = torch.linalg.vector_norm(values, dim=2).double().square()
    return Moments(values.shape[2], mean.double(), squares, torch.maximum(-least, most).double())
