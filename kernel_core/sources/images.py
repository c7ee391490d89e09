"""Labeled examples by any reader: torchvision, Parquet files, folders of images, digits, or labels alone."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernel_core.errors import KernelExplorerError
from kernel_core.files import regular_file
from kernel_core.progress import Progress, no_progress
from kernel_core.records import ExampleSet
from kernel_core.sources.class_order import class_places, in_order
from kernel_core.sources.image_folders import (
    folder_inventories,
    folder_labels,
    folder_names,
    folder_samples,
    folder_units,
    load_folder,
)
from kernel_core.sources.inventory import Inventory, count_classes
from kernel_core.sources.labels_alone import label_units, load_labels
from kernel_core.sources.parquet import (
    load_parquet,
    parquet_inventories,
    parquet_labels,
    parquet_names,
    parquet_samples,
    parquet_units,
)
from kernel_core.sources.source import ImagesFrom
from kernel_core.sources.torchvision_images import dataset_files, load_torchvision
from kernel_core.spec import Split

DIGITS_SPLIT_SEED = 0
DIGITS_TEST = 500  # examples

log = logging.getLogger("kernel_core")

Units = dict[str, list[Path]]
Sample = tuple[str, bytes | Path]


def _counted(source: ImagesFrom) -> dict[Split, Inventory]:
    """Count what a reader of whole data sets reads; it passes nothing over."""
    return {s: _count(READERS[source.reader].load(source, s, no_progress)) for s in source.splits}


def _count(examples: ExampleSet) -> Inventory:
    classes = count_classes(examples.labels, examples.class_names)
    return Inventory(examples.split, classes, noun=examples.noun)


NumberedLabels = tuple[npt.NDArray[np.int64], tuple[str, ...]]


def _no_names(_source: ImagesFrom, _split: Split) -> None:
    return None


def _no_samples(_source: ImagesFrom, _split: Split, _count: int) -> list[Sample]:
    return []


@dataclass(frozen=True)
class Reader:
    """One way to read images.

    load: source, split, progress → that split. units: source → the files it reads, in groups to be hashed
    together. inventories: source → what each split has. names: source, split → names of its images in order,
    or None if they have none. labels: source, split → its labels (N,) and the names of the classes, before
    `classes` gives them another order; nothing is decoded. samples: source, split, number → names and encoded
    images of a few.
    """

    load: Callable[[ImagesFrom, Split, Progress], ExampleSet]
    units: Callable[[ImagesFrom], Units]
    inventories: Callable[[ImagesFrom], dict[Split, Inventory]] = _counted
    names: Callable[[ImagesFrom, Split], list[str] | None] = _no_names
    samples: Callable[[ImagesFrom, Split, int], list[Sample]] = _no_samples
    labels: Callable[[ImagesFrom, Split], NumberedLabels] | None = None


def load_examples(source: ImagesFrom, split: Split, progress: Progress = no_progress) -> ExampleSet:
    """Return the images, labels and class names of one split; a source of labels alone has no images.

    What there is, and what is passed over, is logged before it is read.
    Raises `DataError` if something is missing or unreadable, or if the sizes of the images differ.
    """
    reader = READERS[source.reader]
    if reader.inventories is not _counted or not source.has_images:
        log.info("%s", reader.inventories(source)[split].line)
    refuse_irregular(source, split)
    return in_order(reader.load(source, split, progress), source.classes)


def refuse_irregular(source: ImagesFrom, split: Split) -> None:
    """Raise `DataError` if something that a split is read from is no regular file."""
    for path in chain.from_iterable(image_units(replace(source, splits=(split,))).values()):
        regular_file(path)


def remarks_on(source: ImagesFrom) -> Callable[[Split], list[str]]:
    """Return a function that says what is remarkable about a split's images, as what was passed over."""

    def remarks(split: Split) -> list[str]:
        with contextlib.suppress(KernelExplorerError):
            return image_inventories(source)[split].remarks
        return []

    return remarks


def image_units(source: ImagesFrom) -> Units:
    """Return the files that the images are read from, in groups to be hashed together; empty for the digits.

    Raises `DataError` if a file or folder is missing.
    """
    return READERS[source.reader].units(source)


def image_inventories(source: ImagesFrom) -> dict[Split, Inventory]:
    """Return what each split has and what is passed over, without decoding an image.

    Raises `DataError` if a file or folder is missing, or if there are no images.
    """
    found = READERS[source.reader].inventories(source)
    if not source.classes:
        return found
    ordered = {}
    for split, inventory in found.items():
        names, places = class_places(tuple(inventory.classes), source.classes)
        counts = dict.fromkeys(names, 0)
        for place, count in zip(places, inventory.classes.values(), strict=True):
            counts[names[place]] = count
        ordered[split] = replace(inventory, classes=counts)
    return ordered


def image_samples(source: ImagesFrom, split: Split, count: int) -> list[Sample]:
    """Return what to call some of a split's images, up to `count`, and the encoded images or their files.

    Empty for whole data sets, which are read at once. Raises `DataError` as `image_inventories` does.
    """
    return READERS[source.reader].samples(source, split, count)


def example_labels(source: ImagesFrom, split: Split) -> NumberedLabels:
    """Return a split's labels (N,) and the names of the classes, as `load_examples` does, decoding no image.

    Raises `DataError` as `load_examples` does.
    """
    reader = READERS[source.reader]
    if reader.labels is None:
        examples = load_examples(source, split)
        return examples.labels, examples.class_names
    labels, names = reader.labels(source, split)
    if not source.classes:
        return labels, names
    names, places = class_places(names, source.classes)
    return places[labels], names


def example_names(source: ImagesFrom, split: Split) -> list[str] | None:
    """Return the names of a split's images in order, or None if they have none; nothing is decoded.

    For folders they are paths below the split's folder, as in `ant/0.png`; for a metadata.csv the names in
    it; for Parquet files the paths beside the images. Raises `DataError` as `image_inventories` does.
    """
    return READERS[source.reader].names(source, split)


def _torchvision_units(source: ImagesFrom) -> Units:
    return {source.dataset: dataset_files(source)}


def _digits_units(_source: ImagesFrom) -> Units:
    return {}


def _load_digits(_source: ImagesFrom, split: Split, progress: Progress) -> ExampleSet:
    """Read scikit-learn's 1,797 handwritten digits, 8×8 pixels.

    The split is fixed and stratified: both splits have the same share of each class.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    progress(f"reading {split} images", 0, 1)
    digits = load_digits()
    train, test = train_test_split(
        np.arange(len(digits.target)),
        test_size=DIGITS_TEST,
        stratify=digits.target,
        random_state=DIGITS_SPLIT_SEED,
    )
    chosen = {"train": train, "test": test}[split]
    gray = np.round(digits.images[chosen] * (255 / 16)).astype(np.uint8)  # (N, 8, 8); 0 … 16 in the original
    images = np.repeat(gray[..., None], 3, axis=3)
    progress(f"reading {split} images", 1, 1)
    return ExampleSet(split, images, digits.target[chosen].astype(np.int64), tuple("0123456789"))


READERS = {
    "digits": Reader(_load_digits, _digits_units),
    "folder": Reader(
        load_folder, folder_units, folder_inventories, folder_names, folder_samples, folder_labels
    ),
    "labels": Reader(load_labels, label_units),
    "parquet": Reader(
        load_parquet, parquet_units, parquet_inventories, parquet_names, parquet_samples, parquet_labels
    ),
    "torchvision": Reader(load_torchvision, _torchvision_units),
}
"""Name in `ImagesFrom` → reader."""
