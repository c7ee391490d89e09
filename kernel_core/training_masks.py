"""Which training examples each run of an ensemble was trained on, where runs were trained on subsets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.class_probabilities import ClassProbabilities
from kernel_core.spec import Split

AT_A_TIME = 4096  # examples whose masks are turned at a time; a multiple of 8


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

    def of_examples(self, start: int, stop: int) -> npt.NDArray[np.bool_]:
        """Return whether each run was trained on examples start … stop-1, (M, b). start: a multiple of 8."""
        assert start % 8 == 0
        some = self.packed[:, start // 8 : -(-stop // 8)]
        return np.unpackbits(some, axis=1, count=stop - start).view(np.bool_)

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

    def by_example(self) -> npt.NDArray[np.uint8]:
        """Return the masks packed along the runs: uint8 (N, ceil(M / 8)), as `seen` of `Unseen`."""
        turned = np.empty((self.example_count, -(-self.run_count // 8)), np.uint8)
        for start in range(0, self.example_count, AT_A_TIME):
            stop = min(start + AT_A_TIME, self.example_count)
            turned[start:stop] = np.packbits(self.of_examples(start, stop).T, axis=1)
        return turned

    def first(self, run_count: int) -> TrainingMasks:
        """Return the masks of the first runs."""
        return TrainingMasks(self.packed[:run_count], self.example_count)


@dataclass(frozen=True, eq=False)
class Unseen:
    """What M runs trained on parts of N training examples say of each, apart from those that trained on it.

    "Unseen" runs did not train on the example, "seen" runs did.

    run_count: M. seen: uint8 (N, ceil(M / 8)), whether each run trained on an example, as `np.packbits` packs
    the M bools of an example.
    class_count: C. classes: unsigned (N, K), the classes that are kept, in the order of `ClassProbabilities`:
    the likeliest, then the predicted one and the label; or all. mean: float32 (N, K), probability of each,
    averaged over the unseen runs; NaN where there is none. rest: float32 (N,), the sum over the classes that
    are not kept.
    predicted: int64 (N,), the class with the largest logit averaged over the unseen runs; -1 for none.
    runs: int32 (N,), the number of unseen runs. right, seen_right: int32 (N,), the number of unseen and of
    seen runs whose prediction is the label.
    of_label: by split, float16 (N or the number of test examples, M), usually memory-mapped: each run's
    probability of an example's label; empty where it could not be kept.
    """

    run_count: int
    class_count: int
    seen: npt.NDArray[np.uint8]
    classes: npt.NDArray[np.unsignedinteger[Any]]
    mean: npt.NDArray[np.float32]
    rest: npt.NDArray[np.float32]
    predicted: npt.NDArray[np.int64]
    runs: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    seen_right: npt.NDArray[np.int32]
    of_label: Mapping[Split, npt.NDArray[np.float16]] = field(default_factory=dict)

    @property
    def probabilities(self) -> ClassProbabilities:
        """The mean probabilities."""
        return ClassProbabilities(self.class_count, self.classes, self.mean, self.rest)

    def seen_by(self, indices: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return whether each run trained on some examples, bool (…, M); indices: of any shape."""
        return np.unpackbits(self.seen[np.asarray(indices)], axis=-1, count=self.run_count).view(np.bool_)
