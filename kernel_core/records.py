"""Records that one package hands to the next: frozen, checked when made, NumPy arrays inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.block_array import Logits
from kernel_core.class_labels import refuse_wrong_labels
from kernel_core.errors import DataError, RequestError
from kernel_core.files import FileState
from kernel_core.spec import KernelSpec, Split
from kernel_core.training_masks import TrainingMasks


@dataclass(frozen=True, eq=False)
class ExampleSet:
    """The labeled examples of one split; everywhere, an example is known by its split and its index.

    images: uint8 (N, H, W, 3), RGB; (N, 0, 0, 3) in a source of labels alone. They may be gigabytes, mapped
    and read-only: nobody takes all of them at once. labels: int64 (N,), from 0 to len(class_names) - 1.
    thumbnails: uint8 (N, h, w, 3), of images that have larger ones; where None, images are small, or nobody
    made them. sha256: uint8 (N, 32), the hash of each image's shape and pixels, where it is known.
    Raises `DataError` if these do not fit together.
    """

    split: Split
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    thumbnails: npt.NDArray[np.uint8] | None = None
    sha256: npt.NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[3] != 3:
            raise DataError(
                f"{self.split} images are {self.images.dtype} {self.images.shape}; expected uint8 (N, H, W, "
                "3)."
            )
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != np.int64:
            raise DataError(
                f"{self.split} has {len(self.images)} images but labels of shape {self.labels.shape}, "
                f"{self.labels.dtype}; expected one int64 label per image."
            )
        refuse_wrong_labels(self.labels, len(self.class_names), self.split)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def has_images(self) -> bool:
        """Whether the examples have images, and not labels alone."""
        return 0 not in self.images.shape[1:3]

    @property
    def small(self) -> npt.NDArray[np.uint8]:
        """The thumbnails; where there are none, the images."""
        return self.images if self.thumbnails is None else self.thumbnails

    @property
    def noun(self) -> str:
        """What there is one of for each example, in messages."""
        return "image" if self.has_images else "label"


def no_images(count: int) -> npt.NDArray[np.uint8]:
    """Return the images of examples that have none, (count, 0, 0, 3)."""
    return np.zeros((count, 0, 0, 3), np.uint8)


@dataclass(frozen=True)
class Floor:
    """What rounding did to small probabilities before their logs were taken.

    zero: the logit that a probability of 0 is given: the log of half the smallest number above 0.
    precise: the log of the smallest probability that kept all its digits; `zero` where that is not known.
    """

    zero: float
    precise: float


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The logits of M runs in one or more files; the runs are in the order of the files.

    names[f]: what to call part f in a message: the name of its file, or of each run's file.
    parts[f][split]: floating (m, N, C), usually float16 and memory-mapped: m runs, N examples, C classes.
    files: the files that the parts are read from, as they were when opened.
    members[f]: the numbers of the files that part f is read from; empty if part f is file f.
    floor: of the probabilities in the files; None if they hold none.
    trained_on: which training examples each run was trained on, if the files say so.
    Raises `DataError` if files or splits do not fit together.
    """

    names: tuple[str | tuple[str, ...], ...]
    parts: tuple[Mapping[Split, Logits], ...]
    files: tuple[FileState, ...] = ()
    members: tuple[tuple[int, ...], ...] = ()
    floor: Floor | None = None
    trained_on: TrainingMasks | None = None

    def __post_init__(self) -> None:
        for file, part in enumerate(self.parts):
            self._check_part(self.name_of(file), part)

    def _check_part(self, name: str, part: Mapping[Split, Logits]) -> None:
        for split, logits in part.items():
            if logits.ndim != 3 or logits.dtype.kind != "f" or 0 in logits.shape:
                raise DataError(
                    f"{name}: the {split} logits are {logits.dtype} {logits.shape}; expected a floating "
                    "array (runs, examples, classes) with none of them 0. Save the logits again."
                )
            expected = self.parts[0][split].shape[1:] if split in self.parts[0] else None
            if logits.shape[1:] != expected:
                wanted = "no such split" if expected is None else "{} examples × {} classes".format(*expected)
                raise DataError(
                    f"{name}: its {split} logits have {logits.shape[1]} examples × {logits.shape[2]} "
                    f"classes, but {self.name_of(0)} has {wanted}. Expected the same examples and classes in "
                    "every file; leave one of the files out."
                )
        for axis, what in ((0, "runs"), (2, "classes")):
            counts = {split: logits.shape[axis] for split, logits in part.items()}
            if len(set(counts.values())) != 1:
                alike = len({logits.shape[1] for logits in part.values()}) == 1
                swapped = "(examples, runs, classes)" if axis == 0 else "(runs, classes, examples)"
                guess = f" Are the axes {swapped}, which would fit? Then swap two." if alike else ""
                raise DataError(
                    f"{name}: {what} per split are {counts}; expected the same {what} in every split, of "
                    f"(runs, examples, classes).{guess} Save the logits again."
                )
        if set(part) != set(self.parts[0]):
            raise DataError(
                f"{name} holds {sorted(part)}, but {self.name_of(0)} holds {sorted(self.parts[0])}; "
                "expected the same splits in every file."
            )

    @property
    def run_count(self) -> int:
        """Number of runs, M."""
        return sum(len(next(iter(part.values()))) for part in self.parts)

    @property
    def class_count(self) -> int:
        """Number of classes, C."""
        return int(next(iter(self.parts[0].values())).shape[2])

    def name_of(self, file: int, run: int = 0) -> str:
        """Return what to call the file that a run of a part is in."""
        names = self.names[file]
        return names if isinstance(names, str) else names[run]

    def files_of(self, file: int) -> tuple[int, ...]:
        """Return the numbers of the files that a part is read from."""
        return self.members[file] if self.members else (file,)

    def check_unchanged(self) -> None:
        """Raise `DataError` if a file was changed since it was opened: its memory map may show other runs."""
        for file in self.files:
            if not file.unchanged():
                raise DataError(
                    f"{file.path} changed while it was being read; no result was kept. Leave an ensemble's "
                    "files alone during a build, and run the command again."
                )

    def example_count(self, split: Split) -> int:
        """Return N, the number of examples in a split."""
        return int(self.parts[0][split].shape[1])

    def first(self, run_count: int) -> Ensemble:
        """Return the ensemble of the first `run_count` runs. Raises `RequestError` if there are fewer."""
        if not 1 <= run_count <= self.run_count:
            raise RequestError(
                f"{run_count:,} runs were asked for, but the {len(self.parts)} file(s) opened hold "
                f"{self.run_count:,}: ask for 2 to {self.run_count:,}, or add files."
            )
        kept: list[Mapping[Split, Logits]] = []
        left = run_count
        for part in self.parts:
            if left > 0:
                kept.append({split: logits[:left] for split, logits in part.items()})
                left -= len(next(iter(part.values())))
        masks = None if self.trained_on is None else self.trained_on.first(run_count)
        return replace(
            self,
            names=self.names[: len(kept)],
            parts=tuple(kept),
            members=self.members[: len(kept)],
            trained_on=masks,
        )


