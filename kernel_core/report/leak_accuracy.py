"""Accuracy on all, clean and leaked examples, and how far clean ones differ, by every way of predicting."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.findings.twins import allows_twin_score
from kernel_core.findings.votes import neighbor_weights, weighted_vote
from kernel_core.report.gap_bootstrap import gaps
from kernel_core.report.leak_pairs import Leaked
from kernel_core.report.shares import share
from kernel_core.results.results import Results

NEAREST, WEIGHTED = 3, 20
Predicted = dict[str, tuple[str, npt.NDArray[np.int64]]]
Right = dict[str, tuple[str, npt.NDArray[np.float64]]]


def predicted_classes(results: Results) -> Predicted:
    """Return, by key, the title and the predictions, int64 (N,), of the ensemble and of each k-NN vote."""
    found: Predicted = {"ensemble": ("Ensemble", results.predictions.predicted)}
    for name, neighbors in results.neighbors.items():
        title = results.title_of(name)
        votes = [(NEAREST, False), (WEIGHTED, True)][: 1 + allows_twin_score(results.similarity(name))]
        for k, weighted in votes:
            weights = neighbor_weights(neighbors, k, weighted=weighted)
            nearest = results.labels[1][neighbors.indices[:, : weights.shape[1]]]
            key = f"{name}_{'weighted' if weighted else 'knn'}{k}"
            words = f"{title}, {k} nearest{', weighted' if weighted else ''}"
            found[key] = words, weighted_vote(nearest, weights, len(results.class_names))
    return found


def right_by(results: Results) -> Right:
    """Return, by key, the title and how right each query example is, float64 (N,), 0 … 1.

    single: the share of runs that are right on the example; its mean is the mean accuracy of one run.
    """
    labels = results.labels[0]
    single = results.predictions.votes_for(labels) / results.run_count
    right: Right = {"single": ("One run, mean", single)}
    for key, (title, predicted) in predicted_classes(results).items():
        right[key] = title, (predicted == labels).astype(np.float64)
    return right


def accuracies_of(results: Results, leaked: Leaked) -> list[dict[str, Any]]:
    """Return one entry per way of predicting: accuracy on all, clean and leaked examples, and the gaps.

    all, clean, leaked: as of `shares.share`. gap_all, gap_leaked, gap_matched: as of `gap_bootstrap.gaps`.
    """
    right = right_by(results)
    values = np.stack([by_example for _, by_example in right.values()])
    found = gaps(values, leaked.mask, results.labels[0], leaked.groups, len(results.class_names))
    parts = {"all": np.ones(len(leaked.mask), bool), "clean": ~leaked.mask, "leaked": leaked.mask}
    return [
        {
            "key": key,
            "title": title,
            **{part: share(float(by_example[mask].sum()), int(mask.sum())) for part, mask in parts.items()},
            **gap,
        }
        for (key, (title, by_example)), gap in zip(right.items(), found, strict=True)
    ]
