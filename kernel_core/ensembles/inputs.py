"""What a writer of ensembles is given, images and runs, checked and brought to the form in which it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from kernel_core.checks import alike
from kernel_core.ensembles.manifest import Identity, fingerprints
from kernel_core.errors import DataError, RequestError
from kernel_core.records import ExampleSet
from kernel_core.sources import images as readers
from kernel_core.sources.catalog import find_images
from kernel_core.sources.images import load_examples
from kernel_core.sources.source import ImagesFrom
from kernel_core.spec import SPLITS, Split

COPIES = {split: f"images/{split}.parquet" for split in SPLITS}  # where images given as arrays are written
LAST_RUN = 499_999
LARGEST = float(np.finfo(np.float16).max)  # 65,504


@dataclass(frozen=True, eq=False)
class GivenImages:
    """Labelled images in memory, to be copied; or a reference to files, for the section [images] of a source."""

    class_names: tuple[str, ...] | None
    examples: dict[Split, ExampleSet] | None = None
    reference: ImagesFrom | None = None

    @classmethod
    def of(cls, images: Any, class_names: Sequence[str] | None) -> GivenImages | None:
        """What `EnsembleWriter` takes for images. Raises `DataError` or `RequestError` where it is something else."""
        names = None if class_names is None else tuple(str(name) for name in class_names)
        if images is None:
            return None
        if isinstance(images, str | Path):
            images = find_images(str(images), Path.cwd())
        if isinstance(images, ImagesFrom):
            if images.reader != "digits":
                return cls(names, reference=images)
            images = {
                split: load_examples(images, split) for split in SPLITS
            }  # nothing a source could refer to
        if not isinstance(images, Mapping) or set(images) not in ({"train", "test"}, {"test"}):
            found = sorted(map(str, images)) if isinstance(images, Mapping) else type(images).__name__
            raise RequestError(
                f"images is {found}; expected a mapping with train and test, or test alone, a path, or the name of a "
                "torchvision dataset."
            )
        examples = alike(
            {split: _example_set(split, images[split], names) for split in SPLITS if split in images}
        )
        return cls(next(iter(examples.values())).class_names, examples)

    def said(self, folder: Path) -> Identity:
        """What this says of an ensemble in that folder, without reading any file."""
        if self.examples is not None:
            return Identity(examples=fingerprints(self.examples), class_names=list(self.class_names or ()))
        return Identity(images=self._table(folder), class_names=list(self.class_names or ()))

    def own(self, folder: Path) -> set[str]:
        """The entries of the folder that these images are in."""
        if self.reference is None:
            return set()
        inside = [path for path in self._paths().values() if path.is_relative_to(folder.resolve())]
        parts = {path.relative_to(folder.resolve()).parts[:1] for path in inside}
        return {part for (part,) in parts - {()}} | ({"train", "test"} if () in parts else set())

    def load(self) -> dict[Split, ExampleSet]:
        """Each split. Raises `DataError` where they cannot be read or other class names were given for them."""
        if self.examples is not None:
            return self.examples
        assert self.reference is not None
        examples = alike({split: load_examples(self.reference, split) for split in SPLITS})
        found = examples["train"].class_names
        if self.class_names not in (None, found):
            raise DataError(
                f"The images have the classes {found}; the class names given are {self.class_names}."
            )
        return examples

    def _paths(self) -> dict[str, Path]:
        assert self.reference is not None
        return {name: path.resolve() for name, path in self.reference.paths.items()}

    def _table(self, folder: Path) -> dict[str, str | int]:
        """The section [images]: paths relative to the folder where they are inside it."""
        assert self.reference is not None
        home, paths = folder.resolve(), self._paths()
        if self.reference.reader == "torchvision" and paths["root"] == readers.torchvision_root().resolve():
            del paths["root"]
        table: dict[str, str | int] = {
            name: path.relative_to(home).as_posix() if path.is_relative_to(home) else str(path)
            for name, path in paths.items()
        }
        size = {} if self.reference.size is None else {"size": self.reference.size}
        return ({"torchvision": self.reference.dataset} if self.reference.dataset else {}) | table | size


def _example_set(split: Split, given: Any, class_names: tuple[str, ...] | None) -> ExampleSet:
    if isinstance(given, ExampleSet):
        return ExampleSet(split, given.images, given.labels, class_names or given.class_names)
    try:
        images, labels = (np.asarray(part) for part in given)
    except (TypeError, ValueError) as error:
        raise RequestError(
            f"images[{split!r}] is a {type(given).__name__} ({error}); expected a pair of arrays, (images, labels)."
        ) from None
    if images.ndim == 3:  # grey: (N, H, W)
        images = np.repeat(images[..., None], 3, axis=3)
    if labels.dtype.kind not in "iu" or labels.ndim != 1 or not len(labels):
        raise DataError(
            f"{split} labels are {labels.dtype} {labels.shape}; expected whole numbers (N,), at least one of them."
        )
    names = class_names or tuple(str(c) for c in range(int(labels.max()) + 1))
    return ExampleSet(split, images, labels.astype(np.int64), names)


def run_number(run: Any) -> int:
    """A run's number. Raises `RequestError` if it is none."""
    if isinstance(run, bool) or not isinstance(run, int | np.integer) or not 0 <= run <= LAST_RUN:
        raise RequestError(f"The run is {run!r}; expected a whole number from 0 to {LAST_RUN:,}.")
    return int(run)


