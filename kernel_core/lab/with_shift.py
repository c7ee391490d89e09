"""The kernel of log-softmax together with that of the common shift, as a weighted mean of the two."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

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
