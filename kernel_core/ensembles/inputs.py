"""The input of `EnsembleWriter`, images and runs: checked, and converted to the form that is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from kernel_core.checks import with_common_classes
from kernel_core.class_labels import numbered_classes
from kernel_core.ensembles.manifest import Identity, fingerprints
from kernel_core.errors import DataError, RequestError
from kernel_core.printable import NAME, printable
from kernel_core.records import ExampleSet, no_images
from kernel_core.sources.catalog import find_images
from kernel_core.sources.images import load_splits
from kernel_core.sources.images_table import images_table
from kernel_core.sources.source import ImagesFrom
from kernel_core.spec import SPLITS, Split

COPIES = {split: f"images/{split}.parquet" for split in SPLITS}  # where images given as arrays are written
Array = npt.ArrayLike | torch.Tensor
LabeledImages = ExampleSet | tuple[npt.ArrayLike, npt.ArrayLike]
LAST_RUN = 499_999
LARGEST = float(np.finfo(np.float16).max)  # 65,504


@dataclass(frozen=True, eq=False)
class InputImages:
    """Labeled images: in memory, to be copied, or in files, which the source.toml will refer to in [images].

    class_names: None where the names are those of the referenced images.
    examples, reference: exactly one of them is set.
    """

    class_names: tuple[str, ...] | None
    examples: dict[Split, ExampleSet] | None = None
    reference: ImagesFrom | None = None

    @classmethod
    def of(
        cls,
        images: Mapping[Split, LabeledImages] | ImagesFrom | str | Path | None,
        class_names: Sequence[str] | None,
    ) -> InputImages | None:
        """Convert the argument `images` of `EnsembleWriter`; None stays None.

        Raises `DataError` or `RequestError` for anything that it does not take.
        """
        names = None if class_names is None else tuple(printable(str(name), NAME) for name in class_names)
        if images is None:
            return None
        if isinstance(images, str | Path):
            images = find_images(str(images), Path.cwd())
        if isinstance(images, ImagesFrom):
            if images.reader not in ("digits", "labels"):
                return cls(names, reference=images)
            images = load_splits(images)  # copied: they are few
        if not isinstance(images, Mapping) or set(images) not in ({"train", "test"}, {"test"}):
            raise RequestError(
                f"images is {_described(images)}; expected a mapping with train and test, or with test "
                "alone, a path, or the name of a torchvision dataset."
            )
        examples = with_common_classes(
            {split: _example_set(split, images[split], names) for split in SPLITS if split in images}
        )
        return cls(next(iter(examples.values())).class_names, examples)

    def identity(self, folder: Path) -> Identity:
        """Return the part of an ensemble's identity that these images determine, without reading a file."""
        names = list(self.class_names or ())
        if self.examples is not None:
            return Identity(examples=fingerprints(self.examples), class_names=names)
        assert self.reference is not None
        return Identity(images=images_table(self.reference, folder), class_names=names)

    def entries_in(self, folder: Path) -> set[str]:
        """Return the names of the folder's entries that hold these images."""
        if self.reference is None:
            return set()
        return entries_in(folder, self.reference.files)

    def load(self) -> dict[Split, ExampleSet]:
        """Load each split. Raises `DataError` if one cannot be read or has other classes than expected."""
        if self.examples is not None:
            return self.examples
        assert self.reference is not None
        examples = with_common_classes(load_splits(self.reference))
        names = examples["train"].class_names
        if self.class_names not in (None, names):
            raise DataError(
                f"The images have the classes {names}, but class_names is {self.class_names}. Pass the names "
                "of the images, or none."
            )
        return examples


def entries_in(folder: Path, paths: Iterable[Path]) -> set[str]:
    """Return the names of a folder's entries that these paths are or lie in; for the folder, its splits'."""
    home = folder.resolve()
    inside = [path.relative_to(home).parts for path in map(Path.resolve, paths) if path.is_relative_to(home)]
    entries = {parts[0] for parts in inside if parts}
    return entries | {"train", "test"} if () in inside else entries


def _described(value: Any) -> str:
    """Describe a value for an error message, as in "a mapping with ['train']" or "of type int"."""
    if isinstance(value, Mapping):
        return f"a mapping with {sorted(map(str, value))}"
    return f"of type {type(value).__name__}"


def _example_set(split: Split, labeled: LabeledImages, class_names: tuple[str, ...] | None) -> ExampleSet:
    """Convert an `ExampleSet` or a pair (images, labels)."""
    if isinstance(labeled, ExampleSet):
        return ExampleSet(split, labeled.images, labeled.labels, class_names or labeled.class_names)
    try:
        images, labels = (np.asarray(part) for part in labeled)
    except (TypeError, ValueError) as error:
        raise RequestError(
            f"images[{split!r}] is a {type(labeled).__name__} ({error}); expected a pair of arrays, (images, "
            "labels)."
        ) from None
    if images.ndim == 3:  # gray: (N, H, W)
        images = np.repeat(images[..., None], 3, axis=3)
    if labels.dtype.kind not in "iu" or labels.ndim != 1 or not len(labels):
        raise DataError(
            f"{split} labels are {labels.dtype} {labels.shape}; expected integers (N,), at least one."
        )
    labels = labels.astype(np.int64)
    return ExampleSet(split, images, labels, class_names or numbered_classes(labels, split))


