"""Labels to check: each order against its formula written out, planted wrong labels, ties, and refusals."""

import numpy as np
import pandas as pd
import pytest

from kernel_core.class_probabilities import LIKELIEST, ClassProbabilities, likeliest_classes
from kernel_core.errors import RequestError
from kernel_core.findings import confident_learning
from kernel_core.findings import labels_to_check as module
from kernel_core.findings.confident_learning import flag_issues
from kernel_core.findings.labels_to_check import ORDERS, select_labels
from kernel_core.findings.twins import Aligned
from kernel_core.records import Neighbors
from kernel_core.spec import KernelSpec


def neighbors_of(indices, values):
    return Neighbors(KernelSpec("kernel"), np.asarray(indices, np.int32), np.asarray(values, np.float32))


def labels_to_check(neighbors, labels, probabilities, *options):
    """The table, from a whole table of probabilities, of which what a build would keep is kept."""
    named = np.stack([np.nan_to_num(probabilities).argmax(1), labels[0]], 1)
    return module.labels_to_check(neighbors, labels, ClassProbabilities.of(probabilities, named), *options)


@pytest.fixture
def made_up():
    """40 examples, 4 classes, 30 neighbors of 60, some values below 0: neighbors, labels, probabilities."""
    rng = np.random.default_rng(0)
    indices = np.array([rng.permutation(60)[:30] for _ in range(40)])
    values = np.sort(rng.normal(0.2, 0.4, (40, 30)))[:, ::-1]
    labels = rng.integers(0, 4, 40), rng.integers(0, 4, 60)
    return neighbors_of(indices, values), labels, rng.dirichlet(np.ones(4), 40).astype(np.float32)


def shares_by_hand(neighbors, others, row, classes):
    weight = [0.0] * classes
    for index, value in zip(neighbors.indices[row], neighbors.values[row], strict=True):
        weight[others[index]] += max(float(value), 0.0) ** 4
    return np.array(weight) / (sum(weight) or 1.0)


ALIGNED = Aligned(KernelSpec("kernel"), np.random.default_rng(9).uniform(-1, 1, (40, 10)).astype(np.float32))


def twin_by_hand(neighbors, row, *, pixels):
    """The place of an example's twin among its neighbors, and how near it is."""
    values = neighbors.values[row].astype(np.float64)
    if not pixels:
        return 0, values[0]
    scores = [values[j] - values[:5].mean() / 2 + float(ALIGNED.values[row, j]) / 2 for j in range(10)]
    return int(np.argmax(scores)), max(scores)


def score_by_hand(order, P, V, y, twin):
    """The score, small first, and the class proposed, in float64, from one example's P, V and label."""
    rest = [c for c in range(len(P)) if c != y]
    if order in ("normalized margin", "confident learning"):
        return (P[y] - max(P[c] for c in rest) + 1) / 2, max(rest, key=lambda c: P[c])
    if order == "self-confidence":
        return P[y], max(rest, key=lambda c: P[c])
    if order == "agreement":
        against = {c: min(P[c], V[c]) for c in rest}
        best = max(against.values())
        by = against if best else {c: P[c] for c in rest}
        return max(P[y], V[y]) - best, max(rest, key=lambda c: by[c])
    if order == "vote":
        best = max(V[c] for c in rest)
        by = V if best else P
        return V[y] - best, max(rest, key=lambda c: by[c])
    return -twin[0], twin[1]


def test_what_is_kept_can_be_put_in_every_order(made_up, monkeypatch):
    neighbors, labels, probabilities = made_up
    wanted = {order: labels_to_check(neighbors, labels, probabilities, order, ALIGNED) for order in ORDERS}
    monkeypatch.setattr(module, "BLOCK_CELLS", 30)
    kept = ClassProbabilities.of(probabilities, labels[0][:, None])  # 4 classes: all of them
    with_pixels, without = (module.gather(neighbors, labels, kept, of).kept() for of in (ALIGNED, None))
    for order, table in wanted.items():
        found = (with_pixels if ORDERS[order].needs_pixels else without).ranked(order)
        pd.testing.assert_frame_equal(found, table)


@pytest.mark.parametrize("order", ORDERS)
def test_order_is_that_of_its_formula(made_up, order):
    neighbors, (labels, others), probabilities = made_up
    table = labels_to_check(neighbors, (labels, others), probabilities, order, ALIGNED)
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    for row in table.itertuples():
        i, y = row.query_index, labels[row.query_index]
        P, V = probabilities[i].astype(np.float64), shares_by_hand(neighbors, others, i, 4)
        place, nearness = twin_by_hand(neighbors, i, pixels=order == "twin score")
        twin = nearness, others[neighbors.indices[i, place]]
        score, proposed = score_by_hand(order, P, V, y, twin)
        assert row.score == pytest.approx(score, abs=1e-11)
        assert (row.proposed, row.query_label) == (proposed, y)
        assert (row.likeliest, row.voted) == (P.argmax(), V.argmax())
        assert (row.probability, row.likeliest_probability) == pytest.approx((P[y], P.max()))
        assert (row.share, row.voted_share) == pytest.approx((V[y], V.max()), abs=1e-11)
        assert row.both_against == (P.argmax() == V.argmax() != y)
        assert row.database_index == neighbors.indices[i, place]
        assert row.similarity == neighbors.values[i, place]
    keys = list(zip(~table["flagged"] & (order == "confident learning"), table["score"], strict=True))
    assert keys == sorted(keys)
    listed = set(range(40))
    if order.startswith("twin"):
        places = [twin_by_hand(neighbors, i, pixels=order == "twin score")[0] for i in range(40)]
        listed = set(np.flatnonzero(others[neighbors.indices[np.arange(40), places]] != labels))
    assert set(table["query_index"]) == listed


