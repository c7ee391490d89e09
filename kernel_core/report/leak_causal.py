"""What twins in training cause: accuracy on leaked examples of runs that trained on a twin, and of others.

    effect = mean over leaked examples of (share of right runs among those that trained on a twin of it
             - the same among those that trained on none)

Source: Feldman and Zhang, "What neural networks memorize and why: discovering the long tail via influence
estimation" (NeurIPS 2020, arXiv 2008.03703), equation 2, with all judged twins of an example in place of one
training example. Runs draw their training examples at random, so that the difference is caused by the twins:
it is what they change for a run on a random part of the training set.

The 95% interval is a bootstrap over runs and over groups of near-duplicates at once, by percentiles; such an
interval is rather too wide than too narrow (Owen 2007, "The pigeonhole bootstrap").
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.findings.memorization import LEAST_RUNS
from kernel_core.report.gap_bootstrap import LEAST, PERCENTILES, RESAMPLES
from kernel_core.report.leak_pairs import Leaked
from kernel_core.results.results import Results

AT_ONCE = 100  # resamples
Floats = npt.NDArray[np.float64]


def caused(results: Results, leaked: Leaked) -> dict[str, Any] | None:
    """Return what the twins cause; None without training masks, or unless pairs are test–train.

    accuracy: value (the effect), low, high, with, without (mean accuracies), examples, runs. probability: the
    same of the label's probability, from all runs, where it is kept. Accuracy is by the runs whose single
    predictions are kept, the first 500 at most. Examples with fewer than `LEAST_RUNS` runs on either side are
    left out; fewer than `LEAST` examples have no interval.
    """
    unseen = results.unseen
    if unseen is None or results.spec.splits != ("test", "train") or not leaked.mask.any():
        return None
    index = np.flatnonzero(leaked.mask)
    place = np.searchsorted(index, leaked.query_index)
    with_ = np.zeros((len(index), unseen.run_count), bool)
    for twin, at in zip(leaked.database_index.tolist(), place.tolist(), strict=True):
        with_[at] |= unseen.seen_by(twin)
    votes = results.predictions.run_votes[index]
    right = (votes == results.labels[0][index][:, None]).astype(np.float64)
    groups = np.unique(leaked.groups[index], return_inverse=True)[1]
    found = {"accuracy": effect(right, with_[:, : right.shape[1]], groups)}
    if "test" in unseen.of_label:
        found["probability"] = effect(unseen.of_label["test"][index].astype(np.float64), with_, groups)
    return {name: value for name, value in found.items() if value is not None} or None


def effect(
    values: Floats, with_: npt.NDArray[np.bool_], groups: npt.NDArray[np.int64], resamples: int = RESAMPLES
) -> dict[str, Any] | None:
    """Return the mean difference between runs with and runs without a twin; None if no example has both.

    values: (L, M), of each example by each run, 0 … 1. with_: (L, M), whether the run trained on a twin.
    groups: (L,), numbers from 0.
    """
    enough = np.minimum(with_.sum(1), (~with_).sum(1)) >= LEAST_RUNS
    if not enough.any():
        return None
    values, on_twin = values[enough], with_[enough].astype(np.float64)
    groups = np.unique(groups[enough], return_inverse=True)[1]
    L, M = values.shape
    mean_with, mean_without = _means(np.ones((1, M)), values, on_twin)
    found = {
        "value": float((mean_with - mean_without).mean()), "low": None, "high": None,
        "with": float(mean_with.mean()), "without": float(mean_without.mean()), "examples": L, "runs": M,
    }  # fmt: skip
    if L >= LEAST:
        drawn = _resampled(values, on_twin, groups, resamples)
        found["low"], found["high"] = (float(end) for end in np.nanpercentile(drawn, PERCENTILES))
    return found


def _means(weights: Floats, values: Floats, with_: Floats) -> tuple[Floats, Floats]:
    """Return the mean value of each example over runs with and without a twin, (b, L) both; NaN for none.

    weights: (b, M), how often each run counts.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        without = 1 - with_
        mean_with = weights @ (values * with_).T / (weights @ with_.T)
        return mean_with, weights @ (values * without).T / (weights @ without.T)


def _resampled(
    values: Floats, with_: Floats, groups: npt.NDArray[np.int64], resamples: int
) -> npt.NDArray[np.float64]:
    """Return the effect in resamples of runs and of groups, (resamples,)."""
    (L, M), group_count = values.shape, int(groups.max()) + 1
    rng = np.random.default_rng([L, M])
    parts = []
    for start in range(0, resamples, AT_ONCE):
        count = min(AT_ONCE, resamples - start)
        runs = rng.multinomial(M, np.full(M, 1 / M), count).astype(np.float64)
        drawn = rng.multinomial(group_count, np.full(group_count, 1 / group_count), count)[:, groups]
        mean_with, mean_without = _means(runs, values, with_)
        difference = mean_with - mean_without
        known = np.isfinite(difference) * drawn
        with np.errstate(invalid="ignore", divide="ignore"):
            parts.append((np.nan_to_num(difference) * known).sum(1) / known.sum(1))
    return np.concatenate(parts)
