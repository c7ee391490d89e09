"""Memorization and influence of a source, from its results; where they cannot be told, why not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.findings import influence, memorization
from kernel_core.results.results import Results
from kernel_core.spec import Split
from kernel_core.training_masks import Unseen

HOW = "kernel-explorer train heads SOURCE --subset 0.5 --runs 512 --out my-ensemble"
"""What trains runs on random halves, which have masks."""
WHY = (
    "There are no training masks, so every run may have trained on every example. Runs on random halves of "
    "the training set have them"
)


def unseen_of(results: Results) -> Unseen:
    """Return what the runs say of examples that they did not train on. Raises `RequestError` without it."""
    if results.unseen is None:
        raise RequestError(f"{results.name}: {WHY}: {HOW}")
    return results.unseen


def memorization_of(results: Results, of_class: int | None = None) -> pd.DataFrame:
    """Return the table of `findings.memorization`; ranks stay. of_class: of the label; None for any.

    Raises `RequestError` without training masks.
    """
    table = memorization.memorization(unseen_of(results), results.examples["train"].labels)
    return table if of_class is None else table[table["query_label"] == of_class]


def influence_on(results: Results, by: str = "kernel", order: str = influence.ORDERS[0]) -> pd.DataFrame:
    """Return the table of `findings.influence` in the direction of the results, without intervals.

    by: the similarity that candidates are nearest by. Raises `RequestError` without training masks, if
    neighbors are not in the training set, or for an unknown order.
    """
    unseen = _with_labels(results)
    if results.database != "train":
        raise RequestError(
            f"Influence is that of training examples, but neighbors {results.spec.direction} were asked for. "
            "Ask for test→train or train→train."
        )
    return influence.most_influential(results.neighbors_by(by), results.labels, unseen, order=order)


def _with_labels(results: Results) -> Unseen:
    unseen = unseen_of(results)
    if set(unseen.of_label) != set(results.examples):
        raise RequestError(
            f"{results.name} lacks each run's probability of each label: there was no space when it was "
            "built. Free some space, run `kernel-explorer cache clear`, and build it again."
        )
    return unseen


@dataclass(frozen=True)
class Counterfactual:
    """What a training example changes on another example.

    probability_with, probability_without: mean probability of the other example's label, 0 … 1, over the runs
    with the training example, and over those without. runs_with, runs_without: how many these are.
    difference: of the two, -1 … 1; low, high: its 95% interval.
    """

    probability_with: float
    probability_without: float
    runs_with: int
    runs_without: int
    difference: float
    low: float
    high: float


def counterfactual(results: Results, train_index: int, example: tuple[Split, int]) -> Counterfactual | None:
    """Return what a training example changes on another example, by the runs with it and those without.

    Of a training example, only runs that did not train on it count. None where fewer than `LEAST_RUNS` runs
    are on either side. Raises `RequestError` without training masks, or if both are the same example.
    """
    unseen, (split, index) = _with_labels(results), example
    if example == ("train", train_index):
        raise RequestError(
            f"train:{train_index} was asked for twice; expected two examples. What it changes on itself is "
            "its memorization."
        )
    p, database = unseen.of_label[split][index][None], np.array([train_index])
    counted = influence.counted_runs(unseen, split, np.array([index]))
    found = influence.influence_of(unseen, p, counted, database[None])
    runs = int(found.runs_with[0, 0]), int(found.runs_without[0, 0])
    if min(runs) < memorization.LEAST_RUNS:
        return None
    low, high = influence.intervals(unseen, p, counted, database)
    means = float(found.probability_with[0, 0]), float(found.probability_without[0, 0])
    return Counterfactual(*means, *runs, float(found.difference[0, 0]), float(low[0]), float(high[0]))
