"""Mean and spread over the runs of each of an example's outputs, by which outputs are standardized.

The runs may be spread over any number of files. The moments of the files are merged (Chan, Golub and LeVeque,
"Updating formulae and a pairwise algorithm for computing sample variances", 1979), so that the standard
deviation is that over all runs, and no more than one block of one file needs to be in memory.

They are kept as float32. That is enough, as an error in the mean counts twice over: it shifts both rows of a
product, each of which sums to 0 over the runs. Examples for which it is not enough are `delicate`, and
computed again from the logits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


ARRAYS = ("mean", "squares")
KEPT = ("mean", "norm")


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and spread, over `run_count` runs, of each of C outputs of N examples: float64 (N, C) each.

    mean: the mean. squares: the sum of squared deviations from it.
    """

    run_count: int
    mean: Tensor
    squares: Tensor

    def __getitem__(self, examples: slice | Tensor) -> Moments:
        """Return the moments of some of the examples."""
        return Moments(self.run_count, self.mean[examples], self.squares[examples])

    def __setitem__(self, examples: slice | Tensor, others: Moments) -> None:
        """Put others, over as many runs, in the place of those of some of the examples."""
        assert self.run_count == others.run_count
        self.mean[examples], self.squares[examples] = others.mean, others.squares

    def to(self, device: torch.device) -> Moments:
        """Return these moments on a device."""
        return Moments(self.run_count, self.mean.to(device), self.squares.to(device))

    def merged(self, other: Moments) -> Moments:
        """Return the moments over the runs of both."""
        run_count = self.run_count + other.run_count
        delta = other.mean - self.mean
        return Moments(
            run_count,
            self.mean + delta * (other.run_count / run_count),
            self.squares + other.squares + delta.square() * (self.run_count * other.run_count / run_count),
        )

    @property
    def _size(self) -> Tensor:
        """The norm of the values over the runs, to compare that of the deviations with."""
        return (self.run_count * self.mean.square() + self.squares).sqrt()

    @property
    def scale(self) -> Tensor:
        """1 / norm of the deviations over the runs, float64 (N, C); 0 for a class that does not vary."""
        norm = self.squares.sqrt()
        return torch.where(norm > CONSTANT * self._size, 1 / norm, 0.0)

    @property
    def delicate(self) -> Tensor:
        """Whether an example has a class that varies too little for float32, bool (N,)."""
        norm = self.squares.sqrt()
        return torch.any((norm <= DELICATE * self._size) | ~torch.isfinite(norm), 1)

    def kept(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return what is kept of them, by the names in `KEPT`, float32 (N, C) each; `of_kept` takes it back.

        norm: that of the deviations from the mean.
        """
        return {"mean": self.mean.float().numpy(), "norm": self.squares.sqrt().float().numpy()}

    @classmethod
    def of_kept(cls, run_count: int, kept: Mapping[str, npt.NDArray[Any]], examples: slice) -> Moments:
        """Return the moments of some examples from what `kept` returned, to the precision of float32."""
        mean, norm = (torch.from_numpy(kept[name][examples].astype(np.float64)) for name in KEPT)
        return cls(run_count, mean, norm.square_())


def merge(moments: Sequence[Moments]) -> Moments:
    """Return the moments over the runs of all of these."""
    return reduce(Moments.merged, moments)


def center(values: Tensor) -> Moments:
    """Subtract from values (b, C, m) their mean over the m runs, in place; return their moments."""
    mean = values.mean(2)
    values -= mean[:, :, None]
    squares = torch.linalg.vector_norm(values, dim=2).double().square()
    return Moments(values.shape[2], mean.double(), squares)
