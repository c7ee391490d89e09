"""Where two similarities pick different neighbors, and which is right: votes compared, and a scoreboard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.findings.votes import (
    Labels,
    blocks,
    class_weights,
    fourth_power,
    neighbor_weights,
    weighted_vote,
    wilson_interval,
)
from kernel_core.predicted import Predictions
from kernel_core.records import Neighbors

KS = (1, 3, 5, 10, 20, 50)  # numbers of neighbors on the scoreboard
Bools = npt.NDArray[np.bool_]
CHANCE = 0.05  # a difference whose p-value is smaller is called unlikely to be chance


@dataclass(frozen=True)
class Rule:
    """How neighbors vote: the k nearest, all alike or weighted by similarity to the fourth power.

    Ties go to the smallest label.
    """

    k: int
    weighted: bool


RULES = {"majority of 3": Rule(3, weighted=False), "weighted 20": Rule(20, weighted=True)}
"""Name in texts and addresses → the rule. The dataset card reports the accuracies of these two."""

ORDERS = ("lowest overlap", "first right, second wrong", "first wrong, second right")


# Votes, example by example.


def allows_weighted_vote(neighbors: Neighbors) -> bool:
    """Return whether values can be weights; minus a distance cannot, as no value is positive."""
    return bool((neighbors.values[:, 0] > 0).any())


def vote(
    neighbors: Neighbors, database_labels: Labels, rule: Rule, class_count: int
) -> tuple[Labels, npt.NDArray[np.float64]]:
    """Return the label that each query's neighbors vote for, and its share of the weight, 0 … 1; both (n,).

    If fewer neighbors are kept than the rule takes, those vote. Where no neighbor has weight, label and share
    are 0. Raises `RequestError` for a weighted vote where no value is positive.
    """
    if rule.weighted and not allows_weighted_vote(neighbors):
        raise RequestError(
            f"No value of {neighbors.spec.name} is above 0, so none can be a weight. "
            "Choose another similarity, or the majority vote."
        )
    weights = neighbor_weights(neighbors, rule.k, weighted=rule.weighted)
    nearest = database_labels[neighbors.indices[:, : weights.shape[1]]]  # (n, k)
    winners = weighted_vote(nearest, weights, class_count)
    total = weights.sum(1)
    won = (weights * (nearest == winners[:, None])).sum(1)
    return winners, np.divide(won, total, out=np.zeros(len(total)), where=total > 0)


def compare_votes(
    first: Neighbors, second: Neighbors, labels: tuple[Labels, Labels], *, rule: Rule, k: int
) -> pd.DataFrame:
    """Return what the neighbors by two similarities vote for, one row per query example in order of index.

    labels: of the query split and of the database split. k: neighbors compared for the overlap.
    Columns: query_index, query_label, overlap (overlap@k: share of the first's k nearest that are among the
    second's, 0 … 1); and for first and second each, as in first_vote (class number), first_share (its share
    of the votes' weight, 0 … 1), first_right (whether it is the label). Raises `RequestError` if k neighbors
    are not kept.
    """
    query_labels, database_labels = labels
    table = {
        "query_index": np.arange(len(query_labels)),
        "query_label": query_labels,
        "overlap": _is_shared(first.head(k).indices, second.head(k).indices).mean(1),
    }
    for name, neighbors in (("first", first), ("second", second)):
        winners, share = vote(neighbors, database_labels, rule, _class_count(labels))
        table |= {f"{name}_vote": winners, f"{name}_share": share, f"{name}_right": winners == query_labels}
    return pd.DataFrame(table)


def select_examples(table: pd.DataFrame, order: str) -> pd.DataFrame:
    """Return the rows of `compare_votes` that an order of `ORDERS` shows, in that order.

    "lowest overlap" keeps all rows, by rising overlap; the other two keep the examples on which only that
    vote is right. Ties are ordered by how decisive the votes are, the largest sum of the two shares first,
    then by index.
    Raises `RequestError` for an unknown order.
    """
    if order not in ORDERS:
        raise RequestError(f"Found order {order!r}; expected {', '.join(ORDERS)}.")
    first, second = table["first_right"], table["second_right"]
    kept = {ORDERS[1]: first & ~second, ORDERS[2]: ~first & second}
    rows = table if order == ORDERS[0] else table[kept[order]]
    # Rounded, because shares that are equal in exact arithmetic must not be told apart by their last bit.
    decisive = (rows["first_share"] + rows["second_share"]).round(9)
    overlap = rows["overlap"] if order == ORDERS[0] else 0 * rows["overlap"]
    return rows.iloc[np.lexsort((rows["query_index"], -decisive, overlap))]


# Both votes, all examples.


@dataclass(frozen=True)
class Agreement:
    """Number of examples on which both votes are right, only the first, only the second, and neither."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def total(self) -> int:
        """Number of examples."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def p_value(self) -> float:
        """Probability of a split at least as uneven if both votes were equally good: the exact McNemar test.

        Only the examples on which exactly one vote is right count; 1 if there are none.
        """
        decided = self.only_first + self.only_second
        return _binomial_p_value(self.only_first, decided) if decided else 1.0


def count_agreement(table: pd.DataFrame) -> Agreement:
    """Return the counts for a table of `compare_votes`, or for some of its rows."""
    first, second = table["first_right"].to_numpy(), table["second_right"].to_numpy()
    counts = (first & second, first & ~second, ~first & second, ~first & ~second)
    return Agreement(*(int(count.sum()) for count in counts))


def describe_agreement(counts: Agreement, first: str, second: str) -> str:
    """Return in words whether one vote is better, and how sure that is.

    first, second: the names of the two similarities, as people see them.
    """
    decided = counts.only_first + counts.only_second
    if not decided:
        return "There is no example on which exactly one of the two votes is right."
    p = counts.p_value
    probability = f"{p:.2g}" if p >= 1e-4 else "less than 1 in 10,000"
    verdict = "is unlikely to be chance" if p < CHANCE else "could be chance"
    return (
        f"Exactly one vote is right on {decided:,} of {counts.total:,} examples: {first} on "
        f"{counts.only_first:,}, {second} on {counts.only_second:,}. If both were equally good, a split this "
        f"uneven would occur with probability {probability} (exact McNemar test); the difference {verdict}."
    )


def scoreboard(
    neighbors: Mapping[str, Neighbors],
    predictions: Predictions,
    labels: tuple[Labels, Labels],
    ks: tuple[int, ...] = KS,
    of_class: int | None = None,
) -> pd.DataFrame:
    """Return how often the votes of neighbors, and the ensemble, are right on the query split.

    neighbors: by the similarity's name. labels: of the query split and of the database split. ks: numbers of
    neighbors; those of which fewer are kept are left out. of_class: count only the examples with this label,
    of which there is one at least; None for all.
    Returns one row per similarity, vote and k; the last row is the ensemble's. Columns: by (the similarity,
    or ensemble), vote (majority or weighted; empty for the ensemble), k (0 for the ensemble), right (number
    of examples), accuracy, low, high (fractions; low and high are Wilson's interval at `CONFIDENCE`, which
    covers the choice of examples but not that of runs).
    """
    rights = {by: list(right_votes(of_similarity, labels, ks)) for by, of_similarity in neighbors.items()}
    return scoreboard_of(rights, predictions, labels, of_class)


def scoreboard_of(
    rights: Mapping[str, Sequence[tuple[Rule, Bools]]],
    predictions: Predictions,
    labels: tuple[Labels, Labels],
    of_class: int | None = None,
) -> pd.DataFrame:
    """Return the table of `scoreboard` from the `right_votes` of each similarity."""
    counted = labels[0] == (labels[0] if of_class is None else of_class)
    rows = [
        (by, "weighted" if rule.weighted else "majority", rule.k, int(right[counted].sum()))
        for by, of_similarity in rights.items()
        for rule, right in of_similarity
    ]
    rows.append(("ensemble", "", 0, int((predictions.predicted == labels[0])[counted].sum())))
    table = pd.DataFrame(rows, columns=["by", "vote", "k", "right"])
    total = int(counted.sum())
    intervals = [wilson_interval(right, total) for right in table["right"]]
    table["accuracy"] = table["right"] / total
    table["low"] = [low for low, _ in intervals]
    table["high"] = [high for _, high in intervals]
    return table


def right_votes(
    neighbors: Neighbors, labels: tuple[Labels, Labels], ks: tuple[int, ...] = KS
) -> Iterator[tuple[Rule, Bools]]:
    """Yield each rule that applies to these neighbors, and on which query examples its vote is right, (n,).

    Parameters: as of `scoreboard`; ks: rising. The sums for one k go on from those for the k before.
    """
    class_count = _class_count(labels)
    kept = [k for k in ks if k <= neighbors.k]
    for weighted in (False, True) if allows_weighted_vote(neighbors) else (False,):
        rights = np.empty((len(kept), len(labels[0])), bool)
        for rows in blocks(len(labels[0]), class_count):
            nearest = labels[1][neighbors.indices[rows]]
            values = neighbors.values[rows]
            weights = fourth_power(values) if weighted else np.ones(values.shape)
            sums, before = np.zeros((len(nearest), class_count)), 0
            for number, k in enumerate(kept):
                sums += class_weights(nearest[:, before:k], weights[:, before:k], class_count)
                rights[number, rows] = sums.argmax(1) == labels[0][rows]
                before = k
        yield from ((Rule(k, weighted), right) for k, right in zip(kept, rights, strict=True))


def label_agreement(
    neighbors: Neighbors,
    query_labels: Labels,
    database_labels: Labels,
    k: int,
    queries: npt.NDArray[np.int64] | slice = slice(None),
) -> float:
    """Return the share of the queries' k nearest neighbors that have the query's own label, 0 … 1.

    queries: indices of the queries that count; all by default.
    """
    nearest = database_labels[neighbors.indices[queries, :k]]  # (n, k)
    return float((nearest == query_labels[queries][:, None]).mean())


def mean_overlap(first: Neighbors, second: Neighbors, k: int) -> float:
    """Return overlap@k averaged over the queries: the share of the k nearest in both lists, 0 … 1."""
    return float(_is_shared(first.indices[:, :k], second.indices[:, :k]).mean())


def _is_shared(first: npt.NDArray[np.int32], second: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Return which neighbors in the first are among the same query's in the second. All (n_query, k)."""
    shared: npt.NDArray[np.bool_] = (first[:, :, None] == second[:, None, :]).any(2)
    return shared


def _class_count(labels: tuple[Labels, Labels]) -> int:
    return int(max(labels[0].max(), labels[1].max())) + 1


def _binomial_p_value(successes: int, trials: int) -> float:
    """Return the two-sided p-value of the exact binomial test for a probability of 1/2.

    Both tails are alike then, so it is twice the smaller one.
    """
    from scipy.special import bdtr  # scipy.stats has the test itself, and takes a second to import

    return float(min(1.0, 2 * bdtr(min(successes, trials - successes), trials, 0.5)))
