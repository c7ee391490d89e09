"""Labeled examples by any reader: torchvision, Parquet files, folders of images, digits, or labels alone."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, compress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernel_core.errors import KernelExplorerError
from kernel_core.files import regular_file
from kernel_core.progress import Progress, no_progress
from kernel_core.records import ExampleSet
from kernel_core.sources import held_out
from kernel_core.sources.class_order import class_places, in_order
from kernel_core.sources.decode import stack_images
from kernel_core.sources.digits import digits_units, load_digits
from kernel_core.sources.image_folders import (
    folder_files,
    folder_inventories,
    folder_labels,
    folder_names,
    folder_samples,
    folder_units,
    load_folder,
)
from kernel_core.sources.image_sizes import choose_size
from kernel_core.sources.inventory import Inventory, count_classes
from kernel_core.sources.labels_alone import label_units, load_labels
from kernel_core.sources.parquet import (
    load_parquet,
    parquet_cells,
    parquet_inventories,
    parquet_labels,
    parquet_names,
    parquet_samples,
    parquet_units,
)
from kernel_core.sources.source import ImagesFrom
from kernel_core.sources.torchvision_images import dataset_files, load_torchvision
from kernel_core.spec import Split

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
    images of a few. encoded: source, split → names and encoded images of all, in order; with `labels`, a part
    of them can be held out.
    """

    load: Callable[[ImagesFrom, Split, Progress], ExampleSet]
    units: Callable[[ImagesFrom], Units]
    inventories: Callable[[ImagesFrom], dict[Split, Inventory]] = _counted
    names: Callable[[ImagesFrom, Split], list[str] | None] = _no_names
    samples: Callable[[ImagesFrom, Split, int], list[Sample]] = _no_samples
    labels: Callable[[ImagesFrom, Split], NumberedLabels] | None = None
    encoded: Callable[[ImagesFrom, Split], Iterator[Sample]] | None = None


def load_splits(source: ImagesFrom, progress: Progress = no_progress) -> dict[Split, ExampleSet]:
    """Return the images, labels and class names of every split, as `load_examples` of each."""
    source = with_size(source, progress)
    return {split: load_examples(source, split, progress) for split in source.splits}


def load_examples(source: ImagesFrom, split: Split, progress: Progress = no_progress) -> ExampleSet:
    """Return the images, labels and class names of one split; a source of labels alone has no images.

    What there is, and what is passed over, is logged before it is read.
    Raises `DataError` if something is missing or unreadable, or if the sizes of the images differ.
    """
    reader, source = READERS[source.reader], with_size(source, progress)
    if reader.inventories is not _counted or not source.has_images:
        log.info("%s", _inventories(source)[split].line)
    refuse_irregular(source, split)
    load = _load_part if source.held_out else reader.load
    return in_order(load(source, split, progress), source.classes)


def _load_part(source: ImagesFrom, split: Split, progress: Progress) -> ExampleSet:
    """Read one split of images of which a part is held out; those of the other are not decoded."""
    labels, names, rows = _part(source, split)
    cells = _encoded(held_out.undivided(source), "train")
    images = stack_images(
        compress(cells, rows.tolist()), int(rows.sum()), f"reading {split} images", source.size, progress
    )
    return ExampleSet(split, images, labels[rows], names)


def _part(
    source: ImagesFrom, split: Split
) -> tuple[npt.NDArray[np.int64], tuple[str, ...], npt.NDArray[np.bool_]]:
    """Return the labels of all images (N,), the names of the classes, and which images are of a split (N,).

    source: images of which a part is held out.
    """
    reader = READERS[source.reader]
    assert reader.labels is not None
    labels, names = reader.labels(held_out.undivided(source), "train")
    return labels, names, held_out.rows_of(split, labels, source.held_out, _place(source))


def _encoded(source: ImagesFrom, split: Split) -> Iterator[Sample]:
    encoded = READERS[source.reader].encoded
    assert encoded is not None
    return encoded(source, split)


