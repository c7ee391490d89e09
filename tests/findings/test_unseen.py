"""Memorization and influence: planted numbers, a direct calculation, and what the intervals promise."""

import numpy as np
import pytest
from scipy.stats import norm

from kernel_core.class_probabilities import ClassProbabilities
from kernel_core.errors import RequestError
from kernel_core.findings.influence import influence_of, intervals, most_influential, with_intervals
from kernel_core.findings.memorization import difference_interval, memorization
from kernel_core.records import Neighbors
from kernel_core.spec import KernelSpec
from kernel_core.training_masks import Unseen

M, N, Q = 60, 12, 9  # runs, training examples, test examples
RNG = np.random.default_rng(0)
MASKS = RNG.random((N, M)) < 0.5
MASKS[10, 3:] = False  # too few runs with it
P = {"train": RNG.random((N, M)).astype(np.float16), "test": RNG.random((Q, M)).astype(np.float16)}
LABELS = {"train": np.arange(N) % 3, "test": np.arange(Q) % 3}


def unseen(masks=MASKS, of_label=P):
    count, runs = masks.shape[1], (~masks).sum(1).astype(np.int32)
    right = RNG.integers(0, runs + 1).astype(np.int32)
    seen_right = RNG.integers(0, count - runs + 1).astype(np.int32)
    mean = RNG.dirichlet(np.ones(3), len(masks)).astype(np.float32)
    packed, kept = np.packbits(masks, axis=1), ClassProbabilities.of(mean, np.zeros((len(masks), 2), int))
    predicted = mean.argmax(1)
    return Unseen(
        count, 3, packed, kept.classes, kept.values, kept.rest, predicted, runs, right, seen_right, of_label
    )


def neighbors(query, count, k=4):
    indices = np.stack([RNG.permutation(np.delete(np.arange(N), i))[:k] for i in range(count)])
    values = np.tile(np.linspace(0.9, 0.1, k, dtype=np.float32), (count, 1))
    return Neighbors(KernelSpec("kernel", query, "train"), indices.astype(np.int32), values)


def test_memorization_is_the_difference_of_two_shares_of_right_runs():
    of = unseen()
    table = memorization(of, LABELS["train"])
    assert set(table["query_index"]) == set(range(N)) - {10}
    assert table["rank"].tolist() == list(range(1, N))
    assert table["memorization"].is_monotonic_decreasing
    for row in table.itertuples():
        i, without = row.query_index, int((~MASKS[row.query_index]).sum())
        assert (row.runs_with, row.runs_without) == (M - without, without)
        expected = of.seen_right[i] / (M - without) - of.right[i] / without
        assert row.memorization == pytest.approx(expected, abs=1e-12)
        assert row.low <= row.memorization <= row.high
        assert row.probability == pytest.approx(float(of.mean[i][of.classes[i] == LABELS["train"][i]][0]))


def test_interval_of_a_difference_is_newcombes():
    """His table II: 56/70 and 48/80, method 10, without correction: 0.0524 to 0.3339; 10/10 and 0/10."""
    low, high = difference_interval(
        np.array([56 / 70, 1.0]), np.array([70, 10]), np.array([48 / 80, 0.0]), np.array([80, 10])
    )
    np.testing.assert_allclose(low, [0.0524, 0.6075], atol=5e-5)
    np.testing.assert_allclose(high, [0.3339, 1.0], atol=5e-5)


@pytest.mark.parametrize("query", ["test", "train"])
@pytest.mark.parametrize("block_bytes", [64_000_000, 8 * 4 * M * 2])
def test_influence_compares_runs_with_and_without_an_example(query, block_bytes, monkeypatch):
    monkeypatch.setattr("kernel_core.findings.influence.BLOCK_BYTES", block_bytes)
    of, near = unseen(), neighbors(query, len(P[query]))
    table = most_influential(near, (LABELS[query], LABELS["train"]), of)
    assert not (table["database_index"] == 10).any()
    assert table["influence"].is_monotonic_decreasing
    for row in with_intervals(table, of).itertuples():
        i, j = row.query_index, row.database_index
        assert near.indices[i, row.position - 1] == j
        p = P[query][i].astype(np.float64)
        counted = ~MASKS[i] if query == "train" else np.ones(M, bool)
        with_, without = p[counted & MASKS[j]], p[counted & ~MASKS[j]]
        assert (row.runs_with, row.runs_without) == (len(with_), len(without))
        assert row.probability_with == pytest.approx(with_.mean(), abs=1e-12)
        assert row.influence == pytest.approx(with_.mean() - without.mean(), abs=1e-12)
        error = np.sqrt(with_.var() / len(with_) + without.var() / len(without))
        assert row.high - row.low == pytest.approx(2 * norm.ppf(0.975) * error, rel=0.12)
    hurting = most_influential(near, (LABELS[query], LABELS["train"]), of, order="hurts")
    assert hurting["influence"].is_monotonic_increasing
    assert len(hurting) == len(table)
    with pytest.raises(RequestError, match="Found order 'most'; expected helps or hurts"):
        most_influential(near, (LABELS[query], LABELS["train"]), of, order="most")


def test_intervals_hold_the_true_influence_as_often_as_they_say():
    """600 pairs with a known influence of 0.2, 100 runs each: 95% give or take 3 standard errors."""
    count, runs, rng = 600, 100, np.random.default_rng(5)
    masks = rng.random((count, runs)) < 0.5
    p = np.clip(rng.beta(2, 3, (count, runs)) * 0.8 + 0.2 * masks, 0, 1)
    of = unseen(masks, {})
    everything = np.ones((count, runs), bool)
    low, high = intervals(of, p, everything, np.arange(count))
    held = ((low <= 0.2) & (high >= 0.2)).mean()
    assert 0.92 < held < 0.98
    found = influence_of(of, p, everything, np.arange(count)[:, None]).difference
    assert abs(found.mean() - 0.2) < 0.01
