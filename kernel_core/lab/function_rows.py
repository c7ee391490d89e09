"""Rows for the kernel of a function of the logits, which are read block by block as the kernel's own are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.block_array import BlockArray, Logits
from kernel_core.lab.functions import Function
from kernel_core.records import Ensemble
from kernel_core.similarity.kernel_rows import KernelRows
from kernel_core.similarity.rows import SimilarityRows
from kernel_core.spec import Split


class WithShift(SimilarityRows):
    """Rows whose inner product is (1 − w) · K + w · K of the shift, K being the kernel.

    weight: w, 0 … 1. The shift, the mean of the logits over the classes, is one number per run.
    """

    def __init__(self, ensemble: Ensemble, split: Split, weight: float) -> None:
        self.parts = [
            (KernelRows(ensemble, split, transform=transform), share**0.5)
            for transform, share in (("log_softmax", 1 - weight), ("shift", weight))
        ]
        kernel = self.parts[0][0]
        self.run_count, self.raw_bytes = kernel.run_count, kernel.raw_bytes
        self.width = sum(rows.width for rows, _ in self.parts)

    def __len__(self) -> int:
        return len(self.parts[0][0])

    def read(self, start: int, stop: int, run_slice: slice) -> npt.NDArray[Any]:
        """Return the logits (m, b, C) of these runs."""
        return self.parts[0][0].read(start, stop, run_slice)

    def rows(self, raw: Tensor, start: int, run_slice: slice) -> Tensor:
        """Return the rows (b, (C + 1) * m) of logits (m, b, C), standardized over all the runs."""
        return torch.cat([rows.rows(raw, start, run_slice) * factor for rows, factor in self.parts], 1)


def rows_of(
    of: Function, ensemble: Ensemble, split: Split, classes: Sequence[int] | None
) -> KernelRows | WithShift:
    """Return the examples of a split as rows for the kernel of a function of their logits."""
    if of.shift_weight:
        return WithShift(ensemble, split, of.shift_weight)
    made = Ensemble(ensemble.names, tuple({split: _made(of, part[split])} for part in ensemble.parts))
    chosen = None if classes is None else tuple(classes)
    return KernelRows(made, split, transform=of.transform, classes=chosen)


def _made(of: Function, logits: Logits) -> Logits:
    """Return what the kernel's own transform is given, made where it is read."""
    if of.first is None:
        return logits

    def fill(block: npt.NDArray[Any], run: int, example: int) -> None:
        m, n, _ = block.shape
        block[:] = of(np.asarray(logits[run : run + m, example : example + n]))

    return BlockArray(fill, logits.shape, np.float32)
