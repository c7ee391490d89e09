"""Predictions of one run as a table: a column of file names, and one column per class or one of lists.

timm's inference script writes such tables, as Parquet or CSV. Rows are joined to the examples by file name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kernel_core.array_files import Array
from kernel_core.ensembles.join import ExampleNames, order_of
from kernel_core.errors import DataError, shown
from kernel_core.files import regular_file
from kernel_core.looks_like import foreign, looks_like
from kernel_core.sources.logit_form import ID_NAMES, LogitForm
from kernel_core.spec import Split

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = {".csv": ",", ".tsv": "\t"}
LISTS = ("logits", "logit", "probs", "prob", "probabilities", "output", "outputs", "predictions")
OTHERS = re.compile(r"(label|target|split|pred|prediction|class|unnamed: 0)(_name)?", re.IGNORECASE)
INDEX = re.compile(r"index(_\d+)?", re.IGNORECASE)
UNPACKED, RATIO = 256_000_000, 100  # bytes of a table, and how many times its size are too many


def is_table(path: Path) -> bool:
    """Return whether a file is a table, by its first bytes, or by its ending for text."""
    return path.suffix.lower() in SEPARATORS or looks_like(path).form == "parquet"


def read_table(
    path: Path, name: str, splits: Sequence[Split], form: LogitForm, named: ExampleNames
) -> dict[Split, Array]:
    """Return the numbers of one run, split → float32 or float64 (1, N, C), in the order of the examples.

    name: what to call the file. Raises `DataError` if it is no table, or does not fit examples and classes.
    """
    table = _loaded(path, name)
    said = form.keys.get("id")
    column = said if said else next((c for c in ID_NAMES if c in table.columns), None)
    if column is None or column not in table.columns:
        raise DataError(
            f"{name} has the columns {shown(list(table.columns))}; expected one with file names, such as "
            'filename. Name it with keys = {id = "…"} under [ensemble].'
        )
    class_names = named.class_names[:1] if form.kind == "sigmoid" else named.class_names
    values = _values(table.drop(columns=[column]), name, class_names)
    ids = table[column].tolist()
    return {split: values[order_of(ids, split, None, named, name)][None] for split in splits}


def _loaded(path: Path, name: str) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    separator = SEPARATORS.get(regular_file(path).suffix.lower())
    try:
        if separator:
            table = pd.read_csv(path, sep=separator, encoding="utf-8-sig")
            return table.astype(dict.fromkeys(table.select_dtypes("float64"), np.float32))
        file = pq.ParquetFile(path)
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        unpacked = sum(group.total_byte_size for group in groups)
        if unpacked > max(UNPACKED, RATIO * path.stat().st_size):
            raise DataError(f"{name} unpacks to {unpacked:,} bytes; expected logits. Write the file again.")
        return file.read().to_pandas()
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        said = foreign(path, name, "a table of predictions", "parquet", "text")
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(said or f"{name} cannot be read as a table ({reason}). Write it again.") from None


def _values(table: pd.DataFrame, name: str, class_names: Sequence[str]) -> Array:
    """Return the numbers (rows, C), with the classes in order."""
    columns = list(map(str, table.columns))
    lists = [c for c in LISTS if c in columns and table[c].dtype.kind == "O"]
    index = [c for c in columns if INDEX.fullmatch(c)]
    if index:
        raise DataError(
            f"{name} has the column {shown(index[0])}, so its scores are sorted, the largest first; expected "
            "a score for every class in the order of the classes. Write the table without indices."
        )
    if lists:
        return _floating(_of_lists(table[lists[0]].tolist(), name, lists[0]))
    numeric = [c for c in columns if table[c].dtype.kind in "fiu" and not OTHERS.fullmatch(c)]
    order = numeric if len(numeric) == len(class_names) == 1 else _in_class_order(numeric, class_names)
    if not order:
        raise DataError(
            f"{name} has the columns {shown(numeric)} of numbers; expected one per class, named by the "
            f"classes ({', '.join(class_names[:6])}, …) or numbered from 0, as in logit_0. Rename them."
        )
    return _floating(table[order].to_numpy())


def _floating(values: Array) -> Array:
    return values if values.dtype in (np.float16, np.float32, np.float64) else values.astype(np.float32)


def _in_class_order(columns: Sequence[str], class_names: Sequence[str]) -> list[str]:
    """Return the columns in the order of the classes; empty if their names do not say it."""
    beginnings = dict.fromkeys(match[0] for c in columns if (match := re.match(r".*?[_ .:-]", c)))
    for beginning in ("", *beginnings):
        by_name = {c.removeprefix(beginning): c for c in columns if c.startswith(beginning)}
        if set(by_name) == set(class_names) and len(columns) == len(class_names):
            return [by_name[name] for name in class_names]
    found = [re.fullmatch(r"(.*?)(\d+)", c) for c in columns]
    numbers = {int(m[2]): c for m, c in zip(found, columns, strict=True) if m}
    if columns and len({m[1] for m in found if m}) == 1 and sorted(numbers) == list(range(len(columns))):
        return [numbers[i] for i in range(len(columns))]
    return []


def _of_lists(cells: Sequence[object], name: str, column: str) -> Array:
    try:
        rows = [json.loads(cell) if isinstance(cell, str) else cell for cell in cells]
        values = np.array(rows, np.float32 if isinstance(cells[0], str) else None)
    except (ValueError, TypeError, RecursionError, IndexError):
        values = np.empty(0)
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise DataError(
            f"{name}: the column {shown(column)} holds {shown(cells[0] if cells else None)}; expected a list "
            "of as many numbers in every row, as in [0.1, -2.5]. Write the table again."
        )
    return values
