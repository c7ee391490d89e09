"""Memorization and influence against training again, with one example and with another in its stead.

    python -m pytest -s -m slow tests/findings/test_leave_out.py

says how often the 95% intervals hold what training again gives.
"""

from dataclasses import replace

import numpy as np
import pytest

from kernel_core.ensembles.unseen import find_unseen
from kernel_core.findings.influence import influence_of, intervals
from kernel_core.findings.memorization import memorization
from kernel_core.records import Ensemble
from kernel_core.training_masks import TrainingMasks
from tests.support import leave_out

WRONG = 21  # a training example that is given another label, and is learned by heart
PLANTED = [(WRONG, 7)]


def ensemble_of_halves(runs, planted):
    """Train heads on random halves; return the data, what is known of them, and the label's probabilities."""
    features, labels = leave_out.digits(planted)
    masks = leave_out.halves(labels, runs, 0)
    logits = leave_out.train(features, labels, np.array([np.flatnonzero(mask) for mask in masks]), 0)
    packed = TrainingMasks(np.packbits(masks, axis=1), masks.shape[1])
    unseen = find_unseen(Ensemble(("halves",), (logits,), trained_on=packed), labels["train"])
    of_label = {s: leave_out.of_label(logits[s], labels[s]) for s in logits}
    return features, labels, replace(unseen, of_label=of_label)


def trained_again(features, labels, example, runs, seed):
    """Return the memorization of an example, its influence on all test examples, and that one's deviation."""
    halves = leave_out.swapped(leave_out.halves(labels, runs, seed), example)
    with_, without = (leave_out.train(features, labels, half, seed) for half in halves)
    right = [
        (of["train"][:, example].argmax(-1) == labels["train"][example]).mean() for of in (with_, without)
    ]
    p = [leave_out.of_label(of["test"], labels["test"]) for of in (with_, without)]
    changes = p[0] - p[1]  # (test examples, runs)
    return right[0] - right[1], changes.mean(1), changes.std(1, ddof=1) / np.sqrt(runs)


def error_of_both(row, again, runs):
    """Return the standard error of a memorization minus what training again gives; row: of the table."""
    return np.hypot((row["high"] - row["low"]) / 3.92, np.sqrt(max(again * (1 - again), 0) / runs))


def influence_on_all(unseen, example):
    """Return the influence of an example on all test examples, and its intervals: three (test examples,)."""
    p = unseen.of_label["test"]
    everything, database = np.ones(p.shape, bool), np.full(len(p), example)
    found = influence_of(unseen, p, everything, database[:, None])
    return found.difference[:, 0], *intervals(unseen, p, everything, database)


def test_a_wrong_label_is_memorized_and_hurts_as_training_again_says():
    features, labels, unseen = ensemble_of_halves(96, PLANTED)
    again, changes, deviation = trained_again(features, labels, WRONG, 32, 1)
    row = memorization(unseen, labels["train"]).set_index("query_index").loc[WRONG]
    assert row["memorization"] > 0.3
    assert abs(row["memorization"] - again) < 2.5 * error_of_both(row, again, 32)
    estimate, low, high = influence_on_all(unseen, WRONG)
    clear = np.abs(changes) > 0.05
    assert clear.any()
    assert np.corrcoef(estimate[clear], changes[clear])[0, 1] > 0.5 or clear.sum() < 3
    error = np.hypot((high - low) / 3.92, deviation)
    assert np.abs((estimate - changes) / error)[clear].mean() < 2


@pytest.mark.slow
def test_intervals_hold_what_training_again_gives():
    features, labels, unseen = ensemble_of_halves(512, PLANTED)
    table = memorization(unseen, labels["train"]).set_index("query_index")
    examples = [*table.index[:4], *np.random.default_rng(0).choice(table.index, 4, replace=False)]
    held, memorized, both = [], [], []
    for seed, example in enumerate(examples, 1):
        again, changes, deviation = trained_again(features, labels, example, 128, seed)
        estimate, low, high = influence_on_all(unseen, example)
        held.append((low <= changes) & (changes <= high))
        both.append(np.abs(estimate - changes) <= 1.96 * np.hypot((high - low) / 3.92, deviation))
        row = table.loc[example]
        memorized.append(abs(row["memorization"] - again) <= 1.96 * error_of_both(row, again, 128))
    print(f"\ninfluence: {np.mean(held):.1%} of {np.size(held):,} intervals hold what training again gives; ")
    print(f"with its own error {np.mean(both):.1%}, and memorization {sum(memorized)} of {len(memorized)}")
    assert np.mean(both) > 0.88
    assert np.mean(memorized) > 0.7
