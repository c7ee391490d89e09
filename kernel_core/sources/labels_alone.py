"""Labels without images: from arrays (.npy, .npz, .safetensors), tables (.csv, .parquet) or lines of text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.array_files import form_of, open_arrays
from kernel_core.class_labels import numbered_classes
from kernel_core.errors import DataError, shown
from kernel_core.printable import NAME, printable
from kernel_core.progress import Progress
from kernel_core.records import ExampleSet, no_images
from kernel_core.sources.class_order import Labels as Numbers
from kernel_core.sources.class_order import number_texts
from kernel_core.sources.label_tables import is_table, read_columns, read_lines
from kernel_core.sources.labels_table import label_files
from kernel_core.sources.source import ImagesFrom, existing
from kernel_core.spec import Split

WORDS = "labels, whole numbers or texts (N,)"
NAMES = ("{}", "{}_labels", "labels_{}", "y_{}")  # of the array of a split
NUMBER = re.compile(r"-?[0-9]{1,9}(\.0*)?")

Values = npt.NDArray[Any]


@dataclass(frozen=True)
class _Labels:
    """The labels of one split: whole numbers or texts (N,); names: of numbers, as the file has them."""

    path: Path
    values: Values
    names: tuple[tuple[str, str], ...] = ()


def label_units(source: ImagesFrom) -> dict[str, list[Path]]:
    """Return the files that the labels are read from, by the splits that they hold."""
    return {name: [existing(path) for path in paths] for name, paths in label_files(source).items()}


def load_labels(source: ImagesFrom, split: Split, progress: Progress) -> ExampleSet:
    """Return one split with no images: its labels, and the classes of all splits.

    Texts are numbered as they sort. Raises `DataError` for anything but whole numbers and texts.
    """
    progress(f"reading {split} labels", 0, 1)
    by_split = {name: _read(source, name) for name in source.splits}
    labels, names = number_texts({name: of.values.astype(str).tolist() for name, of in by_split.items()})
    progress(f"reading {split} labels", 1, 1)
    names = names or _named(by_split, labels) or numbered_classes(labels[split], split)
    return ExampleSet(split, no_images(len(labels[split])), labels[split], names)


def _named(by_split: Mapping[Split, _Labels], numbers: Mapping[Split, Numbers]) -> tuple[str, ...]:
    """Return the names that the files give to the classes; a class without one has its number."""
    names: dict[str, str] = {}
    for labels in by_split.values():
        for number, name in labels.names:
            if names.setdefault(number, name) != name:
                raise DataError(
                    f"{labels.path}: the column name calls class {number} {shown(names[number])} and "
                    f"{shown(name)}; expected one name per class. Correct the column, or leave it out."
                )
    if not names:
        return ()
    every = np.concatenate(list(numbers.values()))
    return tuple(names.get(number, number) for number in numbered_classes(every, "train"))


def _read(source: ImagesFrom, split: Split) -> _Labels:
    path = source.paths.get(split) or source.paths["file"]
    alone = split in source.paths or source.splits == (split,)
    form = form_of(path)
    if not form and is_table(path):
        column, named = read_columns(path, split, alone=alone)
        values = _plain(path, column)
        if named is None:
            return _Labels(path, values)
        pairs = dict.fromkeys(zip(values.astype(str).tolist(), named.tolist(), strict=True))
        return _Labels(path, values, tuple((label, printable(name, NAME)) for label, name in pairs))
    if not form and path.suffix.lower() == ".txt" and alone:
        return _Labels(path, _plain(path, read_lines(path)))
    return _Labels(path, _plain(path, _array(path, split, alone=alone)))


def _array(path: Path, split: Split, *, alone: bool) -> Values:
    """Return the array of a split. alone: whether a file of one array holds this split alone."""
    arrays = open_arrays(path, WORDS).arrays
    named = [name for name in (pattern.format(split) for pattern in NAMES) if name in arrays]
    if alone and len(arrays) == 1:
        named = list(arrays)
    if not named:
        found = f"holds {shown(sorted(arrays))}" if "" not in arrays else "holds one array without a name"
        raise DataError(
            f"{path} {found}; expected one called {split}, with labels. Save it as .npz or .safetensors with "
            "an array for each split, or name a file per split."
        )
    return arrays[named[0]]


def _plain(path: Path, values: Values) -> Values:
    """Return labels as int64 or texts (N,). Raises `DataError` for anything else."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]  # as Keras gives them
    kind = values.dtype.kind
    is_whole = kind in "iub" or (kind == "f" and bool((values == np.rint(values)).all()))
    is_small = is_whole and bool((np.abs(values.astype(np.float64)) < 2**31).all())
    if values.ndim != 1 or not len(values) or not (is_small or kind in "US"):
        raise DataError(
            f"{path} holds {values.dtype} {values.shape}; expected {WORDS}, at least one. Save the class of "
            "each example as one number."
        )
    if is_whole:
        return values.astype(np.int64)
    texts = np.char.strip(np.char.decode(values, "utf-8", "replace") if kind == "S" else values)
    empty = int((texts == "").sum())
    if empty:
        raise DataError(f"{path}: {empty:,} of {len(texts):,} labels are empty; expected one per example.")
    if all(NUMBER.fullmatch(text) for text in texts.tolist()):
        return texts.astype(np.float64).astype(np.int64)  # 3.0, as pandas writes whole numbers with gaps
    return texts
