"""Labeled examples by any reader: what there is, its labels and names, and the images, decoded in blocks."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, compress

import numpy as np
import numpy.typing as npt

from kernel_core.class_labels import refuse_wrong_labels
from kernel_core.errors import KernelExplorerError
from kernel_core.files import regular_file
from kernel_core.progress import Progress, no_progress
from kernel_core.records import ExampleSet
from kernel_core.sources import held_out
from kernel_core.sources.class_order import class_places, in_order
from kernel_core.sources.decode import Pixels
from kernel_core.sources.decode_blocks import Blocks, decode_blocks, gathered, of_array
from kernel_core.sources.image_sizes import choose_size
from kernel_core.sources.inventory import Inventory
from kernel_core.sources.readers import READERS, NumberedLabels, Sample, Units
from kernel_core.sources.source import ImagesFrom
from kernel_core.spec import Split

log = logging.getLogger("kernel_core")


@dataclass(frozen=True, eq=False)
class OpenedExamples:
    """The labeled examples of one split, whose images are still to be decoded.

    labels: int64 (N,). class_names: of all classes. images: of the N examples, in blocks, to be taken once.
    """

    split: Split
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    images: Blocks

    def with_images(self, images: Pixels) -> ExampleSet:
        """Return the examples with their images, uint8 (N, H, W, 3). Raises `DataError` as that does."""
        return ExampleSet(self.split, images, self.labels, self.class_names)


def load_splits(source: ImagesFrom, progress: Progress = no_progress) -> dict[Split, ExampleSet]:
    """Return the images, labels and class names of every split, as `load_examples` of each."""
    source = with_size(source, progress)
    return {split: load_examples(source, split, progress) for split in source.splits}


def load_examples(source: ImagesFrom, split: Split, progress: Progress = no_progress) -> ExampleSet:
    """Return the images, labels and class names of one split; a source of labels alone has no images.

    Many images are a map of a file, as `gathered` says. Raises `DataError` as `open_examples` does.
    """
    opened = open_examples(source, split, progress)
    return opened.with_images(gathered(opened.images))


def open_examples(source: ImagesFrom, split: Split, progress: Progress = no_progress) -> OpenedExamples:
    """Return the labels and class names of one split, with its images as blocks that are still to be decoded.

    What there is, and what is passed over, is logged before it is read. Raises `DataError` if something is
    missing or unreadable, or if the sizes of the images differ; the latter while blocks are taken.
    """
    reader, source = READERS[source.reader], with_size(source, progress)
    if not reader.is_counted or not source.has_images:
        log.info("%s", _inventories(source)[split].line)
    refuse_irregular(source, split)
    if reader.load is not None:
        examples = reader.load(source, split, progress)
        labels, names, images = examples.labels, examples.class_names, of_array(examples.images)
    else:
        labels, names = _own_labels(source, split)
        cells, step = _cells(source, split), f"reading {split} images"
        images = decode_blocks(cells, len(labels), step, source.size, progress)
    labels, names = in_order(labels, names, source.classes)
    refuse_wrong_labels(labels, len(names), split)
    return OpenedExamples(split, labels, names, images)


def _own_labels(source: ImagesFrom, split: Split) -> NumberedLabels:
    """Return a split's labels (N,) and the names of the classes, in the order that the data have."""
    reader = READERS[source.reader]
    assert reader.labels is not None
    if not source.held_out:
        return reader.labels(source, split)
    labels, names, rows = rows_of_part(source, split)
    return labels[rows], names


def _cells(source: ImagesFrom, split: Split) -> Iterator[Sample]:
    """Return names and encoded images of a split, in order."""
    encoded = READERS[source.reader].encoded
    assert encoded is not None
    if not source.held_out:
        return encoded(source, split)
    cells = encoded(held_out.undivided(source), "train")
    return compress(cells, rows_of_part(source, split)[2].tolist())


def rows_of_part(
    source: ImagesFrom, split: Split
) -> tuple[npt.NDArray[np.int64], tuple[str, ...], npt.NDArray[np.bool_]]:
    """Return the labels of all images (N,), the names of the classes, and which images are of a split (N,).

    source: images of which a part is held out.
    """
    reader = READERS[source.reader]
    assert reader.labels is not None
    labels, names = reader.labels(held_out.undivided(source), "train")
    return labels, names, held_out.rows_of(split, labels, source.held_out, _place(source))


def with_size(source: ImagesFrom, progress: Progress = no_progress) -> ImagesFrom:
    """Return images that have a size of their own, or are given one that is chosen from their sizes.

    Reads the beginning of every image, if a size is to be chosen. Raises `DataError` if one cannot be read.
    """
    if not source.choose_size or source.size is not None or READERS[source.reader].encoded is None:
        return source
    whole = held_out.undivided(source) if source.held_out else source
    _refuse_irregular(whole)
    total = sum(of_split.total for of_split in READERS[source.reader].inventories(whole).values())
    cells = chain.from_iterable(_cells(whole, split) for split in whole.splits)
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
    labels, _names, _rows = rows_of_part(source, "test")
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
    if READERS[source.reader].labels is None:
        opened = open_examples(source, split)
        return opened.labels, opened.class_names
    return in_order(*_own_labels(source, split), source.classes)


def example_names(source: ImagesFrom, split: Split) -> list[str] | None:
    """Return the names of a split's images in order, or None if they have none; nothing is decoded.

    For folders they are paths below the split's folder, as in `ant/0.png`; for a metadata.csv the names in
    it; for Parquet files the paths beside the images. Raises `DataError` as `image_inventories` does.
    """
    if not source.held_out:
        return READERS[source.reader].names(source, split)
    names = READERS[source.reader].names(held_out.undivided(source), "train")
    return None if names is None else list(compress(names, rows_of_part(source, split)[2].tolist()))
