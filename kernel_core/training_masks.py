"""Which training examples each run of an ensemble was trained on, where runs were trained on subsets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class TrainingMasks:
    """Which of N training examples each of M runs was trained on.

    packed: uint8 (M, ceil(N / 8)), as `np.packbits` packs the N bools of a run. example_count: N.
    """

    packed: npt.NDArray[np.uint8]
    example_count: int

    @property
    def run_count(self) -> int:
        """Number of runs, M."""
        return len(self.packed)

    def of_runs(self, runs: slice) -> npt.NDArray[np.bool_]:
        """Return whether each of some runs was trained on each example, (m, N)."""
        return np.unpackbits(self.packed[runs], axis=1, count=self.example_count).view(np.bool_)

    def of_example(self, index: int) -> npt.NDArray[np.bool_]:
        """Return whether each run was trained on one example, (M,)."""
        return (self.packed[:, index // 8] >> (7 - index % 8) & 1).astype(np.bool_)

    @property
    def example_counts(self) -> npt.NDArray[np.int64]:
        """Number of examples that each run was trained on, (M,)."""
        counts: npt.NDArray[np.int64] = np.bitwise_count(self.packed).sum(1, dtype=np.int64)
        return counts  # the bits that fill the last byte are 0

    @property
    def line(self) -> str:
        """One line for people: of which share of the examples the runs were trained."""
        shares = self.example_counts / max(1, self.example_count)
        least, most = f"{shares.min():.0%}", f"{shares.max():.0%}"
        share = least if least == most else f"{least} to {most}"
        return (
            f"training masks: each run was trained on {share} of the {self.example_count:,} training examples"
        )

    def first(self, run_count: int) -> TrainingMasks:
        """Return the masks of the first runs."""
        return TrainingMasks(self.packed[:run_count], self.example_count)
