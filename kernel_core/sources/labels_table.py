"""The section [labels] of a `source.toml`: the labels of a source that has no images, read and written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kernel_core.errors import SourceError
from kernel_core.sources.images_table import ImagesTable, read_classes
from kernel_core.sources.source import ImagesFrom
from kernel_core.sources.toml_file import Table
from kernel_core.spec import SPLITS, Split

KEYS = {"file", "train", "test", "classes"}


def read_labels(table: Table, splits: tuple[Split, ...] = SPLITS) -> ImagesFrom:
    """Return the labels that the section describes, as images that nobody has.

    Raises `SourceError` if it describes none.
    """
    table.refuse_unknown(KEYS)
    by_split = any(split in table for split in SPLITS)
    if by_split == ("file" in table):
        found = "both a file and files by split" if by_split else "no labels"
        raise SourceError(
            f"{table.path}: [labels] names {found}; expected file, or {' and '.join(splits)}, as in "
            'file = "labels.npz".'
        )
    keys = splits if by_split else ("file",)
    paths = {str(key): table.file(key) for key in keys}
    return ImagesFrom("labels", paths, splits=splits, classes=read_classes(table))


def labels_table(file: str, class_names: Sequence[str]) -> ImagesTable:
    """Return the section [labels] for a file of numbers beside the `source.toml`."""
    return {"file": file, "classes": list(class_names)}


def label_files(source: ImagesFrom) -> dict[str, list[Path]]:
    """Return the files of labels, by the splits that are read from each and its ending, which both count."""
    if "file" in source.paths:
        path = source.paths["file"]
        return {f"{' and '.join(source.splits)}{path.suffix}": [path]}
    return {f"{split}{source.paths[split].suffix}": [source.paths[split]] for split in source.splits}
