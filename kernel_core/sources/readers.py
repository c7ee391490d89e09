"""The readers of labeled examples: torchvision, Parquet files, folders of images, digits, or labels alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernel_core.progress import Progress, no_progress
from kernel_core.records import ExampleSet
from kernel_core.sources.digits import digits_units, load_digits
from kernel_core.sources.image_folders import (
    folder_files,
    folder_inventories,
    folder_labels,
    folder_names,
    folder_parts,
    folder_samples,
    folder_units,
)
from kernel_core.sources.inventory import Inventory, count_classes
from kernel_core.sources.labels_alone import label_units, load_labels
from kernel_core.sources.parquet import (
    parquet_cells,
    parquet_inventories,
    parquet_labels,
    parquet_names,
    parquet_parts,
    parquet_samples,
    parquet_units,
    why_no_parquet_parts,
)
from kernel_core.sources.part import Part
from kernel_core.sources.source import ImagesFrom
from kernel_core.sources.torchvision_images import dataset_files, load_torchvision
from kernel_core.spec import Split

Units = dict[str, list[Path]]
Sample = tuple[str, bytes | Path]
Parts = Callable[[int, int], Part]
NumberedLabels = tuple[npt.NDArray[np.int64], tuple[str, ...]]


def _counted(source: ImagesFrom) -> dict[Split, Inventory]:
    """Count what a reader of whole data sets reads; it passes nothing over."""
    load = READERS[source.reader].load
    assert load is not None
    return {split: _count(load(source, split, no_progress)) for split in source.splits}


def _count(examples: ExampleSet) -> Inventory:
    classes = count_classes(examples.labels, examples.class_names)
    return Inventory(examples.split, classes, noun=examples.noun)


def _no_names(_source: ImagesFrom, _split: Split) -> None:
    return None


def _no_samples(_source: ImagesFrom, _split: Split, _count: int) -> list[Sample]:
    return []


def _nothing(_source: ImagesFrom, _split: Split) -> str:
    return ""


@dataclass(frozen=True)
class Reader:
    """One way to read images: whole splits by `load`, or image by image by `encoded`, with `labels`.

    units: source → the files it reads, in groups to be hashed together. load: source, split, progress → that
    split. encoded: source, split → names and encoded images, in order. labels: source, split → its labels
    (N,) and the names of the classes, before `classes` gives them another order; nothing is decoded.
    inventories: source → what each split has. names: source, split → names of its images in order, or None if
    they have none. samples: source, split, number → names and encoded images of a few. parts: source, split →
    what returns examples start … stop - 1 for other processes. why_no_parts: source, split → why there are
    none; empty if there are.
    """

    units: Callable[[ImagesFrom], Units]
    load: Callable[[ImagesFrom, Split, Progress], ExampleSet] | None = None
    encoded: Callable[[ImagesFrom, Split], Iterator[Sample]] | None = None
    labels: Callable[[ImagesFrom, Split], NumberedLabels] | None = None
    inventories: Callable[[ImagesFrom], dict[Split, Inventory]] = _counted
    names: Callable[[ImagesFrom, Split], list[str] | None] = _no_names
    samples: Callable[[ImagesFrom, Split, int], list[Sample]] = _no_samples
    parts: Callable[[ImagesFrom, Split], Parts] | None = None
    why_no_parts: Callable[[ImagesFrom, Split], str] = _nothing

    @property
    def is_counted(self) -> bool:
        """Whether what there is is known only when all of it was read."""
        return self.inventories is _counted


def _torchvision_units(source: ImagesFrom) -> Units:
    return {source.dataset: dataset_files(source)}


READERS = {
    "digits": Reader(digits_units, load_digits),
    "folder": Reader(
        folder_units,
        None,
        folder_files,
        folder_labels,
        folder_inventories,
        folder_names,
        folder_samples,
        folder_parts,
    ),
    "labels": Reader(label_units, load_labels),
    "parquet": Reader(
        parquet_units,
        None,
        parquet_cells,
        parquet_labels,
        parquet_inventories,
        parquet_names,
        parquet_samples,
        parquet_parts,
        why_no_parquet_parts,
    ),
    "torchvision": Reader(_torchvision_units, load_torchvision),
}
"""Name in `ImagesFrom` → reader."""
