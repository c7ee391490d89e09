"""Labels of one split as a table or as lines of text have them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kernel_core.errors import DataError, shown
from kernel_core.files import read_text
from kernel_core.spec import Split

if TYPE_CHECKING:
    import pandas as pd

ROWS = 50_000_000  # examples; a table of a few bytes can claim any number of equal rows
LINE = 10_000  # characters of a table's first line
SEPARATORS = ",;\t"
TABLES = (".csv", ".tsv")

Column = npt.NDArray[Any]


def is_table(path: Path) -> bool:
    """Return whether a file is Parquet by its first bytes, or CSV by its ending."""
    return _is_parquet(path) or path.suffix.lower() in TABLES


def _is_parquet(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"PAR1"


def read_lines(path: Path) -> Column:
    """Return the lines of a text file, one label each. Raises `DataError` if it is no text."""
    try:
        return np.array(read_text(path).rstrip("\n").split("\n"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as text ({error}); expected one label per line.") from None


def read_columns(path: Path, split: Split, *, alone: bool) -> tuple[Column, Column | None]:
    """Return the columns label and name of a split's rows; None for a name that the table lacks.

    alone: whether a table without a column split holds this split alone. Raises `DataError` if a column is
    missing, or has gaps or other values than numbers and texts.
    """
    table = _table(path)
    if "label" not in table or not ("split" in table or alone):
        raise DataError(
            f"{path} has the columns {shown(list(table))}; expected label{'' if alone else ' and split'}, "
            "and perhaps name."
        )
    if "split" in table:
        splits = table["split"].astype(str).str.strip().str.lower()
        table = table[splits == split]
        if not len(table):
            raise DataError(
                f"{path}: the column split has {shown(sorted(set(splits)))}; expected {split!r} for some "
                "rows. Correct it."
            )
    names = table["name"].astype(str).to_numpy() if "name" in table else None
    return _labels(path, table["label"]), names


def _labels(path: Path, column: pd.Series[Any]) -> Column:
    missing = int(column.isna().sum())
    if missing:
        raise DataError(
            f"{path}: {missing:,} of {len(column):,} labels are missing; expected one per example."
        )
    values: Column = column.to_numpy()
    if values.dtype.kind != "O":
        return values
    types = {type(value) for value in values}
    if types == {bytes}:
        return np.array([value.decode("utf-8", "replace") for value in values])
    if types - {str, bool, int, Decimal}:
        names = " and ".join(sorted(found.__name__ for found in types))
        raise DataError(f"{path}: the column label holds {names}; expected whole numbers or texts.")
    return np.array(values.tolist(), dtype=str)


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
        with open(path, encoding="utf-8-sig", errors="replace") as text:
            header = text.readline(LINE)
        if len(header) == LINE:  # pandas takes minutes for a million columns
            raise ValueError(f"its first line has more than {LINE:,} characters; expected names of columns")
        separator = max(SEPARATORS, key=header.count)
        # As texts: pandas would read the class "NA" as a missing label.
        table = pd.read_csv(path, sep=separator, dtype=str, na_filter=False, encoding="utf-8-sig")
        return table.rename(columns=str.strip)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} cannot be read as a table ({reason}). Write it again.") from None
