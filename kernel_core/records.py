"""Frozen records that check themselves when built: what one floor hands to the next; NumPy, for pages to hold too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.errors import DataError, RequestError
from kernel_core.files import FileState
from kernel_core.spec import KernelSpec, Split


@dataclass(frozen=True, eq=False)
class ExampleSet:
    """The labelled images of one split; the index in its split is an example's identity everywhere.

    images: uint8 (N, H, W, 3), RGB. labels: int64 (N,), in 0 … len(class_names) - 1.
    Raises `DataError` where these disagree.
    """

    split: Split
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[3] != 3:
            raise DataError(
                f"{self.split} images are {self.images.dtype} {self.images.shape}; expected uint8 (N, H, W, 3)."
            )
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != np.int64:
            raise DataError(
                f"{self.split} has {len(self.images)} images but labels of shape {self.labels.shape}, "
                f"{self.labels.dtype}; expected one int64 label an image."
            )
        wrong = np.flatnonzero((self.labels < 0) | (self.labels >= len(self.class_names)))
        if wrong.size:
            i = int(wrong[0])
            raise DataError(
                f"{self.split} example {i} has label {self.labels[i]}, and {wrong.size:,} example(s) are out of "
                f"range; expected 0 … {len(self.class_names) - 1} for the {len(self.class_names)} class names."
            )

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The logits of M runs, file by file, the runs of all files in order.

    parts[f][split]: floating (m, N, C), usually float16 and memory-mapped: m runs, N examples, C classes.
    names[f]: what to call file f in a message. files: those the parts are mapped from, as they were when opened.
    Raises `DataError` where files or splits disagree.
    """

    names: tuple[str, ...]
    parts: tuple[Mapping[Split, npt.NDArray[Any]], ...]
    files: tuple[FileState, ...] = ()

    def __post_init__(self) -> None:
        for name, part in zip(self.names, self.parts, strict=True):
            self._check_part(name, part)

    def _check_part(self, name: str, part: Mapping[Split, npt.NDArray[Any]]) -> None:
        for split, logits in part.items():
            if logits.ndim != 3 or logits.dtype.kind != "f" or 0 in logits.shape:
                raise DataError(
                    f"{name}: the {split} logits are {logits.dtype} {logits.shape}; expected a floating array "
                    "(runs, examples, classes) with none of them 0."
                )
            expected = self.parts[0][split].shape[1:] if split in self.parts[0] else None
            if logits.shape[1:] != expected:
                have = "{} examples × {} classes".format(*logits.shape[1:])
                wanted = "no such split" if expected is None else "{} examples × {} classes".format(*expected)
                raise DataError(
                    f"{name}: its {split} logits have {have}, but {self.names[0]} has {wanted}. "
                    "All files of an ensemble must describe the same examples and classes."
                )
        for axis, what in ((0, "runs"), (2, "classes")):
            seen = {split: logits.shape[axis] for split, logits in part.items()}
            if len(set(seen.values())) != 1:
                raise DataError(
                    f"{name}: {what} per split are {seen}; expected the same {what} in every split."
                )
        if set(part) != set(self.parts[0]):
            raise DataError(
                f"{name} holds {sorted(part)}, but {self.names[0]} holds {sorted(self.parts[0])}; "
                "expected the same splits in every file."
            )

    @property
    def run_count(self) -> int:
        """M, the number of runs."""
        return sum(len(next(iter(part.values()))) for part in self.parts)

    @property
    def class_count(self) -> int:
        """C, the number of classes."""
        return int(next(iter(self.parts[0].values())).shape[2])

    def check_unchanged(self) -> None:
        """Raise `DataError` if a file is no longer what was opened: a map of it would show other runs, or nothing."""
        for file in self.files:
            if not file.unchanged():
                raise DataError(
                    f"{file.path} changed while it was being read; nothing of it was kept. Leave the files of an "
                    "ensemble alone during a build, and run the command again."
                )

    def example_count(self, split: Split) -> int:
        """N, the number of examples of a split."""
        return int(self.parts[0][split].shape[1])

    def first(self, run_count: int) -> Ensemble:
        """The same ensemble, its first `run_count` runs alone. Raises `RequestError` if it has fewer."""
        if not 1 <= run_count <= self.run_count:
            raise RequestError(
                f"{run_count:,} runs were asked for, but the {len(self.parts)} file(s) opened hold {self.run_count:,}: "
                f"ask for 2 to {self.run_count:,}, or add files."
            )
        kept, names, left = [], [], run_count
        for name, part in zip(self.names, self.parts, strict=True):
            if left > 0:
                kept.append({split: logits[:left] for split, logits in part.items()})
                names.append(name)
                left -= len(next(iter(part.values())))
        return Ensemble(tuple(names), tuple(kept), self.files)


@dataclass(frozen=True, eq=False)
class Features:
    """Penultimate features of one run. values[split]: floating (N, D), finite, D the same in every split."""

    values: Mapping[Split, npt.NDArray[Any]]
    layer: str
    run: str

    def __post_init__(self) -> None:
        widths = {split: values.shape[1:] for split, values in self.values.items()}
        if any(len(width) != 1 for width in widths.values()) or len(set(widths.values())) != 1:
            raise DataError(f"Feature widths per split are {widths}; expected (examples, D) with one D.")
        for split, values in self.values.items():
            if not np.isfinite(values).all():
                row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
                raise DataError(
                    f"The {split} features of example {row} are NaN or infinite; expected finite values."
                )


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The k nearest database examples of every query example.

    indices[i, j]: int32 (n_query, k), the database index of query i's j-th nearest example (j = 0 is nearest).
    values[i, j]: float32 (n_query, k), its similarity, never increasing along a row; equal values stand in the
    order of their indices. The kernel lies in [-1, 1), cosines in [-1, 1]; Euclidean is the negative distance.
    certified: rows proved exact where float16 products proposed them; None where all products were float32.
    redone: rows searched again in float32 for want of a proof.
    """

    spec: KernelSpec
    indices: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]
    certified: int | None = None
    redone: int = 0

    def __post_init__(self) -> None:
        assert self.indices.shape == self.values.shape
        assert self.indices.ndim == 2
        assert (np.diff(self.values, axis=1) <= 0).all(), "values must not increase along a row"

    @property
    def k(self) -> int:
        """How many neighbors a row holds."""
        return int(self.indices.shape[1])

    def head(self, k: int) -> Neighbors:
        """The k nearest of each row alone. Raises `RequestError` if fewer are kept."""
        if not 1 <= k <= self.k:
            raise RequestError(f"{k} neighbors were asked for; {self.k} are kept, so ask for 1 to {self.k}.")
        return Neighbors(self.spec, self.indices[:, :k], self.values[:, :k])


@dataclass(frozen=True, eq=False)
class Predictions:
    """What the ensemble says of one split.

    single: float64 (M,), each run's accuracy. predicted: int64 (N,), the class of the largest averaged logit;
    confidence: float32 (N,), its averaged probability. mean, spread: float32 (N, C), each class's probability averaged
    over the runs, and its unbiased standard deviation. run_votes: unsigned (N, m), the class of each run's largest
    logit, of the first m runs, all or those kept; votes: unsigned (N, C), how often each is that, over all M runs.
    """

    single: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    mean: npt.NDArray[np.float32]
    spread: npt.NDArray[np.float32]
    votes: npt.NDArray[np.unsignedinteger[Any]]
    run_votes: npt.NDArray[np.unsignedinteger[Any]]
