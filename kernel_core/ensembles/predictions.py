"""The predictions of every run and of the whole ensemble, in one pass over the logits."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from kernel_core.checks import refuse_non_finite
from kernel_core.progress import Progress, no_progress
from kernel_core.records import Ensemble, Floor, Predictions
from kernel_core.spec import Split

RUNS_AT_A_TIME = 16
RUN_VOTES = 500  # number of runs whose votes are kept individually: 30 MB for 60,000 examples
BLOCK_BYTES = 8_000_000  # size of a block of logits in float32
log = logging.getLogger("kernel_core")


def predict(
    ensemble: Ensemble, split: Split, labels: npt.NDArray[np.int64], progress: Progress = no_progress
) -> Predictions:
    """Compute what each run and the ensemble predict for a split, reading the logits once, block by block.

    labels: (N,), for the accuracies. Raises `DataError` on a NaN or infinite logit.
    """
    N, C, M = ensemble.example_count(split), ensemble.class_count, ensemble.run_count
    size = max(1, BLOCK_BYTES // (4 * C * RUNS_AT_A_TIME))
    right, lost = np.zeros(M), np.zeros(2, np.int64)
    predicted, confidence = np.empty(N, np.int64), np.empty(N, np.float32)
    mean, spread = np.empty((N, C), np.float32), np.empty((N, C), np.float32)
    votes = np.empty((N, C), np.min_scalar_type(M))
    run_votes = np.empty((N, min(M, RUN_VOTES)), np.min_scalar_type(C))
    for start in range(0, N, size):
        block = slice(start, min(start + size, N))
        sums = _Sums(block.stop - start, C)
        for first_run, logits in runs_of(ensemble, split, block):
            classes = sums.add(logits)  # (m, n)
            lost += _rounded(logits, ensemble.floor)
            right[first_run : first_run + len(classes)] += (classes == labels[block]).sum(1)
            kept = classes[: max(0, RUN_VOTES - first_run)]
            run_votes[block, first_run : first_run + len(kept)] = kept.T
        predicted[block] = sums.logits.argmax(-1)
        mean[block], spread[block] = sums.mean_and_spread(M)
        confidence[block] = mean[np.arange(start, block.stop), predicted[block]]
        votes[block] = sums.votes
        progress(f"reading each run's predictions, {split}", block.stop, N)
    _warn_of_rounding(ensemble, split, lost, M * N * C)
    return Predictions(right / N, predicted, confidence, mean, spread, votes, run_votes)


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

    def mean_and_spread(self, M: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the mean and the unbiased standard deviation of the probabilities over the M runs."""
        mean = self.probabilities / M
        # Probabilities are float32, summed in float64: the difference is off by 1e-16, its root by 1e-8.
        variance = np.maximum(self.squares / M - mean**2, 0) * (M / max(M - 1, 1))
        return mean, np.sqrt(variance)
