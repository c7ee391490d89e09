"""Predictions from probabilities that a test makes up, and what they keep of them the slow way."""

import numpy as np

from kernel_core.class_probabilities import ClassProbabilities
from kernel_core.predicted import Predictions


def predictions_of(mean, labels, runs=1):
    """Predictions with these probabilities (N, C), which keep those of the labels (N,); nobody votes."""
    mean = np.asarray(mean, np.float32)
    kept = ClassProbabilities.of(mean, np.stack([mean.argmax(1), labels], 1))
    none, predicted = np.zeros(kept.classes.shape, np.uint8), mean.argmax(1)
    return Predictions(
        mean.shape[1], np.full(runs, 0.5), predicted, mean.max(1),
        kept.classes, kept.values, 0 * kept.values, none, kept.rest, predicted[:, None],
    )  # fmt: skip


def likeliest_by_hand(values, count):
    """The classes of the largest values of one row, ties by class."""
    return sorted(range(len(values)), key=lambda c: (-values[c], c))[:count]
