"""What runs that did not train on an example say of it; the logits pass in blocks, of which one is held."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from kernel_core.class_probabilities import ClassProbabilities, kept_count
from kernel_core.ensembles.predictions import BLOCK_BYTES, RUNS_AT_A_TIME, runs_of, softmax
from kernel_core.progress import Progress, no_progress
from kernel_core.records import Ensemble
from kernel_core.spec import Split
from kernel_core.training_masks import Unseen

NAMED = 2  # classes that are kept however unlikely they are: the predicted one, and the label


def find_unseen(
    ensemble: Ensemble, labels: npt.NDArray[np.int64], progress: Progress = no_progress
) -> Unseen:
    """Return what the runs say of each training example, apart from those that trained on it.

    ensemble: with training masks and train logits. labels: (N,). Raises `DataError` on a NaN or infinite
    logit. `of_label` is left empty.
    """
    assert ensemble.trained_on is not None
    seen = ensemble.trained_on.by_example()
    N, C, M = len(labels), ensemble.class_count, ensemble.run_count
    K = kept_count(C, NAMED)
    classes, mean = np.empty((N, K), np.min_scalar_type(C)), np.empty((N, K), np.float32)
    rest, predicted = np.empty(N, np.float32), np.empty(N, np.int64)
    runs, right, seen_right = (np.zeros(N, np.int32) for _ in range(3))
    for block in _blocks(N, C):
        unseen = ~np.unpackbits(seen[block], axis=1, count=M).view(np.bool_).T  # (M, n)
        logit_sum, sum_of_unseen = np.zeros((2, unseen.shape[1], C))
        for first, logits in runs_of(ensemble, "train", block):  # (m, n, C)
            out = unseen[first : first + len(logits)]
            logit_sum += np.einsum("mnc,mn->nc", logits, out, dtype=np.float64)
            sum_of_unseen += np.einsum("mnc,mn->nc", softmax(logits), out, dtype=np.float64)
            is_right = logits.argmax(-1) == labels[block]
            right[block] += (is_right & out).sum(0, dtype=np.int32)
            seen_right[block] += (is_right & ~out).sum(0, dtype=np.int32)
        runs[block] = unseen.sum(0, dtype=np.int32)
        some = runs[block] > 0
        sum_of_unseen /= np.where(some, runs[block], np.nan)[:, None]
        of_block = ClassProbabilities.of(sum_of_unseen, np.stack([logit_sum.argmax(-1), labels[block]], 1))
        classes[block], mean[block], rest[block] = of_block.classes, of_block.values, of_block.rest
        predicted[block] = np.where(some, logit_sum.argmax(-1), -1)
        progress("reading what runs say of examples they did not train on", block.stop, N)
    return Unseen(M, C, seen, classes, mean, rest, predicted, runs, right, seen_right)


def label_probabilities(
    ensemble: Ensemble, split: Split, labels: npt.NDArray[np.int64], progress: Progress = no_progress
) -> Iterator[npt.NDArray[np.float16]]:
    """Yield each run's probability of the examples' labels, block by block, (n, M).

    labels: (N,), of the split. Raises `DataError` on a NaN or infinite logit.
    """
    N, M = len(labels), ensemble.run_count
    for block in _blocks(N, ensemble.class_count):
        of_label = np.empty((block.stop - block.start, M), np.float16)
        for first, logits in runs_of(ensemble, split, block):  # (m, n, C)
            probabilities = softmax(logits)[:, np.arange(len(of_label)), labels[block]]
            of_label[:, first : first + len(logits)] = probabilities.T
        yield of_label
        progress("keeping each run's probability of the label", block.stop, N)


def _blocks(count: int, class_count: int) -> Iterator[slice]:
    """Yield slices of the examples, of which some runs' logits take `BLOCK_BYTES` in float32."""
    size = max(1, BLOCK_BYTES // (4 * class_count * RUNS_AT_A_TIME))
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