def test_confident_learning_flags_what_its_thresholds_say():
    """With thresholds far from every probability: a label is flagged where the confident joint counts it."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 5, 300)
    probabilities = (0.02 + 0.9 * np.eye(5)[truth]).astype(np.float32)
    labels = truth.copy()
    wrong = rng.permutation(300)[:20]
    labels[wrong] = (labels[wrong] + 1) % 5
    neighbors = neighbors_of(np.zeros((300, 1)), np.full((300, 1), 0.5))
    table = labels_to_check(neighbors, (labels, truth), probabilities, "confident learning")
    assert set(table["query_index"][table["flagged"]]) == set(wrong)
    assert table["flagged"].tolist() == [True] * 20 + [False] * 280
    by_margin = labels_to_check(neighbors, (labels, truth), probabilities)
    assert (by_margin["flagged"] == np.isin(by_margin["query_index"], wrong)).all()


@pytest.mark.parametrize("order", ORDERS)
def test_wrong_labels_that_were_planted_come_first(order):
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 5, 200)
    indices = np.array([rng.permutation(np.flatnonzero(truth == c))[:20] for c in truth])
    labels = truth.copy()
    wrong = rng.permutation(200)[:7]
    labels[wrong] = (labels[wrong] + 1) % 5
    values = np.sort(rng.uniform(0.3, 0.6, (200, 20)))[:, ::-1]
    probabilities = (0.05 + 0.75 * np.eye(5)[truth]).astype(np.float32)
    aligned = Aligned(KernelSpec("kernel"), np.zeros((200, 10), np.float32))
    table = labels_to_check(neighbors_of(indices, values), (labels, truth), probabilities, order, aligned)
    first = table.head(7)
    assert set(first["query_index"]) == set(wrong)
    assert (first["proposed"] == truth[first["query_index"]]).all()
    assert first["both_against"].all()
    assert len(table) == (7 if order.startswith("twin") else 200)
    both = select_labels(table, both=True)
    assert set(both["query_index"]) == set(wrong)
    one = first.iloc[2]
    kept = select_labels(table, int(one["query_label"]), int(one["proposed"]))
    assert one["query_index"] in set(kept["query_index"])
    assert (kept["query_label"] == one["query_label"]).all()
    assert (kept["proposed"] == one["proposed"]).all()


def test_equal_scores_are_in_order_of_index_and_votes_in_that_of_nearness():
    neighbors = neighbors_of(np.tile([0, 1], (4, 1)), [[0.3, 0.2], [0.5, 0.2], [0.3, 0.2], [0.9, 0.8]])
    labels, P = (np.array([0, 0, 0, 1]), np.array([1, 1])), np.full((4, 2), 0.5, np.float32)
    assert labels_to_check(neighbors, labels, P)["query_index"].tolist() == [0, 1, 2, 3]
    assert labels_to_check(neighbors, labels, P, "vote")["query_index"].tolist() == [1, 0, 2, 3]


def test_examples_without_predictions_are_left_out(made_up):
    neighbors, labels, probabilities = made_up
    probabilities[[3, 11]] = np.nan
    table = labels_to_check(neighbors, labels, probabilities)
    assert sorted(table["query_index"]) == sorted(set(range(40)) - {3, 11})
    nothing = labels_to_check(neighbors, labels, np.full_like(probabilities, np.nan))
    assert (len(nothing), list(nothing)) == (0, list(table))


def test_distances_vote_all_alike():
    neighbors = neighbors_of([[0, 1, 2]], [[-1.0, -2.0, -3.0]])
    labels, P = (np.array([0]), np.array([1, 1, 0])), np.array([[0.2, 0.8]], np.float32)
    (row,) = labels_to_check(neighbors, labels, P, "vote").itertuples()
    assert (row.voted, row.voted_share, row.share) == (1, pytest.approx(2 / 3), pytest.approx(1 / 3))


def test_one_class_and_unknown_orders_are_refused(made_up):
    neighbors, labels, probabilities = made_up
    with pytest.raises(
        RequestError, match=r"Found order 'wrong'; expected normalized margin, self-confidence"
    ):
        labels_to_check(neighbors, labels, probabilities, "wrong")
    with pytest.raises(RequestError, match="needs the aligned pixels"):
        labels_to_check(neighbors, labels, probabilities, "twin score")
    with pytest.raises(RequestError, match="at least two"):
        labels_to_check(neighbors, (0 * labels[0], 0 * labels[1]), probabilities[:, :1])
    flat = labels_to_check(neighbors, (0 * labels[0], 0 * labels[1]), probabilities)
    assert not flat["flagged"].any(), "two classes, of which one has examples"


def many_classes(C, n=1000):
    """Neighbors, labels and probabilities of many classes, clear and less clear ones, some labels wrong."""
    rng = np.random.default_rng(C)
    truth, others = rng.integers(0, C, n), rng.integers(0, C, 900)
    logits = rng.normal(0, 1, (n, C)) + rng.choice([3.0, 6.0, 9.0], n)[:, None] * np.eye(C)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.where(rng.random(n) < 0.1, rng.integers(0, C, n), truth)
    near = np.argsort((others != truth[:, None]) + rng.random((n, 900)), axis=1)[:, :20]
    values = np.sort(rng.normal(0.3, 0.2, (n, 20)))[:, ::-1]
    return neighbors_of(near, values), (labels, others), probabilities.astype(np.float32)


def complete(probabilities):
    """The same probabilities, of which every class is kept."""
    C = probabilities.shape[1]
    kept = likeliest_classes(probabilities, C)
    nothing = np.zeros(len(kept), np.float32)
    return ClassProbabilities(C, kept.astype(np.uint16), np.take_along_axis(probabilities, kept, 1), nothing)


MANY = [(order, 4_000_000) for order in ORDERS if order != "twin score"] + [("agreement", 5000)]


@pytest.mark.parametrize(("order", "block_cells"), MANY)
def test_of_many_classes_the_likeliest_are_enough(order, block_cells, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_CELLS", block_cells)
    neighbors, labels, probabilities = many_classes(40)
    table = labels_to_check(neighbors, labels, probabilities, order)
    expected = module.labels_to_check(neighbors, labels, complete(probabilities), order)
    by_index = [of.sort_values("query_index", ignore_index=True) for of in (table, expected)]
    if order == "agreement":  # approximate by no more than the probability of a class beyond the likeliest
        most = 1 / LIKELIEST
        for_label = by_index[1][["probability", "share"]].max(axis=1)
        is_clear = for_label - by_index[1]["score"] > most
        assert 20 < is_clear.sum() < len(table)
        assert (by_index[0]["score"] - by_index[1]["score"]).abs().max() <= most
        table, expected = (of[is_clear] for of in by_index)
    if order == "confident learning":  # approximate by its flags alone
        table, expected = by_index
    left_out = ["rank", "flagged"]
    pd.testing.assert_frame_equal(table.drop(columns=left_out), expected.drop(columns=left_out))


def test_flags_of_many_classes_are_those_of_all_but_for_the_least_clear():
    _neighbors, (labels, _others), probabilities = many_classes(40)
    kept = ClassProbabilities.of(probabilities, labels[:, None])
    flagged, expected = (flag_issues(labels, of) for of in (kept, complete(probabilities)))
    assert expected.sum() > 50
    assert (flagged & expected).sum() > 0.9 * max(flagged.sum(), expected.sum())
    clear = probabilities.max(1) > 0.5
    assert (flagged & expected & clear).sum() > 30
    np.testing.assert_array_equal(flagged[clear], expected[clear])


@pytest.mark.parametrize(("C", "whole_cells"), [(4, 900), (40, 40 * 60), (40, 1)])
def test_flags_found_class_by_class_are_those_of_the_whole(C, whole_cells, monkeypatch):
    from cleanlab.count import compute_confident_joint  # seconds, for this test alone

    _neighbors, (labels, _others), probabilities = many_classes(C)
    labels[labels == 2] = 3  # a class without examples
    kept = ClassProbabilities.of(probabilities, np.stack([labels, probabilities.argmax(1)], 1))
    expected = [flag_issues(labels, of) for of in (kept, complete(probabilities))]
    joint = compute_confident_joint(labels, probabilities.astype(np.float64))
    monkeypatch.setattr(confident_learning, "WHOLE_CELLS", whole_cells)
    for of, flags in zip((kept, complete(probabilities)), expected, strict=True):
        np.testing.assert_array_equal(confident_learning.confident_joint(labels, of), joint)
        np.testing.assert_array_equal(flag_issues(labels, of), flags)
    assert expected[0].sum() > 20


@pytest.mark.parametrize(("order", "method"), [("normalized margin", "normalized_margin"),
                                               ("self-confidence", "self_confidence")])  # fmt: skip
def test_scores_are_those_of_cleanlab_to_the_bit(order, method):
    from cleanlab.rank import get_label_quality_scores

    neighbors, labels, probabilities = many_classes(7)
    table = labels_to_check(neighbors, labels, probabilities, order).sort_values("query_index")
    expected = get_label_quality_scores(labels[0], probabilities.astype(np.float64), method=method)
    np.testing.assert_array_equal(table["score"], expected)
