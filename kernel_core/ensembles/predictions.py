"""The predictions of every run and of the whole ensemble, in one pass over the logits."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.checks import refuse_non_finite
from kernel_core.class_probabilities import kept_count, likeliest_classes, likeliest_count, sum_of_rest
from kernel_core.predicted import Predictions
from kernel_core.progress import Progress, no_progress
from kernel_core.records import Ensemble, Floor
from kernel_core.spec import Split
from kernel_core.tensor_layout import Form

RUNS_AT_A_TIME = 16
RUN_VOTES = 500  # number of runs whose votes are kept individually: 30 MB for 60,000 examples
VOTED = 5  # classes with most votes that are kept: as many as the page of an example shows
NAMED = VOTED + 2  # classes that are kept however unlikely they are: these, the predicted one, the label
BLOCK_BYTES = 8_000_000  # size of a block of logits in float32
Write = Callable[[str, int, npt.NDArray[Any]], None]
log = logging.getLogger("kernel_core")


def forms(example_count: int, class_count: int, run_count: int) -> dict[str, Form]:
    """Return shape and type of each array of `Predictions`, by name."""
    N, C, M = example_count, class_count, run_count
    K = kept_count(C, NAMED)
    return {
        "single": Form.of((M,), np.float64),
        "predicted": Form.of((N,), np.int64),
        "confidence": Form.of((N,), np.float32),
        "classes": Form.of((N, K), np.min_scalar_type(C)),
        "mean": Form.of((N, K), np.float32),
        "spread": Form.of((N, K), np.float32),
        "votes": Form.of((N, K), np.min_scalar_type(M)),
        "rest": Form.of((N,), np.float32),
        "run_votes": Form.of((N, min(M, RUN_VOTES)), np.min_scalar_type(C)),
    }


@dataclass(frozen=True, eq=False)
class PredictedRange:
    """What the runs and the ensemble predict for a range of examples.

    arrays: those of `Predictions` but `single`, of these examples, by name. right: int64 (M,), how many of
    them each run is right on. lost: int64 (2,), how many probabilities were rounded to 0, and how many others
    kept only some of their digits.
    """

    arrays: Mapping[str, npt.NDArray[Any]]
    right: npt.NDArray[np.int64]
    lost: npt.NDArray[np.int64]


def predict_range(
    ensemble: Ensemble, split: Split, labels: npt.NDArray[np.int64], examples: slice
) -> PredictedRange:
    """Return what each run and the ensemble predict for a range of examples, reading their logits once.

    labels: (N,), of the whole split. Raises `DataError` on a NaN or infinite logit.
    """
    n, C, M = examples.stop - examples.start, ensemble.class_count, ensemble.run_count
    types = forms(n, C, M)
    sums, lost, right = _Sums(n, C), np.zeros(2, np.int64), np.zeros(M, np.int64)
    run_votes = np.empty(types["run_votes"].shape, types["run_votes"].dtype)
    for first_run, logits in runs_of(ensemble, split, examples):
        classes = sums.add(logits)  # (m, n)
        lost += _rounded(logits, ensemble.floor)
        right[first_run : first_run + len(classes)] += (classes == labels[examples]).sum(1)
        kept = classes[: max(0, RUN_VOTES - first_run)]
        run_votes[:, first_run : first_run + len(kept)] = kept.T
    arrays = sums.of_kept(M, labels[examples])
    arrays = {name: of.astype(types[name].dtype, copy=False) for name, of in arrays.items()}
    return PredictedRange({**arrays, "run_votes": run_votes}, right, lost)


def predicted_ranges(ensemble: Ensemble, split: Split) -> list[slice]:
    """Return the ranges of examples that are predicted at a time."""
    N = ensemble.example_count(split)
    size = max(1, BLOCK_BYTES // (4 * ensemble.class_count * RUNS_AT_A_TIME))
    return [slice(start, min(start + size, N)) for start in range(0, N, size)]


def write_predictions(
    ensemble: Ensemble,
    split: Split,
    labels: npt.NDArray[np.int64],
    write: Write,
    progress: Progress = no_progress,
    elsewhere: Iterable[tuple[slice, PredictedRange]] | None = None,
) -> npt.NDArray[np.float64]:
    """Write what `predict` returns range by range as it is computed; return the accuracy of each run.

    write: takes an array's name, the index of the first row, and rows of it. elsewhere: the results of all
    `predicted_ranges`, in any order, if they are not to be computed here.
    """
    N, C, M = ensemble.example_count(split), ensemble.class_count, ensemble.run_count
    right, lost, done = np.zeros(M, np.int64), np.zeros(2, np.int64), 0
    ranges = predicted_ranges(ensemble, split)
    here = ((examples, predict_range(ensemble, split, labels, examples)) for examples in ranges)
    for examples, found in here if elsewhere is None else elsewhere:
        right += found.right
        lost += found.lost
        for name, rows in found.arrays.items():
            write(name, examples.start, rows)
        done += examples.stop - examples.start
        progress(f"reading each run's predictions, {split}", done, N)
    _warn_of_rounding(ensemble, split, lost, M * N * C)
    write("single", 0, right / N)
    return right / N


def predict(
    ensemble: Ensemble, split: Split, labels: npt.NDArray[np.int64], progress: Progress = no_progress
) -> Predictions:
    """Compute what each run and the ensemble predict for a split, reading the logits once, block by block.

    labels: (N,), for the accuracies. Raises `DataError` on a NaN or infinite logit.
    """
    N, C, M = ensemble.example_count(split), ensemble.class_count, ensemble.run_count
    arrays = {name: np.empty(form.shape, form.dtype) for name, form in forms(N, C, M).items()}

    def keep(name: str, start: int, rows: npt.NDArray[Any]) -> None:
        arrays[name][start : start + len(rows)] = rows

    write_predictions(ensemble, split, labels, keep, progress)
    return Predictions(C, **arrays)


def runs_of(ensemble: Ensemble, split: Split, block: slice) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Yield the logits (m, n, C) of a block of examples, a few runs at a time, with the first run's index."""
    first_run = 0
    for file, part in enumerate(ensemble.parts):
        for start in range(0, len(part[split]), RUNS_AT_A_TIME):
            logits = np.asarray(part[split][start : start + RUNS_AT_A_TIME, block], dtype=np.float32)
            refuse_non_finite(logits, ensemble, file, split, first_run=start, first_example=block.start)
            yield first_run + start, logits
        first_run += len(part[split])


def softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the probabilities of logits (…, C)."""
    probabilities: npt.NDArray[np.float32] = np.exp(logits - logits.max(-1, keepdims=True))
    probabilities /= probabilities.sum(-1, keepdims=True)
    return probabilities


def _rounded(logits: npt.NDArray[np.float32], floor: Floor | None) -> npt.NDArray[np.int64]:
    """Return how many probabilities were rounded to 0, and how many others kept only some of their digits."""
    if floor is None:
        return np.zeros(2, np.int64)
    zero = np.float32(floor.zero)
    return np.array([(logits == zero).sum(), ((logits > zero) & (logits < floor.precise)).sum()])


def _warn_of_rounding(ensemble: Ensemble, split: Split, lost: npt.NDArray[np.int64], total: int) -> None:
    zeros, coarse = (int(count) for count in lost)
    if ensemble.floor is None or not zeros + coarse:
        return
    log.warning(
        "%s: %s of %s %s probabilities are 0 and count as %.1e (a logit of %.1f); %s others are so small "
        "that they kept only some of their digits. Save logits, or probabilities in float32, to have all",
        ensemble.name_of(0),
        f"{zeros:,}",
        f"{total:,}",
        split,
        math.exp(max(ensemble.floor.zero, -700)),
        ensemble.floor.zero,
        f"{coarse:,}",
    )


class _Sums:
    """Sums over the runs, for n examples: logits, probabilities, their squares, and votes, each (n, C)."""

    def __init__(self, n: int, C: int) -> None:
        self.logits, self.probabilities, self.squares = (np.zeros((n, C)) for _ in range(3))
        self.votes = np.zeros((n, C), np.int64)

    def add(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """Add runs, logits (m, n, C), to the sums; return the class that each of them predicts (m, n)."""
        _m, n, C = logits.shape
        self.logits += logits.sum(0, dtype=np.float64)
        probabilities = softmax(logits)
        self.probabilities += probabilities.sum(0, dtype=np.float64)
        self.squares += np.einsum("mnc,mnc->nc", probabilities, probabilities, dtype=np.float64)
        classes: npt.NDArray[np.int64] = logits.argmax(-1)
        cells = (np.arange(n) * C + classes).ravel()
        self.votes += np.bincount(cells, minlength=n * C).reshape(n, C)
        return classes

    def of_kept(self, M: int, labels: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of `Predictions` that are taken from the sums over all M runs, by name.

        labels: (n,), which are kept like the predicted classes.
        """
        predicted, mean = self.logits.argmax(-1), self.probabilities / M
        shown = mean.astype(np.float32)
        kept = likeliest_classes(shown, likeliest_count(shown.shape[1], NAMED))
        if kept.shape[1] < shown.shape[1]:
            kept = np.column_stack([kept, self._most_votes(M, shown, kept), predicted, labels])
        # Probabilities are float32, summed in float64: the difference is off by 1e-16, its root by 1e-8.
        squares, of_mean = np.take_along_axis(self.squares, kept, 1), np.take_along_axis(mean, kept, 1)
        variance = np.maximum(squares / M - of_mean**2, 0) * (M / max(M - 1, 1))
        return {
            "predicted": predicted,
            "confidence": shown[np.arange(len(labels)), predicted],
            "classes": kept,
            "mean": np.take_along_axis(shown, kept, 1),
            "spread": np.sqrt(variance),
            "votes": np.take_along_axis(self.votes, kept, 1),
            "rest": sum_of_rest(mean, kept),
        }

    def _most_votes(
        self, M: int, mean: npt.NDArray[np.float32], likeliest: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Return the `VOTED` classes with most votes, (n, VOTED); of equal ones the likelier, then the first.

        Where all votes are for the likeliest, some of these: they are kept anyway.
        """
        most = likeliest[:, :VOTED].copy()
        rows = np.flatnonzero(np.take_along_axis(self.votes, likeliest, 1).sum(1) < M)
        row, c = np.nonzero(self.votes[rows])
        order = np.lexsort((c, -mean[rows[row], c], -self.votes[rows[row], c], row))
        row, c = row[order], c[order]
        place = np.arange(len(row)) - np.searchsorted(row, row)  # of each in its row
        first = place < VOTED
        most[rows[row[first]], place[first]] = c[first]
        return most
