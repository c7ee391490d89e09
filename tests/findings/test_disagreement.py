"""Where two similarities disagree: counts made again by plain loops, intervals and p-values by formula."""

import math

import numpy as np
import pytest

from kernel_core.errors import RequestError
from kernel_core.findings import disagreement, pairs
from kernel_core.findings.disagreement import ORDERS, RULES, Rule
from kernel_core.findings.pairs import count_label_pairs, label_mismatches, most_mismatched_labels
from kernel_core.records import Neighbors
from kernel_core.spec import KernelSpec
from tests.support.predicted import predictions_of

CLASSES, QUERIES, DATABASE, K = 4, 60, 90, 25


def random_neighbors(seed, similarity="kernel", low=-0.3):
    """Neighbors at random, some values negative, some equal."""
    rng = np.random.default_rng(seed)
    indices = np.stack([rng.permutation(DATABASE)[:K] for _ in range(QUERIES)]).astype(np.int32)
    values = -np.sort(-rng.uniform(low, 1, (QUERIES, K)).round(1), axis=1).astype(np.float32)
    return Neighbors(KernelSpec(similarity, k=K), indices, values)


@pytest.fixture(scope="module")
def labels():
    rng = np.random.default_rng(5)
    return rng.integers(0, CLASSES, QUERIES), rng.integers(0, CLASSES, DATABASE)


@pytest.fixture(scope="module")
def pair(labels):
    """Two sets of neighbors, the second of whose lists repeat some of the first's."""
    first, second = random_neighbors(1), random_neighbors(2, "penultimate")
    indices = second.indices.copy()
    for i in range(0, QUERIES, 3):  # every third query: the nearest two by both, in another order
        rest = [j for j in indices[i] if j not in first.indices[i, :2]]
        indices[i] = np.array([first.indices[i, 1], first.indices[i, 0], *rest])[:K]
    return first, Neighbors(second.spec, indices, second.values)


def vote_by_hand(neighbors, i, database_labels, k, weighted):
    """Winner and share, by a dictionary."""
    weight = dict.fromkeys(range(CLASSES), 0.0)
    for j, value in zip(neighbors.indices[i, :k], neighbors.values[i, :k], strict=True):
        weight[int(database_labels[j])] += max(float(value), 0.0) ** 4 if weighted else 1.0
    winner = max(weight, key=lambda label: (weight[label], -label))
    total = sum(weight.values())
    return winner, weight[winner] / total if total else 0.0


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_votes_and_overlap_are_those_made_by_hand(pair, labels, rule):
    table = disagreement.compare_votes(*pair, labels, rule=rule, k=4)
    assert table["query_index"].tolist() == list(range(QUERIES))
    for i, row in enumerate(table.itertuples()):
        for name, neighbors in zip(("first", "second"), pair, strict=True):
            winner, share = vote_by_hand(neighbors, i, labels[1], rule.k, rule.weighted)
            assert getattr(row, f"{name}_vote") == winner
            assert getattr(row, f"{name}_share") == pytest.approx(share)
            assert getattr(row, f"{name}_right") == (winner == labels[0][i])
        common = set(pair[0].indices[i, :4].tolist()) & set(pair[1].indices[i, :4].tolist())
        assert row.overlap == len(common) / 4
    assert (table["overlap"] >= 0.5).sum() >= QUERIES // 3, "the planted overlap is there"


def test_vote_without_weight_has_share_0(labels):
    nothing = random_neighbors(3, low=-1.0)
    values = np.minimum(nothing.values, 0)
    values[0, 0] = 1
    nothing = Neighbors(nothing.spec, nothing.indices, values)
    winners, share = disagreement.vote(nothing, labels[1], RULES["weighted 20"], CLASSES)
    assert share[0] == 1
    assert (winners[1:] == 0).all()
    assert (share[1:] == 0).all()


def test_no_weighted_vote_by_minus_a_distance(labels):
    distances = random_neighbors(4, "penultimate-euclidean", low=-1.0)
    distances = Neighbors(distances.spec, distances.indices, distances.values - 2)
    with pytest.raises(RequestError, match="No value of penultimate-euclidean is above 0"):
        disagreement.vote(distances, labels[1], RULES["weighted 20"], CLASSES)
    board = disagreement.scoreboard({"penultimate-euclidean": distances}, predictions(labels), labels)
    assert set(board["vote"]) == {"majority", ""}


def test_k_that_is_not_kept_is_refused(pair, labels):
    with pytest.raises(RequestError, match="25 are kept"):
        disagreement.compare_votes(*pair, labels, rule=RULES["majority of 3"], k=26)


@pytest.mark.parametrize("order", ORDERS)
def test_orders_are_stated_and_repeat(pair, labels, order):
    table = disagreement.compare_votes(*pair, labels, rule=RULES["majority of 3"], k=4)
    expected = []
    for row in table.itertuples():
        wanted = {
            "lowest overlap": True,
            "first right, second wrong": row.first_right and not row.second_right,
            "first wrong, second right": row.second_right and not row.first_right,
        }[order]
        if wanted:
            clear = round(row.first_share + row.second_share, 9)
            expected.append((row.overlap if order == "lowest overlap" else 0, -clear, row.query_index))
    ranked = disagreement.select_examples(table, order)
    assert len(expected) > 3
    assert ranked["query_index"].tolist() == [index for _, _, index in sorted(expected)]
    shuffled = table.sample(frac=1, random_state=0)
    assert (
        disagreement.select_examples(shuffled, order)["query_index"].tolist()
        == ranked["query_index"].tolist()
    )


