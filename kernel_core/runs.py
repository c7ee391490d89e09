"""What the training of one run comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.records import Split


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """One run trained here. logits[split]: float16 (N, C); features[split]: floating (N, D), penultimate.

    accuracy: on the test split, a fraction.
    """

    run: int
    logits: Mapping[Split, npt.NDArray[np.float16]]
    features: Mapping[Split, npt.NDArray[Any]]
    accuracy: float


@dataclass(frozen=True)
class Diverged:
    """A run that came to nothing: its number, and why, in words that complete "run 3 was dropped: …"."""

    run: int
    why: str
