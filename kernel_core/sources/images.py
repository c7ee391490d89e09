"""Labeled images by any reader: torchvision, Parquet files, folders of images, or scikit-learn's digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from kernel_core.errors import DataError
from kernel_core.files import regular_file
from kernel_core.printable import NAME, printable
from kernel_core.progress import Progress, no_progress
from kernel_core.records import ExampleSet
from kernel_core.sources.decode import stack_images
from kernel_core.sources.parquet import load_parquet
from kernel_core.sources.source import ImagesFrom, existing
from kernel_core.sources.torchvision_images import dataset_files, load_torchvision
from kernel_core.spec import Split

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
DIGITS_SPLIT_SEED = 0
DIGITS_TEST = 500  # examples

Units = dict[str, list[Path]]


@dataclass(frozen=True)
class Reader:
    """One way to read images.

    load: source, split, progress → that split. units: source → the files it reads, in groups to be hashed
    together.
    """

    load: Callable[[ImagesFrom, Split, Progress], ExampleSet]
    units: Callable[[ImagesFrom], Units]


def load_examples(source: ImagesFrom, split: Split, progress: Progress = no_progress) -> ExampleSet:
    """Return the images, labels and class names of one split.

    Raises `DataError` if something is missing or unreadable, or if the sizes of the images differ.
    """
    reader = READERS[source.reader]
    for path in chain.from_iterable(reader.units(replace(source, splits=(split,))).values()):
        regular_file(path)
    return reader.load(source, split, progress)


def image_units(source: ImagesFrom) -> Units:
    """Return the files that the images are read from, in groups to be hashed together; empty for the digits.

    Raises `DataError` if a file or folder is missing.
    """
    return READERS[source.reader].units(source)


def _parquet_units(source: ImagesFrom) -> Units:
    return {f"{split}.parquet": [existing(source.paths[split])] for split in source.splits}


def _torchvision_units(source: ImagesFrom) -> Units:
    return {source.dataset: dataset_files(source)}


def _folder_units(source: ImagesFrom) -> Units:
    root = source.paths["folder"]
    return {
        f"{split}/{name}": files
        for split in source.splits
        for name, files in _class_folders(root / split).items()
    }


def _digits_units(_source: ImagesFrom) -> Units:
    return {}


def _class_folders(folder: Path) -> dict[str, list[Path]]:
    """Return class name → image files, both sorted."""
    classes = {}
    for entry in sorted(existing(folder).iterdir()):
        if entry.is_dir() and not entry.name.startswith("."):
            classes[entry.name] = sorted(path for path in entry.iterdir() if path.suffix.lower() in SUFFIXES)
    if not any(classes.values()):
        raise DataError(
            f"{folder} holds no images; expected {folder.name}/<class>/*.png (or .jpg, .webp, …)."
        )
    return classes


def _load_folder(source: ImagesFrom, split: Split, progress: Progress) -> ExampleSet:
    """Read train/<class>/*.png and test/<class>/*.png.

    Classes are numbered by the sorted names of the training folders, or of the test folders in a source of
    test examples alone.
    """
    root, first = source.paths["folder"], source.splits[0]
    names = tuple(_class_folders(root / first))
    classes = _class_folders(root / split)
    unknown = sorted(set(classes) - set(names))
    if unknown:
        raise DataError(
            f"{root / split} has the class folder {unknown[0]!r}, but {root / first} does not; expected the "
            "same classes in both. Remove it, or add training images of that class."
        )
    files = [(path, names.index(name)) for name, paths in classes.items() for path in paths]
    named = ((str(path), path) for path, _ in files)
    images = stack_images(named, len(files), f"reading {split} images", source.size, progress)
    labels = np.array([label for _, label in files], np.int64)
    return ExampleSet(split, images, labels, tuple(printable(name, NAME) for name in names))


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
    "folder": Reader(_load_folder, _folder_units),
    "parquet": Reader(load_parquet, _parquet_units),
    "torchvision": Reader(load_torchvision, _torchvision_units),
}
"""Name in `ImagesFrom` → reader."""
