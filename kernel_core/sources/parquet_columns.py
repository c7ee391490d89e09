"""Which columns of a Parquet file hold the images and the labels, in what form, and the names of classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.class_labels import CLASS_LIMIT
from kernel_core.errors import DataError, shown
from kernel_core.printable import NAME, printable

IMAGES = ("img", "image")
LABELS = (
    "labels", "fine_label", "coarse_label", "class", "class_id", "class_name", "cls", "target", "category",
    "category_id",
)  # fmt: skip
METADATA = "huggingface"  # the key of the schema's metadata under which the `datasets` library keeps names
ROW_LIMIT = 50_000_000  # more examples than fit anywhere here; billions of equal rows take a few bytes


@dataclass(frozen=True)
class Columns:
    """Where in a Parquet file the images and the labels are.

    image, label: names of the columns. data, path: names of the parts of `image` that hold the encoded images
    and the paths of their files, as `read` takes them; empty if there is none.
    class_names: those that the schema's metadata give the label's numbers; often none.
    """

    image: str
    label: str
    data: str
    path: str
    class_names: tuple[str, ...]

    def part(self, batch: Any, name: str) -> Any:
        """Return one part of the images, `data` or `path`, of a batch of rows."""
        column = batch.column(self.image)
        return column.field(name.rpartition(".")[2]) if name != self.image else column


def find_columns(path: Path, schema: Any, said: Mapping[str, str]) -> Columns:
    """Return where images and labels are in a file with this Arrow schema.

    said: as `columns` in `ImagesFrom`. Raises `DataError` if it is not clear, or in a form that cannot be
    read.
    """
    features = _features(schema.metadata or {})
    names = schema.names
    kinds = {name: features.get(name, {}) for name in names}
    images = [name for name in names if _type(kinds[name]) == "Image"]
    images = images or [name for name in names if _parts(name, schema.field(name).type)[0]]
    image = _chosen(path, names, said.get("image"), IMAGES, images, "image")
    labels = [name for name in names if _type(kinds[name]) == "ClassLabel"]
    labels = labels or [name for name in LABELS if name in names and name != image]
    label = _chosen(path, names, said.get("label"), ("label",), labels, "label")
    data, file = _parts(image, schema.field(image).type, paths=True)
    if not data and not file:
        raise DataError(
            f"{path}: the column {shown(image)} is {shown(str(schema.field(image).type))}; expected a struct "
            "of bytes and path, encoded images as bytes, or paths of image files."
        )
    return Columns(image, label, data, file, _class_names(path, kinds[label]))


def _chosen(
    path: Path, names: list[str], said: str | None, usual: tuple[str, ...], candidates: list[str], key: str
) -> str:
    """Return the column that was said, else one of a usual name, else the only candidate."""
    found = [said] if said is not None else [name for name in usual if name in names][:1] or candidates
    if len(found) == 1 and found[0] in names:
        return found[0]
    which = "no column of this name" if said is not None else "no column for it"
    which = f"{len(found)} that may be it ({', '.join(map(shown, found))})" if len(found) > 1 else which
    example = next((name for name in found if name in names), names[-1] if names else "…")
    raise DataError(
        f"{path} has the columns {shown(names)}: {which}; expected img or image, and label. Name the {key} "
        f"under [images] of a source.toml, as in {key} = {json.dumps(printable(example, NAME))}."
    )


def _parts(name: str, kind: Any, *, paths: bool = False) -> tuple[str, str]:
    """Return what to read of a column for encoded images, and for paths; each may be empty.

    paths: whether a column of texts is one of paths.
    """
    from pyarrow import types

    if types.is_struct(kind):
        fields = {field.name: field.type for field in kind}
        data = f"{name}.bytes" if "bytes" in fields and _is_binary(fields["bytes"]) else ""
        return data, f"{name}.path" if "path" in fields and _is_text(fields["path"]) else ""
    return (name if _is_binary(kind) else ""), (name if paths and _is_text(kind) else "")


def _is_binary(kind: Any) -> bool:
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    forms = (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)
    return any(is_of(kind) for is_of in forms)


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    return any(is_of(kind) for is_of in (types.is_string, types.is_large_string, types.is_string_view))


def _features(metadata: Mapping[bytes, bytes]) -> Mapping[str, Any]:
    """Return what the `datasets` library wrote of each column; empty without."""
    try:
        features = json.loads(metadata[METADATA.encode()])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _type(feature: Any) -> Any:
    return feature.get("_type") if isinstance(feature, dict) else None


def _class_names(path: Path, feature: Any) -> tuple[str, ...]:
    names = feature.get("names", []) if isinstance(feature, dict) else []
    if not isinstance(names, list) or not all(isinstance(name, str | int) for name in names):
        raise DataError(
            f"{path} has the class names {shown(names)}; expected a list of texts. Correct its metadata."
        )
    if len(names) > CLASS_LIMIT:
        raise DataError(
            f"{path} names {len(names):,} classes; expected at most {CLASS_LIMIT:,}. Correct its metadata."
        )
    return tuple(printable(str(name), NAME) for name in names)


def read_labels(path: Path, file: Any, column: str) -> npt.NDArray[np.int64] | list[str]:
    """Return the labels of a file: int64 (N,), or texts.

    file: a `pyarrow.parquet.ParquetFile`. Raises `DataError` if a row has none, or they are of another kind.
    """
    import pyarrow as pa
    from pyarrow import types

    if file.metadata.num_rows > ROW_LIMIT:
        raise DataError(f"{path} has {file.metadata.num_rows:,} rows; expected at most {ROW_LIMIT:,}.")
    kind = file.schema_arrow.field(column).type
    kind = kind.value_type if types.is_dictionary(kind) else kind
    is_text = _is_text(kind)
    if not is_text and not any(f(kind) for f in (types.is_integer, types.is_floating, types.is_boolean)):
        raise DataError(
            f"{path}: the labels in {shown(column)} are {shown(str(kind))}; expected whole numbers or texts."
        )
    numbers, texts, row = [np.empty(0, np.int64)], list[str](), 0
    try:
        for batch in file.iter_batches(columns=[column]):
            values = batch.column(0)
            if values.null_count:
                row += next(i for i, value in enumerate(values) if not value.is_valid)
                raise DataError(f"{path}, row {row}, has no label in {shown(column)}; expected one in each.")
            if is_text:
                texts += map(str, values.to_pylist())
            else:
                numbers.append(_whole(path, values.cast(kind).to_numpy(zero_copy_only=False), row))
            row += len(values)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: {error}; expected whole-number labels. Write the file again.") from None
    return texts if is_text else np.concatenate(numbers)


def _whole(path: Path, values: npt.NDArray[Any], first: int) -> npt.NDArray[np.int64]:
    """Return numbers as int64. first: the row of the first. Raises `DataError` if one is no whole number."""
    limit = 2**53 if values.dtype.kind == "f" else np.iinfo(np.int64).max
    with np.errstate(invalid="ignore"):
        wrong = (
            ~((values == np.trunc(values)) & (np.abs(values) < limit))
            if values.dtype.kind == "f"
            else (values > np.uint64(limit) if values.dtype == np.uint64 else np.zeros(len(values), bool))
        )
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{path}, row {first + row}, has the label {values[row]}; expected whole-number labels or texts."
        )
    return values.astype(np.int64)