def test_unknown_order_is_refused(pair, labels):
    table = disagreement.compare_votes(*pair, labels, rule=RULES["majority of 3"], k=4)
    with pytest.raises(RequestError, match="expected lowest overlap"):
        disagreement.select_examples(table, "highest")


def test_agreement_counts_and_mcnemar(pair, labels):
    table = disagreement.compare_votes(*pair, labels, rule=RULES["majority of 3"], k=4)
    counts = [0, 0, 0, 0]
    for i in range(QUERIES):
        right = [vote_by_hand(n, i, labels[1], 3, False)[0] == labels[0][i] for n in pair]
        counts[{(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}[tuple(right)]] += 1
    agreement = disagreement.count_agreement(table)
    assert [agreement.both, agreement.only_first, agreement.only_second, agreement.neither] == counts
    assert agreement.total == QUERIES
    b, c = counts[1], counts[2]
    tail = sum(math.comb(b + c, i) for i in range(min(b, c) + 1)) / 2 ** (b + c)
    assert agreement.p_value == pytest.approx(min(1.0, 2 * tail))


def test_mcnemar_of_a_planted_difference_and_of_none():
    assert disagreement.Agreement(90, 10, 0, 0).p_value == pytest.approx(2 / 2**10)
    assert disagreement.Agreement(90, 0, 0, 10).p_value == 1.0
    assert disagreement.Agreement(0, 7, 7, 0).p_value == 1.0


def predictions(labels):
    predicted = labels[0].copy()
    predicted[:10] = (predicted[:10] + 1) % CLASSES  # wrong on ten
    return predictions_of(np.eye(CLASSES)[predicted], labels[0])


def test_scoreboard_is_counted_by_hand_with_wilsons_interval(pair, labels):
    first, second = pair
    board = disagreement.scoreboard({"kernel": first, "penultimate": second}, predictions(labels), labels)
    assert set(board["k"]) == {0, 1, 3, 5, 10, 20}, "50 neighbors are not kept here"
    assert len(board) == 2 * 2 * 5 + 1
    for row in board.itertuples():
        if row.by == "ensemble":
            right = QUERIES - 10
        else:
            neighbors = {"kernel": first, "penultimate": second}[row.by]
            votes = [
                vote_by_hand(neighbors, i, labels[1], row.k, row.vote == "weighted")[0]
                for i in range(QUERIES)
            ]
            right = sum(vote == label for vote, label in zip(votes, labels[0], strict=True))
        assert row.right == right
        z, n, p = 1.959963984540054, QUERIES, right / QUERIES
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        assert (row.accuracy, row.low, row.high) == pytest.approx((p, middle - half, middle + half))


def test_scoreboard_of_one_class_counts_only_its_examples(pair, labels):
    board = disagreement.scoreboard({"kernel": pair[0]}, predictions(labels), labels, of_class=1)
    members = np.flatnonzero(labels[0] == 1)
    for row in board[board["by"] == "kernel"].itertuples():
        is_weighted = row.vote == "weighted"
        votes = [vote_by_hand(pair[0], i, labels[1], row.k, is_weighted)[0] for i in members]
        assert (row.right, row.accuracy) == (votes.count(1), pytest.approx(votes.count(1) / len(members)))
    right = (predictions(labels).predicted[members] == 1).sum()
    assert board["accuracy"].iloc[-1] == pytest.approx(right / len(members))


def test_one_class_leaves_nothing_to_disagree_on():
    labels = np.zeros(QUERIES, np.int64), np.zeros(DATABASE, np.int64)
    table = disagreement.compare_votes(
        random_neighbors(1), random_neighbors(2), labels, rule=Rule(3, weighted=False), k=3
    )
    agreement = disagreement.count_agreement(table)
    assert (agreement.both, agreement.p_value) == (QUERIES, 1.0)
    assert disagreement.select_examples(table, ORDERS[1]).empty
    assert disagreement.select_examples(table, ORDERS[2]).empty


def test_confusion_counts_the_mismatches_by_hand(pair, labels):
    mismatches = label_mismatches(pair[0], *labels)
    counts = {}
    for i in range(QUERIES):
        cell = int(labels[0][i]), int(labels[1][pair[0].indices[i, 0]])
        if cell[0] != cell[1]:
            counts[cell] = counts.get(cell, 0) + 1
    label_pairs = count_label_pairs(mismatches)
    assert {
        (row.query_label, row.database_label): row.count for row in label_pairs.itertuples(index=False)
    } == counts
    assert label_pairs["count"].tolist() == sorted(counts.values(), reverse=True)
    met = {label: sum(n for cell, n in counts.items() if label in cell) for label in range(CLASSES)}
    expected = sorted(sorted(met, key=lambda label: (-met[label], label))[:2])
    assert most_mismatched_labels(label_pairs, CLASSES, 2) == expected
    assert most_mismatched_labels(label_pairs, CLASSES, 20) == list(range(CLASSES))


def test_pairs_held_counts_equal_pairs_not_equal_queries(labels):
    first = random_neighbors(1)
    other = first.indices.copy()
    other[:, [0, 1]] = other[:, [1, 0]]  # the same queries in the same order, each with another neighbor
    second = Neighbors(first.spec, other, first.values)
    all_runs, fewer = (pairs.nearest_pairs(n, *labels) for n in (first, second))
    assert pairs.count_shared_pairs(all_runs, all_runs, 48) == 48
    assert pairs.count_shared_pairs(all_runs, fewer, 48) == 0
    half = Neighbors(
        first.spec, np.where(np.arange(QUERIES)[:, None] < 30, first.indices, other), first.values
    )
    expected = int((all_runs["query_index"].head(48) < 30).sum())
    assert pairs.count_shared_pairs(all_runs, pairs.nearest_pairs(half, *labels), 48) == expected
