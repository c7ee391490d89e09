"""`metadata.csv` beside images that lie flat: which files there are, and their labels."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from kernel_core.errors import DataError, shown
from kernel_core.files import regular_file

FILE_NAMES = ("file_name", "filename", "image", "file", "path")
LABELS = ("label", "labels", "fine_label", "class", "class_name", "category", "target")


def read_metadata_table(path: Path, columns: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the file names and the labels, row by row, as texts.

    columns: as in `ImagesFrom`. Raises `DataError` if the file is no CSV, or lacks one of the two.
    """
    try:
        with open(regular_file(path), newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            names = _column(path, header, columns.get("image"), FILE_NAMES, "image")
            labels = _column(path, header, columns.get("label"), LABELS, "label")
            pairs = list(_cells(path, rows, names, labels))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV ({error}). Save it as UTF-8 text.") from None
    return [name for name, _ in pairs], [label for _, label in pairs]


def _cells(path: Path, rows: Iterator[list[str]], names: int, labels: int) -> Iterator[tuple[str, str]]:
    for number, row in enumerate(rows, 2):
        if not row:
            continue
        if max(names, labels) >= len(row) or not row[names] or not row[labels]:
            raise DataError(f"{path}, row {number}, lacks the file name or the label; expected both.")
        yield row[names], row[labels]


def _column(path: Path, header: list[str], said: str | None, usual: Collection[str], key: str) -> int:
    """Return the place of a column: the one that was said, or the only one of a usual name."""
    if said is not None:
        found = [said] if said in header else []
    elif usual == FILE_NAMES or "label" in header:
        found = [name for name in usual if name in header][:1]
    else:
        found = [name for name in usual if name in header]
    if len(found) != 1:
        raise DataError(
            f"{path} has the columns {shown(header)}; expected file_name and label. Name them under "
            f'[images], as in {key} = "{header[-1] if header else usual}".'
        )
    return header.index(found[0])
