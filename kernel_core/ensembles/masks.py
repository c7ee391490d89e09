"""The training masks of an ensemble's files: checked, and packed to one bit per run and example."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernel_core.array_files import Array, open_arrays
from kernel_core.errors import DataError, shown
from kernel_core.training_masks import TrainingMasks

BLOCK = 64_000_000  # bytes of masks as stored that are read at a time
EXPECTED = "training masks, one array (runs, training examples) of True and False"
log = logging.getLogger("kernel_core")

OfFile = tuple[str, int, Callable[[], Array] | None]
"""Name of a file, its number of runs, and what reads its masks if it has some."""


def read_masks(
    files: Sequence[OfFile], path: Path | None, example_count: int | None, kept: int
) -> TrainingMasks | None:
    """Return the training masks of the first `kept` runs; None if there are none.

    files: those of the logits, in the order of the runs. path: the file of masks, if it is another.
    example_count: N, the number of training examples, if it is known.
    Raises `DataError` if the masks are of other runs or examples, or hold anything but 0 and 1.
    """
    run_count = sum(count for _, count, _ in files)
    if path is not None:
        packed, N = _packed(str(path), _only_array(path), run_count, example_count, kept)
        return _looked_at(TrainingMasks(packed, N), str(path))
    missing = [name for name, _, read in files if read is None]
    if len(missing) == len(files):
        return None
    if missing:
        raise DataError(
            f"{missing[0]} has no training masks, and {len(files) - len(missing):,} of {len(files):,} files "
            "have some; expected them for every run. Save 'trained_on' in every file, or in none."
        )
    parts: list[npt.NDArray[np.uint8]] = []
    for name, count, read in files:
        assert read is not None
        left = kept - sum(map(len, parts))
        if left > 0:
            packed, example_count = _packed(name, read(), count, example_count, min(left, count))
            parts.append(packed)
    assert example_count is not None
    return _looked_at(TrainingMasks(np.concatenate(parts), example_count), files[0][0])


def _only_array(path: Path) -> Array:
    arrays = open_arrays(path, EXPECTED).arrays
    if len(arrays) != 1:
        raise DataError(
            f"{path} holds the arrays {shown(sorted(arrays))}; expected {EXPECTED}. Save one alone."
        )
    return next(iter(arrays.values()))


def _packed(
    name: str, masks: Array, run_count: int, example_count: int | None, kept: int
) -> tuple[npt.NDArray[np.uint8], int]:
    """Pack the first masks of a file of some runs, block by block; return them and the number of examples."""
    masks = masks[None] if masks.ndim == 1 and run_count == 1 else masks
    wanted = f"({run_count}, {example_count or 'training examples'})"
    if masks.ndim != 2 or masks.shape[0] != run_count or masks.shape[1] != (example_count or masks.shape[1]):
        raise DataError(
            f"{name}: its training masks are {masks.dtype} {masks.shape}; expected {wanted}, one row per run "
            "and one column per training example. Save them again."
        )
    N = masks.shape[1]
    packed = np.empty((kept, -(-N // 8)), np.uint8)
    size = max(1, BLOCK // max(1, N * masks.itemsize))
    for start in range(0, kept, size):
        block = np.asarray(masks[start : min(start + size, kept)])
        if block.dtype.kind not in "biuf" or not ((block == 0) | (block == 1)).all():
            raise DataError(
                f"{name}: its training masks are {block.dtype} and hold other numbers than 0 and 1; expected "
                "True where a run was trained on an example, else False. Save them as bool."
            )
        packed[start : start + size] = np.packbits(block.astype(np.bool_), axis=1)
    return packed, N


def _looked_at(masks: TrainingMasks, name: str) -> TrainingMasks:
    """Warn of masks that say nothing: every example, or none."""
    counts = masks.example_counts
    for count, what in ((masks.example_count, "every training example"), (0, "no training example")):
        runs = int((counts == count).sum())
        if runs:
            log.warning(
                "%s: %d of %d runs were trained on %s, as the training masks say",
                name,
                runs,
                len(counts),
                what,
            )
    return masks
