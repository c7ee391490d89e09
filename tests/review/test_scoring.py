"""Measures of a ranking against scikit-learn, with ties and weights; rankings against known pairs; pools."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from kernel_core.records import Neighbors
from kernel_core.review.pooling import pool
from kernel_core.review.scoring import (
    MEASURES,
    auroc,
    average_precision,
    intervals,
    ranked,
    recall_at_positives,
    steps_of,
)
from kernel_core.review.verdicts import DUPLICATES
from kernel_core.spec import KernelSpec

RNG = np.random.default_rng(0)


def neighbors(indices, values, query="test", database="train"):
    return Neighbors(
        KernelSpec("kernel", query, database), np.array(indices, np.int32), np.array(values, np.float32)
    )


@pytest.mark.parametrize("digits", [0, 1, 9])
def test_measures_are_those_of_sklearn_with_ties_and_weights(digits):
    score = RNG.normal(size=300).round(digits)
    positive = RNG.random(300) < 0.2 + 0.2 * (score > 0)
    weights = RNG.integers(0, 4, 300).astype(float)
    steps = steps_of(score)
    for of, theirs in ((average_precision, average_precision_score), (auroc, roc_auc_score)):
        assert of(steps, positive, np.ones(300)) == pytest.approx(theirs(positive, score))
        expected = theirs(positive, score, sample_weight=weights)
        assert of(steps, positive, weights) == pytest.approx(expected)
    top = np.argsort(-score, kind="stable")[: positive.sum()]
    if digits == 9:
        assert recall_at_positives(steps, positive, np.ones(300)) == positive[top].mean()


def test_tie_at_the_depth_counts_by_its_share():
    score, positive = np.array([3.0, 2, 2, 2, 1]), np.array([True, True, False, False, True])
    assert recall_at_positives(steps_of(score), positive, np.ones(5)) == pytest.approx((1 + 2 / 3) / 3)


def test_nothing_known_is_no_number():
    none = np.zeros(3, bool)
    steps = steps_of(np.arange(3.0))
    assert np.isnan(
        [f(steps, none, np.ones(3)) for f in (average_precision, recall_at_positives, auroc)]
    ).all()
    assert np.isnan(auroc(steps, ~none, np.ones(3)))
    assert np.isnan(auroc(steps_of(np.empty(0)), np.empty(0, bool), np.empty(0)))


def test_ranking_against_known_pairs():
    table = neighbors([[3, 1], [0, 2], [5, 4]], [[0.9, 0.8], [0.5, 0.4], [0.7, 0.1]])
    known = {
        (("test", 0), ("train", 1)): "exact",  # listed, but second
        (("test", 1), ("train", 0)): "listed",
        (("test", 2), ("train", 9)): "different",  # beyond the list
        (("test", 2), ("train", 5)): "unsure",
        (("test", 0), ("test", 1)): "exact",  # of another direction
    }
    found = ranked(table, known, DUPLICATES)
    assert found.positive.tolist() == [True, True, False]
    assert found.first.tolist() == [False, True, False]
    assert found.pair_score.tolist() == pytest.approx([0.8, 0.5, -np.inf])
    assert found.pair_positive.tolist() == [True, True, False]
    ap, recall, first, area = found.measures()
    assert (ap, recall, first, area) == pytest.approx(((1 + 2 / 3) / 2, 1 / 2, 1 / 2, 1))
    narrow = ranked(table, known, ("near-duplicate",))
    assert narrow.positive.tolist() == [False, True, False]
    assert narrow.pair_positive.tolist() == [False, True, False]


def test_pair_within_a_split_counts_for_both_its_examples():
    table = neighbors([[1], [0], [0]], [[0.9], [0.9], [0.2]], "test", "test")
    found = ranked(table, {(("test", 0), ("test", 2)): "exact"}, DUPLICATES)
    assert found.positive.tolist() == [True, False, True]
    assert found.first.tolist() == [False, False, True]
    assert found.pair_score.tolist() == pytest.approx([0.2])


def test_intervals_hold_the_value_and_differences_are_paired():
    values = np.sort(RNG.random((400, 1)), axis=0)[::-1]
    known = {(("test", i), ("train", 0)): "exact" for i in range(0, 60, 2)}
    first = ranked(neighbors(np.zeros((400, 1)), values), known, DUPLICATES)
    worse = ranked(neighbors(np.zeros((400, 1)), RNG.permutation(values)), known, DUPLICATES)
    limits, differences = intervals([first, first, worse], repeats=200)
    assert (differences[:2, :3] == 0).all(), "the same ranking on the same resamples"
    for at in range(3):
        assert limits[0, at, 0] <= first.measures()[at] <= limits[0, at, 1]
    assert differences[2, 0, 1] < 0
    assert np.isnan(limits[:, list(MEASURES).index("auroc")]).all(), "nothing is judged different"
    again = intervals([first, first, worse], repeats=200)
    assert np.array_equal(again[0], limits, equal_nan=True)


def test_pool_has_the_first_ranks_of_each_ranking_once():
    def ranking(*pairs):
        query, database = zip(*pairs, strict=True)
        return pd.DataFrame({"query_split": "test", "query_index": query, "database_split": "train",
                             "database_index": database})  # fmt: skip

    first, second = ranking((0, 1), (2, 3), (4, 5)), ranking((2, 3), (6, 7), (0, 1))
    found = pool([first, second], 2, seed=1)
    assert sorted((a[1], b[1]) for a, b in found) == [(0, 1), (2, 3), (6, 7)]
    assert found == pool([second, first], 2, seed=1), "the order tells nothing of who found it"