def run_arrays(
    run: int, logits: Mapping[Split, Any], features: Mapping[Split, Any] | None, known: Identity
) -> dict[str, dict[Split, npt.NDArray[np.float16]]]:
    """A run's logits, and its features if any, as float16 (N, C) and (N, D) a split.

    Raises `DataError` unless there is one row an example and one logit a class, all of them finite in float16 too.
    """
    found = {"logits": _splits(run, "logits", logits, known)}
    classes = {split: values.shape[1] for split, values in found["logits"].items()}
    for split, count in classes.items():
        if count != len(known.class_names):
            raise DataError(
                f"Run {run}: its {split} logits are of {count} classes, but the images have "
                f"{len(known.class_names)} ({', '.join(known.class_names[:12])}); expected one logit for each."
            )
    if features is not None:
        found["features"] = _splits(run, "features", features, known)
        widths = {split: values.shape[1] for split, values in found["features"].items()}
        if len(set(widths.values())) != 1 or 0 in widths.values():
            raise DataError(
                f"Run {run}: its features have the widths {widths}; expected one width, at least 1."
            )
    return found


def _splits(
    run: int, what: str, given: Mapping[Split, Any], known: Identity
) -> dict[Split, npt.NDArray[np.float16]]:
    if not isinstance(given, Mapping) or set(given) != set(known.splits):
        found = sorted(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
        raise DataError(
            f"Run {run}: its {what} are of {found}; expected a mapping with {' and '.join(known.splits)}."
        )
    return {
        s: _half(given[s], known.examples[s]["count"], f"Run {run}: its {s} {what}") for s in known.splits
    }


def _half(given: Any, examples: int, about: str) -> npt.NDArray[np.float16]:
    """An array or tensor (N, D) of any floating kind, rounded to float16; about: how a message about it begins."""
    if isinstance(given, torch.Tensor):
        given = given.detach().cpu()
        given = given.float().numpy() if given.dtype == torch.bfloat16 else given.numpy()
    values = np.asarray(given)
    if values.dtype.kind != "f" or values.ndim != 2 or len(values) != examples:
        raise DataError(
            f"{about} are {values.dtype} {values.shape}; expected floating numbers in {examples:,} rows, one for "
            "each image in the same order."
        )
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float16)
    if not np.isfinite(rounded).all():
        i, j = (int(place) for place in np.argwhere(~np.isfinite(rounded))[0])
        if np.isfinite(values[i, j]):
            problem = f"more than float16 holds ({LARGEST:,.0f}); expected smaller numbers. Scale them down"
        else:
            problem = "expected finite numbers. Leave that run out, and say why with drop()"
        raise DataError(f"{about}, example {i}, number {j}, is {values[i, j]}: {problem}.")
    return rounded
