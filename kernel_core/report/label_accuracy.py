"""Accuracies against corrected labels, and how far they are from those against the labels as given."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.report.gap_bootstrap import PERCENTILES, RESAMPLES
from kernel_core.report.leak_accuracy import predicted_classes
from kernel_core.report.shares import share
from kernel_core.results.results import Results

Floats = npt.NDArray[np.float64]


def accepted(
    results: Results, labels: pd.DataFrame
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return two classes per query example that count as right, int64 (N,) each, and which examples count.

    labels: of `label_report.judged_labels`. As given: the label twice. `guessed`: the proposed class.
    `both`: either. Left out: `neither`, and `guessed` where no class of the source was named.
    """
    first = results.labels[0].copy()
    second, kept = first.copy(), np.ones(len(first), bool)
    own = labels[labels["split"] == results.query]
    for row in own.itertuples():
        if row.verdict == "neither" or (row.verdict == "guessed" and row.proposed < 0):
            kept[row.index] = False
        elif row.verdict == "guessed":
            first[row.index] = second[row.index] = row.proposed
        elif row.verdict == "both" and row.proposed >= 0:
            second[row.index] = row.proposed
    return first, second, kept


def corrected_accuracies(results: Results, labels: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one entry per way of predicting: key, title, given, corrected, difference.

    given, corrected: the accuracy by the labels as given and as corrected, both on the examples that count,
    as of `shares.share`. difference: corrected minus given: value, low, high, the interval by a bootstrap
    over images. Of more than 500 runs, a class that a person named and few runs vote for counts by the first
    500 runs; then the title of single runs says that it is approximate.
    """
    first, second, kept = accepted(results, labels)
    given = results.labels[0]
    by_given, by_first, by_second = (
        results.predictions.votes_for(classes) / results.run_count for classes in (given, first, second)
    )
    also = np.where(first == second, 0, by_second)
    run = "One run, mean" if results.predictions.has_all_votes else "One run, mean (approximate)"
    values = {"single": (run, by_given, by_first + also)}
    for key, (title, predicted) in predicted_classes(results).items():
        right = ((predicted == first) | (predicted == second)).astype(np.float64)
        values[key] = title, (predicted == given).astype(np.float64), right
    return [
        {
            "key": key,
            "title": title,
            "given": share(float(before[kept].sum()), int(kept.sum())),
            "corrected": share(float(after[kept].sum()), int(kept.sum())),
            "difference": _difference(after[kept] - before[kept]),
        }
        for key, (title, before, after) in values.items()
    ]


def _difference(change: Floats) -> dict[str, float | None]:
    """Return the mean of a change per image, with its interval; only images that changed are drawn apart."""
    count, changed = len(change), change[change != 0]
    if not len(changed):
        return {"value": 0.0 if count else None, "low": None, "high": None}
    shares = [*np.full(len(changed), 1 / count), 1 - len(changed) / count]
    drawn = np.random.default_rng(count).multinomial(count, shares, RESAMPLES)[:, :-1]
    low, high = np.percentile(drawn @ changed / count, PERCENTILES)
    return {"value": float(changed.sum() / count), "low": float(low), "high": float(high)}
