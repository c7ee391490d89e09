"""Where two similarities disagree, and which of them is right: votes compared example by example, and a scoreboard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.findings.votes import Labels, neighbor_weights, weighted_vote
from kernel_core.records import Neighbors, Predictions

KS = (1, 3, 5, 10, 20, 50)  # numbers of neighbors that the scoreboard tries
CONFIDENCE = 0.95  # of the intervals
CHANCE = 0.05  # a p-value below it is called larger than chance


@dataclass(frozen=True)
class Rule:
    """How neighbors vote: the k nearest, each alike or weighted by similarity to the fourth power; ties to the smallest label."""

    k: int
    weighted: bool


RULES = {"majority of 3": Rule(3, weighted=False), "weighted 20": Rule(20, weighted=True)}
"""Name shown and in addresses → the rule. Those of the accuracies that the dataset card reports."""

ORDERS = ("lowest overlap", "first right, second wrong", "first wrong, second right")


def allows_weighted_vote(similarity: str) -> bool:
    """Whether a weighted vote makes sense: not by minus a distance, where no value is positive."""
    return similarity != "penultimate-euclidean"


def vote(
    neighbors: Neighbors, database_labels: Labels, rule: Rule, classes: int
) -> tuple[Labels, npt.NDArray[np.float64]]:
    """The label that each query example's neighbors vote for, (n,), and its share of the votes' weight, (n,) in 0 … 1.

    The share is 0 where nothing has weight; the label is then 0. Fewer neighbors vote where fewer are kept. Raises
    `RequestError` for a weighted vote by minus a distance.
    """
    if rule.weighted and not allows_weighted_vote(neighbors.spec.similarity):
        raise RequestError(
            f"A weighted vote was asked for by {neighbors.spec.similarity}, whose values are minus distances and have "
            "no weight; expected another similarity, or the majority vote."
        )
    weights = neighbor_weights(neighbors, rule.k, weighted=rule.weighted)
    nearest = database_labels[neighbors.indices[:, : weights.shape[1]]]  # (n, k)
    winners = weighted_vote(nearest, weights, classes)
    total = weights.sum(1)
    won = (weights * (nearest == winners[:, None])).sum(1)
    return winners, np.divide(won, total, out=np.zeros(len(total)), where=total > 0)


def compare_votes(
    first: Neighbors,
    second: Neighbors,
    labels: tuple[Labels, Labels],
    *,
    rule: Rule,
    k: int,
) -> pd.DataFrame:
    """What the neighbors by two similarities say of each query example; labels: of the query and the database split.

    A row a query example, in order of index. Columns: query_index, query_label, overlap (overlap@k: the share of the k
    nearest that both name, 0 … 1), and for first and second each: first_vote (a class number), first_share (its share
    of the votes' weight, 0 … 1), first_right (whether it is the label). Raises `RequestError` if k is not kept.
    """
    query_labels, database_labels = labels
    classes = _classes(labels)
    a, b = first.head(k).indices, second.head(k).indices
    table = {
        "query_index": np.arange(len(query_labels)),
        "query_label": query_labels,
        "overlap": (a[:, :, None] == b[:, None, :]).any(2).mean(1),
    }
    for name, neighbors in (("first", first), ("second", second)):
        winners, share = vote(neighbors, database_labels, rule, classes)
        table |= {
            f"{name}_vote": winners,
            f"{name}_share": share,
            f"{name}_right": winners == query_labels,
        }
    return pd.DataFrame(table)


def select_examples(table: pd.DataFrame, order: str) -> pd.DataFrame:
    """The rows of `compare_votes` that an order of `ORDERS` is about, the first to be looked at first.

    "lowest overlap" keeps all, by rising overlap; the other two keep the examples on which that one vote is right.
    Equal ones, and all of the other two: the clearest votes first (the sum of the two shares), then by lower index.
    """
    if order not in ORDERS:
        raise RequestError(f"No order is called {order!r}; known: {', '.join(ORDERS)}.")
    first, second = table["first_right"], table["second_right"]
    kept = {ORDERS[1]: first & ~second, ORDERS[2]: ~first & second}
    rows = table if order == ORDERS[0] else table[kept[order]]
    # rounded: shares that are equal in exact arithmetic must not be told apart by their last bit
    clear = (rows["first_share"] + rows["second_share"]).round(9)
    overlap = rows["overlap"] if order == ORDERS[0] else 0 * rows["overlap"]
    return rows.iloc[np.lexsort((rows["query_index"], -clear, overlap))]


@dataclass(frozen=True)
class Agreement:
    """On how many examples both votes are right, only the first, only the second, and neither."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def total(self) -> int:
        """How many examples there are."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def p_value(self) -> float:
        """The exact McNemar test: were both votes equally good, how probable is a split of the examples on which just
        one is right that is at least as uneven as this; 1 where there are none."""
        decided = self.only_first + self.only_second
        return _binomial(self.only_first, decided).pvalue if decided else 1.0


def count_agreement(table: pd.DataFrame) -> Agreement:
    """The counts of a table of `compare_votes`, or of some of its rows."""
    first, second = table["first_right"].to_numpy(), table["second_right"].to_numpy()
    counts = (first & second, first & ~second, ~first & second, ~first & ~second)
    return Agreement(*(int(count.sum()) for count in counts))


def describe_agreement(counts: Agreement, first: str, second: str) -> str:
    """Whether one vote is better than the other, and how sure that is; first, second: what the two are called."""
    decided = counts.only_first + counts.only_second
    if not decided:
        return "There is no example on which just one of the two votes is right."
    p = counts.p_value
    chance = f"{p:.2g}" if p >= 1e-4 else "less than 1 in 10,000"
    return (
        f"Just one vote is right on {decided:,} of {counts.total:,} examples: {first} on {counts.only_first:,}, "
        f"{second} on {counts.only_second:,}. Were both votes equally good, a split at least as uneven would have the "
        f"probability {chance} (exact McNemar test): the difference "
        f"{'is larger than chance would make it' if p < CHANCE else 'could be chance'}."
    )


def scoreboard(
    neighbors: Mapping[str, Neighbors],
    predictions: Predictions,
    labels: tuple[Labels, Labels],
    ks: tuple[int, ...] = KS,
) -> pd.DataFrame:
    """How often the neighbors' votes, and the ensemble, are right on the query split.

    A row a similarity, vote and k, those that are kept; the ensemble last. Columns: by (a similarity's name, or
    "ensemble"), vote ("majority", "weighted"; empty for the ensemble), k (0 for the ensemble), right (how many),
    accuracy, low, high (fractions; Wilson's interval of `CONFIDENCE`: what the examples' number leaves open, not what
    other runs would).
    """
    rows = [
        (by, "weighted" if rule.weighted else "majority", rule.k, right)
        for by, found in neighbors.items()
        for rule, right in _scores(found, labels, ks)
    ]
    rows.append(("ensemble", "", 0, int((predictions.predicted == labels[0]).sum())))
    table = pd.DataFrame(rows, columns=["by", "vote", "k", "right"])
    total = len(labels[0])
    intervals = [
        _binomial(right, total).proportion_ci(CONFIDENCE, method="wilson") for right in table["right"]
    ]
    table["accuracy"] = table["right"] / total
    table["low"] = [interval.low for interval in intervals]
    table["high"] = [interval.high for interval in intervals]
    return table


def _scores(
    neighbors: Neighbors, labels: tuple[Labels, Labels], ks: tuple[int, ...]
) -> Iterator[tuple[Rule, int]]:
    """Each rule that applies to these neighbors, and on how many query examples it is right."""
    for weighted in (False, True) if allows_weighted_vote(neighbors.spec.similarity) else (False,):
        for k in ks:
            if k <= neighbors.k:
                rule = Rule(k, weighted)
                winners, _share = vote(neighbors, labels[1], rule, _classes(labels))
                yield rule, int((winners == labels[0]).sum())


def _classes(labels: tuple[Labels, Labels]) -> int:
    return int(max(labels[0].max(), labels[1].max())) + 1


def _binomial(successes: int, trials: int) -> Any:
    """SciPy's exact binomial test; loaded when first asked for, since that takes half a second."""
    from scipy.stats import binomtest

    return binomtest(successes, trials)


def label_agreement(
    neighbors: Neighbors,
    query_labels: npt.NDArray[np.int64],
    database_labels: npt.NDArray[np.int64],
    k: int,
    queries: npt.NDArray[np.int64] | slice = slice(None),
) -> float:
    """The share of the k nearest neighbors of these queries (all by default) that have the query's own label."""
    nearest = database_labels[neighbors.indices[queries, :k]]  # (n, k)
    return float((nearest == query_labels[queries][:, None]).mean())


def mean_overlap(first: Neighbors, second: Neighbors, k: int) -> float:
    """Overlap@k: the share of the k nearest neighbors that both similarities name, averaged over the queries."""
    a, b = first.indices[:, :k], second.indices[:, :k]
    return float((a[:, :, None] == b[:, None, :]).any(2).mean())
