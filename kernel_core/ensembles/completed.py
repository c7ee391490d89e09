"""Which runs of a store of MadryLab's `datamodels` are completed: its file `_completed.npy` says so."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from kernel_core.array_files import open_arrays
from kernel_core.errors import DataError

COMPLETED = "_completed.npy"


def refuse_incomplete(files: Iterable[tuple[Path, int]]) -> None:
    """Raise `DataError` if runs that are used were never completed: a store has zeros in their place.

    files: files of logits, and how many of the first runs of each are used.
    """
    for path, used in files:
        said = path.parent / COMPLETED
        if not said.is_file():
            continue
        done = np.asarray(open_arrays(said, "True for each run that is completed").arrays[""][:used])
        if done.all():
            continue
        first, missing = int(np.argmin(done)), int((~done.astype(np.bool_)).sum())
        raise DataError(
            f"{said} says that {missing:,} of {used:,} runs are not completed, run {first:,} first; "
            f"{path.name} has zeros there. Wait for them, use --runs {first} if that is enough, or save the "
            f"completed ones alone, as in numpy.save(…, logits[done])."
        )
