"""Examples as rows of numbers, made block by block: what every similarity has in common."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor


class SimilarityRows:
    """Examples as rows of run_count * width numbers, of which a slice of the runs can be made alone.

    The stored values are read first (`read`, on any thread) and made into rows after (`rows`).
    raw_bytes: bytes that `read` returns per example and run. held_bytes: bytes that making rows holds beside
    them, for query and database together. work: numbers multiplied to make a number of a row.
    """

    dtype = torch.float32
    run_count = 1  # a vector has no runs to slice
    width: int
    raw_bytes: int
    held_bytes = 0
    work = 0

    def __len__(self) -> int:
        raise NotImplementedError

    @property
    def dim(self) -> int:
        """Numbers in a whole row."""
        return self.run_count * self.width

    def read(self, start: int, stop: int, run_slice: slice) -> npt.NDArray[Any]:
        """Return the stored values of examples start … stop-1."""
        raise NotImplementedError

    def rows(self, raw: Tensor, start: int, run_slice: slice) -> Tensor:
        """Return the rows (b, width * runs in the slice) made of what `read` returned, on its device.

        start: index of the first example.
        """
        raise NotImplementedError

    def block(self, start: int, stop: int, device: torch.device, run_slice: slice = slice(None)) -> Tensor:
        """Read and return rows start … stop-1: (b, width * runs in the slice) of `dtype`, on the device."""
        return self.rows(torch.from_numpy(self.read(start, stop, run_slice)).to(device), start, run_slice)
