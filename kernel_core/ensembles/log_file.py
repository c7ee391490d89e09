"""The files of an ensemble, `log.pt` with the logits of many runs: read and written.

A `log.pt` is a dict saved by torch.save with `logits` (runs, test examples, classes) and `logits_train`
(runs, training examples, classes), the layout of the dataset `kjj0/cifar10-multirun-logits`. It is read with
`weights_only=True`, so that no code in it can run, and memory-mapped, so that opening it is quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from kernel_core.ensembles.torch_file import load_torch_file
from kernel_core.errors import DataError
from kernel_core.files import writing


def load_tensors(path: Path) -> Mapping[str, Any]:
    """Load the dict in a torch file, its tensors memory-mapped; only tensors and plain values are unpickled.

    Raises `DataError` if the file is missing, damaged, or holds anything else.
    """
    content = load_torch_file(path, "a log.pt, a dict of tensors", mmap=True)
    if not isinstance(content, Mapping):
        raise DataError(
            f"{path} holds a {type(content).__name__}; expected a dict with 'logits' and 'logits_train'."
        )
    return content


def write_log(
    path: Path,
    *,
    run_numbers: list[int],
    arrays: Mapping[str, npt.NDArray[Any]],
    accuracies: list[float],
    code: str,
) -> None:
    """Write a `log.pt` in the layout of the published ensemble, with the numbers of its runs added.

    arrays: float16 logits (m, N, C), keyed by the values of `LOGIT_KEYS`, and perhaps training masks.
    accuracies: on the test split, one per run.
    code: a description of how the runs were made.
    Raises `OSError` if the disk refuses.
    """
    content = {
        **{name: torch.from_numpy(values) for name, values in arrays.items()},
        "accs": torch.tensor(accuracies, dtype=torch.float32),
        "code": code,
        "runs": run_numbers,
    }
    with writing(path) as file:
        try:
            torch.save(content, file)  # given a path, torch would write its name into the archive
        except RuntimeError as error:  # torch wraps the disk's own error, which is the useful one
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None