@dataclass(frozen=True, eq=False)
class Features:
    """Penultimate features of one run.

    values[split]: (N, D), finite; D is the same in every split. layer: which activations they are.
    run: the name of the run. Raises `DataError` if the values are not so.
    """

    values: Mapping[Split, npt.NDArray[Any]]
    layer: str
    run: str

    def __post_init__(self) -> None:
        widths = {split: values.shape[1:] for split, values in self.values.items()}
        if any(len(width) != 1 or 0 in width for width in widths.values()) or len(set(widths.values())) != 1:
            raise DataError(
                f"Feature widths per split are {widths}; expected one width of at least 1, and two axes, "
                "(examples, width)."
            )
        for split, values in self.values.items():
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
                raise DataError(
                    f"The {split} features of example {row} are NaN or infinite; expected finite values. "
                    "Save the features again."
                )


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The k nearest database examples of every query example.

    indices[i, j]: int32 (n_query, k), the database index of query i's j-th nearest example (j = 0 is
    nearest). values[i, j]: float32 (n_query, k), its similarity, which never increases along a row; ties are
    in order of index. The kernel is in [-1, 1), a cosine in [-1, 1]; the Euclidean similarity is the negative
    distance.
    certified: number of rows that float16 products proposed and a proof certified; None if all products were
    float32.
    redone: number of rows that were searched again in float32 because the proof failed.
    product: the name of how rows were multiplied, as in `search.products`: ways differ in the last digit.
    None if they were not, or nobody noted it.
    """

    spec: KernelSpec
    indices: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]
    certified: int | None = None
    redone: int = 0
    product: str | None = None

    def __post_init__(self) -> None:
        assert self.indices.shape == self.values.shape
        assert self.indices.ndim == 2
        assert (self.values[:, 1:] <= self.values[:, :-1]).all(), "values must not increase along a row"

    @property
    def k(self) -> int:
        """Number of neighbors per query example."""
        return int(self.indices.shape[1])

    def head(self, k: int) -> Neighbors:
        """Return only the k nearest of each query example. Raises `RequestError` if fewer are kept."""
        if not 1 <= k <= self.k:
            raise RequestError(f"{k} neighbors were asked for; {self.k} are kept, so ask for 1 to {self.k}.")
        return Neighbors(self.spec, self.indices[:, :k], self.values[:, :k])