def with_size(source: ImagesFrom, progress: Progress = no_progress) -> ImagesFrom:
    """Return images that have a size of their own, or are given one that is chosen from their sizes.

    Reads the beginning of every image, if a size is to be chosen. Raises `DataError` if one cannot be read.
    """
    if not source.choose_size or source.size is not None or READERS[source.reader].encoded is None:
        return source
    whole = held_out.undivided(source) if source.held_out else source
    _refuse_irregular(whole)
    total = sum(of_split.total for of_split in READERS[source.reader].inventories(whole).values())
    cells = chain.from_iterable(_encoded(whole, split) for split in whole.splits)
    return replace(source, size=choose_size(cells, total, progress), choose_size=False)


def refuse_irregular(source: ImagesFrom, split: Split) -> None:
    """Raise `DataError` if something that a split is read from is no regular file."""
    _refuse_irregular(replace(source, splits=(split,)))


def _refuse_irregular(source: ImagesFrom) -> None:
    for path in chain.from_iterable(image_units(source).values()):
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
    return READERS[source.reader].units(held_out.undivided(source) if source.held_out else source)


def image_inventories(source: ImagesFrom) -> dict[Split, Inventory]:
    """Return what each split has and what is passed over, without decoding an image.

    Raises `DataError` if a file or folder is missing, or if there are no images.
    """
    found = _inventories(source)
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


def _inventories(source: ImagesFrom) -> dict[Split, Inventory]:
    """Return what each split has, in the order of classes that the data have."""
    reader = READERS[source.reader]
    if not source.held_out:
        return reader.inventories(source)
    whole = held_out.undivided(source)
    labels, _names, _rows = _part(source, "test")
    found = held_out.divided(
        reader.inventories(whole)["train"],
        labels,
        reader.names(whole, "train"),
        source.held_out,
        _place(source),
    )
    return {split: found[split] for split in source.splits}


def _place(source: ImagesFrom) -> str:
    """Return what to call images in an error: their folder or their first file."""
    return str(next(iter(source.files), source.reader))


def image_samples(source: ImagesFrom, split: Split, count: int) -> list[Sample]:
    """Return what to call some of a split's images, up to `count`, and the encoded images or their files.

    Empty for whole data sets, which are read at once. Raises `DataError` as `image_inventories` does.
    """
    if source.held_out:  # whichever they are of
        source, split = held_out.undivided(source), "train"
    return READERS[source.reader].samples(source, split, count)


def example_labels(source: ImagesFrom, split: Split) -> NumberedLabels:
    """Return a split's labels (N,) and the names of the classes, as `load_examples` does, decoding no image.

    Raises `DataError` as `load_examples` does.
    """
    reader = READERS[source.reader]
    if reader.labels is None:
        examples = load_examples(source, split)
        return examples.labels, examples.class_names
    if source.held_out:
        of_all, names, rows = _part(source, split)
        labels = of_all[rows]
    else:
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
    if not source.held_out:
        return READERS[source.reader].names(source, split)
    names = READERS[source.reader].names(held_out.undivided(source), "train")
    return None if names is None else list(compress(names, _part(source, split)[2].tolist()))


def _torchvision_units(source: ImagesFrom) -> Units:
    return {source.dataset: dataset_files(source)}


READERS = {
    "digits": Reader(load_digits, digits_units),
    "folder": Reader(
        load_folder,
        folder_units,
        folder_inventories,
        folder_names,
        folder_samples,
        folder_labels,
        folder_files,
    ),
    "labels": Reader(load_labels, label_units),
    "parquet": Reader(
        load_parquet,
        parquet_units,
        parquet_inventories,
        parquet_names,
        parquet_samples,
        parquet_labels,
        parquet_cells,
    ),
    "torchvision": Reader(load_torchvision, _torchvision_units),
}
"""Name in `ImagesFrom` → reader."""
