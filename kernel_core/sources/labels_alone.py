"""Labels without images: from arrays (.npy, .npz, .safetensors) or tables (.csv, .parquet)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kernel_core.array_files import form_of, open_arrays
from kernel_core.errors import DataError, shown
from kernel_core.printable import NAME, printable
from kernel_core.progress import Progress
from kernel_core.records import ExampleSet, no_images, numbered_classes
from kernel_core.sources.class_order import Labels as Numbers
from kernel_core.sources.class_order import number_texts
from kernel_core.sources.labels_table import label_files
from kernel_core.sources.source import ImagesFrom, existing
from kernel_core.spec import Split

if TYPE_CHECKING:
    import pandas as pd

WORDS = "labels, whole numbers or texts (N,)"
ROWS = 50_000_000  # examples; a table of a few bytes can claim any number of equal rows
TABLES = {".csv": ",", ".tsv": "\t"}  # ending → what separates the columns

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
    form = form_of(path)
    if not form and (_is_parquet(path) or path.suffix.lower() in TABLES):
        return _from_table(path, split, alone=split in source.paths or source.splits == (split,))
    arrays = open_arrays(path, WORDS).arrays
    alone = split in source.paths or source.splits == (split,)
    name = next(iter(arrays)) if alone and len(arrays) == 1 else split
    if name not in arrays:
        found = f"holds {shown(sorted(arrays))}" if "" not in arrays else "holds one array without a name"
        raise DataError(
            f"{path} {found}; expected the labels of {' and '.join(source.splits)} under these names. Save "
            "it as .npz or .safetensors with them, or name a file per split."
        )
    return _Labels(path, _plain(path, arrays[name]))


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
    if kind == "S":
        return np.char.decode(values, "utf-8", "replace")
    return np.asarray(values) if kind == "U" else values.astype(np.int64)


def _is_parquet(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"PAR1"


def _from_table(path: Path, split: Split, *, alone: bool) -> _Labels:
    """Return the rows of a split. alone: whether a table without a column split holds this split alone."""
    table = _table(path)
    if "label" not in table or not ("split" in table or alone):
        raise DataError(
            f"{path} has the columns {shown(list(table))}; expected label{'' if alone else ' and split'}, "
            "and perhaps name."
        )
    if "split" in table:
        found = sorted(set(table["split"].astype(str)))
        table = table[table["split"].astype(str) == split]
        if not len(table):
            raise DataError(
                f"{path}: the column split has {shown(found)}; expected {split!r} for some rows. Correct it."
            )
    column = table["label"]
    if column.isna().any():
        raise DataError(f"{path}: {int(column.isna().sum()):,} rows have no label; expected one in each row.")
    values = column.to_numpy()
    values = _plain(path, values.astype(str) if values.dtype.kind == "O" else values)
    if "name" not in table:
        return _Labels(path, values)
    named = table.assign(label=values.astype(str)).drop_duplicates(["label", "name"])
    names = [printable(name, NAME) for name in named["name"].astype(str)]
    return _Labels(path, values, tuple(zip(named["label"].tolist(), names, strict=True)))


def _table(path: Path) -> pd.DataFrame:
    """Return the columns split, label and name of a table, those that it has."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if _is_parquet(path):
            file = pq.ParquetFile(path)
            if file.metadata.num_rows > ROWS:
                raise ValueError(f"it has {file.metadata.num_rows:,} rows; expected {ROWS:,} at most")
            wanted = [name for name in file.schema_arrow.names if name in ("split", "label", "name")]
            if "label" not in wanted:
                return pd.DataFrame(columns=file.schema_arrow.names)
            return file.read(wanted).to_pandas()
        separator = TABLES[path.suffix.lower()]
        # As texts: pandas would read the class "NA" as a missing label.
        return pd.read_csv(path, sep=separator, dtype=str, na_filter=False, encoding="utf-8-sig")
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} cannot be read as a table ({reason}). Write it again.") from None
