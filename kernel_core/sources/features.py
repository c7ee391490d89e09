"""Features of every example, read from arrays or from a Parquet column of lists, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.array_files import open_arrays
from kernel_core.errors import DataError, shown
from kernel_core.files import regular_file
from kernel_core.printable import NAME, printable
from kernel_core.records import Features
from kernel_core.sources.source import FeatureSet
from kernel_core.spec import SPLITS, Split

NAMES = ("features", "embeddings", "embedding")  # of arrays and columns, alone or with the split
Arrays = Mapping[str, npt.NDArray[Any]]


def load_features(features: FeatureSet, splits: tuple[Split, ...] = SPLITS) -> Features:
    """Return the features of these splits; those in NumPy's or safetensors' form are mapped, not read.

    Raises `DataError` if a file is missing, damaged, or lacks the features of a split.
    """
    values: dict[Split, npt.NDArray[Any]] = {}
    metadata: Mapping[str, str] = {}
    for split in splits:
        path = regular_file(features.files.get(split) or features.files[""])
        alone = split in features.files or splits == ("test",)
        if path.suffix.lower() == ".parquet":
            values[split] = _read_column(path, None if alone else split)
        else:
            file = open_arrays(path, "features (examples, width)")
            values[split] = _as_float(path, _array_of(path, file.arrays, split, alone=alone))
            metadata = file.metadata
    layer, run = (printable(metadata.get(name, "not named"), NAME) for name in ("layer", "run"))
    return Features(values, layer, run)


def _array_of(path: Path, arrays: Arrays, split: Split, *, alone: bool) -> npt.NDArray[Any]:
    """Return the array of a split by its name, or the only one in a file of this split alone."""
    names = [split, *(name.format(split) for of in NAMES for name in (f"{of}_{{}}", f"{{}}_{of}"))]
    if alone:
        names += NAMES
    found = [name for name in names if name in arrays]
    if found:
        return arrays[found[0]]
    if alone and len(arrays) == 1:
        return next(iter(arrays.values()))
    held = "one array without a name" if list(arrays) == [""] else f"the arrays {shown(sorted(arrays))}"
    raise DataError(
        f"{path} holds {held}; expected one called {split}, (examples, width). Name one file per split "
        'instead, as in train = "train.npy" and test = "test.npy", if each has a file of its own.'
    )


def _as_float(path: Path, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if values.dtype.kind not in "fiu":
        raise DataError(f"{path} holds {values.dtype}; expected numbers (examples, width).")
    return values if values.dtype.kind == "f" else values.astype(np.float32)


def _read_column(path: Path, split: Split | None) -> npt.NDArray[Any]:
    """Return the column of lists of a Parquet file. split: the rows where the column `split` says so."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
        lists = [field.name for field in schema if pa.types.is_nested(field.type)]
        column = next((name for name in NAMES if name in lists), lists[0] if len(lists) == 1 else None)
        if column is None or (split and "split" not in schema.names):
            raise DataError(
                f"{path} has the columns {shown(schema.names)}; expected features, a list of numbers per row"
                f"{', and split (train or test)' if split else ''}."
            )
        table = pq.read_table(path, columns=[column, *(["split"] if split else [])])
        if split:
            table = table.filter(pa.compute.equal(table["split"], split))
        chunks = [
            np.stack(chunk.to_numpy(zero_copy_only=False)) for chunk in table[column].chunks if len(chunk)
        ]
        values = np.concatenate(chunks) if chunks else np.empty((0, 1), np.float32)
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read ({str(error)[:200]}); expected a column of lists of one length."
        ) from None
    return _as_float(path, values)