def with_no_images(labels: Mapping[Split, Array]) -> dict[Split, LabeledImages]:
    """Convert the argument `labels` of `EnsembleWriter` to its argument `images`."""
    if not isinstance(labels, Mapping):
        raise RequestError(f"labels is {_described(labels)}; expected a mapping with train and test.")
    by_split = {split: np.asarray(of_split) for split, of_split in labels.items()}
    return {split: (no_images(of.size), of) for split, of in by_split.items()}


def run_number(run: int) -> int:
    """Return a run's number as an int. Raises `RequestError` if it is not a run number."""
    if isinstance(run, bool) or not isinstance(run, int | np.integer) or not 0 <= run <= LAST_RUN:
        raise RequestError(f"The run number is {run!r}; expected a whole number from 0 to {LAST_RUN:,}.")
    return int(run)


def run_arrays(
    run: int, logits: Mapping[Split, Array], features: Mapping[Split, Array] | None, identity: Identity
) -> dict[str, dict[Split, npt.NDArray[np.float16]]]:
    """Convert a run's logits, and its features if any, to float16 (N, C) and (N, D) per split.

    Raises `DataError` unless there is one row per example and one logit per class, all finite in float16 too.
    """
    arrays = {"logits": _splits(run, "logits", logits, identity)}
    class_counts = {split: values.shape[1] for split, values in arrays["logits"].items()}
    for split, count in class_counts.items():
        if count != len(identity.class_names):
            raise DataError(
                f"Run {run}: its {split} logits have {count} classes, but the images have "
                f"{len(identity.class_names)} ({', '.join(identity.class_names[:12])}); expected one logit "
                "per class."
            )
    if features is not None:
        arrays["features"] = _splits(run, "features", features, identity)
        widths = {split: values.shape[1] for split, values in arrays["features"].items()}
        if len(set(widths.values())) != 1 or 0 in widths.values():
            raise DataError(
                f"Run {run}: its features have the widths {widths}; expected the same width, at least 1."
            )
    return arrays


def training_mask(run: int, trained_on: Array, identity: Identity) -> npt.NDArray[np.bool_]:
    """Convert a run's training mask to bool (N,). Raises `DataError` unless there is a 0 or 1 per image."""
    if isinstance(trained_on, torch.Tensor):
        trained_on = trained_on.detach().cpu().numpy()
    mask = np.asarray(trained_on)
    count = identity.examples.get("train", {}).get("count")
    if mask.shape != (count,) or mask.dtype.kind not in "biuf" or not ((mask == 0) | (mask == 1)).all():
        wanted = f"{count:,} of True and False" if count else "none, as there are no training images"
        raise DataError(f"Run {run}: its training mask is {mask.dtype} {mask.shape}; expected {wanted}.")
    return mask.astype(np.bool_)


def _splits(
    run: int, what: str, arrays: Mapping[Split, Array], identity: Identity
) -> dict[Split, npt.NDArray[np.float16]]:
    """Convert the arrays of each split. what: "logits" or "features"."""
    if not isinstance(arrays, Mapping) or set(arrays) != set(identity.splits):
        raise DataError(
            f"Run {run}: its {what} are {_described(arrays)}; expected a mapping with "
            f"{' and '.join(identity.splits)}."
        )
    return {
        split: _as_float16(arrays[split], identity.examples[split]["count"], f"Run {run}: its {split} {what}")
        for split in identity.splits
    }


def _as_float16(array: Array, count: int, subject: str) -> npt.NDArray[np.float16]:
    """Round an array or tensor (count, D) of any floating dtype to float16. subject: how errors begin."""
    if isinstance(array, torch.Tensor):
        tensor = array.detach().cpu()
        array = tensor.float().numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()
    values = np.asarray(array)
    if values.dtype.kind != "f" or values.ndim != 2 or len(values) != count:
        raise DataError(
            f"{subject} are {values.dtype} {values.shape}; expected floating-point numbers in {count:,} "
            "rows, one per image in the same order."
        )
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float16)
    if not np.isfinite(rounded).all():
        i, j = (int(index) for index in np.argwhere(~np.isfinite(rounded))[0])
        if np.isfinite(values[i, j]):
            problem = f"more than float16 holds ({LARGEST:,.0f}). Scale the numbers down."
        else:
            problem = "expected finite numbers. Leave that run out, and record the reason with drop()."
        raise DataError(f"{subject} contain {values[i, j]} (example {i}, number {j}): {problem}")
    return rounded
