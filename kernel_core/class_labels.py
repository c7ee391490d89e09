"""Labels as numbers of classes: from 0, none beyond the names."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernel_core.errors import DataError
from kernel_core.spec import Split

CLASS_LIMIT = 100_000  # more classes than any image data set has; ImageNet-21k has 21,841


def refuse_wrong_labels(labels: npt.NDArray[np.int64], class_count: int, split: Split) -> None:
    """Raise `DataError` unless the labels, int64 (N,), are in 0 … class_count - 1."""
    wrong = np.flatnonzero((labels < 0) | (labels >= class_count))
    if wrong.size:
        i = int(wrong[0])
        none = " Where -1 means that there is no label, leave these examples out." if labels[i] == -1 else ""
        raise DataError(
            f"{split} example {i} has label {labels[i]}, and {wrong.size:,} example(s) in all are out of "
            f"range; expected 0 … {class_count - 1} for the {class_count} class names.{none}"
        )


def numbered_classes(labels: npt.NDArray[np.int64], split: Split) -> tuple[str, ...]:
    """Return names for classes that have none: the numbers from 0 to the largest label.

    labels: (N,). Raises `DataError` if a label is not below `CLASS_LIMIT`.
    """
    largest = int(labels.max(initial=0))
    if largest >= CLASS_LIMIT:
        raise DataError(
            f"{split} example {int(labels.argmax())} has label {largest}; expected 0 … {CLASS_LIMIT - 1:,} "
            "where the classes have no names. Number the classes from 0."
        )
    return tuple(str(c) for c in range(largest + 1))
