"""Labels to check: what ensemble and neighbors propose instead of each label, in an order of `ORDERS`.

The table has one row per example of a split that has predictions, the first to check first:

    rank                   1 for the first to check; equal scores by index
    query_split            train or test
    query_index            index of the example in its split
    database_split         train or test
    database_index         index of its nearest example; for "twin score", of its twin
    similarity             of the two; larger is nearer
    query_label            class number, the label as given
    database_label         class number of the nearest
    probability            of the label, averaged over the runs, 0 … 1
    likeliest              class number with the largest averaged probability
    likeliest_probability  that probability, 0 … 1
    share                  share of the neighbors' weight that is of the label's class, 0 … 1
    voted                  class number that the neighbors vote for
    voted_share            its share of the weight, 0 … 1
    both_against           whether ensemble and neighbors name the same class, and it is not the label
    proposed               class number that stands most against the label, by this order
    flagged                whether cleanlab's confident learning calls the label an issue
    score                  of this order, small first; its range stands with the order in `label_scores`

Neighbors weigh value⁴ each, up to the 50 that are kept; where no value is above 0, as with minus a distance,
each weighs 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.class_probabilities import ClassProbabilities
from kernel_core.errors import RequestError
from kernel_core.findings import label_scores
from kernel_core.findings.confident_learning import flag_issues
from kernel_core.findings.disagreement import allows_weighted_vote
from kernel_core.findings.label_scores import Evidence, Scored
from kernel_core.findings.twins import Aligned, twin_scores
from kernel_core.findings.votes import Labels, blocks, class_weights, fourth_power
from kernel_core.records import Neighbors
from kernel_core.spec import KernelSpec

BLOCK_CELLS = 1_000_000  # examples times classes at a time: 8 MB in float64, a fifth faster than 32
DIGITS = 12  # shares that are equal in exact arithmetic must not be told apart by their last bit

Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Order:
    """An order of labels to check.

    about: what it puts first, in plain words, to follow its name. needs_pixels: whether it needs the aligned
    pixels of the neighbors.
    """

    score: Callable[[Evidence], Scored]
    about: str
    needs_pixels: bool = False


ORDERS: dict[str, Order] = {
    "normalized margin": Order(
        label_scores.normalized_margin,
        "the label's mean probability against that of the likeliest other class (cleanlab)",
    ),
    "self-confidence": Order(
        label_scores.self_confidence, "the label's mean probability alone, smallest first (cleanlab)"
    ),
    "confident learning": Order(
        label_scores.confident_learning,
        "labels that cleanlab's confident learning flags, then the others, both by normalized margin",
    ),
    "agreement": Order(label_scores.agreement, "ensemble and neighbors both propose the same other class"),
    "vote": Order(label_scores.vote, "the neighbors' vote alone, against the label"),
    "twins": Order(
        label_scores.twins, "only examples whose nearest has a different label, most similar first"
    ),
    "twin score": Order(
        label_scores.twins,
        "only examples whose twin has a different label, by the twin score, largest first",
        needs_pixels=True,
    ),
}
"""Name in texts, addresses and options → the order; the first is the default."""
DEFAULT = next(iter(ORDERS))


def labels_to_check(
    neighbors: Neighbors,
    labels: tuple[Labels, Labels],
    probabilities: ClassProbabilities,
    order: str = DEFAULT,
    aligned: Aligned | None = None,
) -> pd.DataFrame:
    """Return the table of labels to check, with the columns above, in an order of `ORDERS`.

    labels: of the query split and of the database split. probabilities: of the query split, averaged over the
    runs; an example that has none is not in the table, and the classes that are not kept share alike what is
    left. aligned: of the neighbors, for an order that needs pixels. Raises `RequestError` for an unknown
    order, for aligned pixels that are missing, and where there are fewer than two classes.
    """
    if order_called(order).needs_pixels and aligned is None:
        raise RequestError(f"The order {order!r} needs the aligned pixels of the neighbors; found none.")
    pixels = aligned if ORDERS[order].needs_pixels else None
    return gather(neighbors, labels, probabilities, pixels).ranked(order)


def gather(
    neighbors: Neighbors,
    labels: tuple[Labels, Labels],
    probabilities: ClassProbabilities,
    aligned: Aligned | None = None,
    flagged: npt.NDArray[np.bool_] | None = None,
) -> Gathered:
    """Return what speaks for and against the labels. aligned: for an order by pixels, and for no other.

    flagged: bool (N,), which labels `flag_issues` flags, where that is known. The rest is as of
    `labels_to_check`.
    """
    if probabilities.class_count < 2:
        raise RequestError("Found one class; expected at least two, so that a label can be another's.")
    index = np.flatnonzero(probabilities.known)
    if len(index) < len(probabilities):
        probabilities = probabilities.rows(index)
    own = labels[0][index]
    flagged = flag_issues(own, probabilities) if flagged is None else np.asarray(flagged[index])
    twin = _twins(neighbors, aligned)
    of_rows = (
        (index[rows], own[rows], probabilities.rows(rows), flagged[rows])
        for rows in _blocks(len(index), probabilities.class_count)
    )
    return Gathered(neighbors.spec, flagged, (_evidence(neighbors, labels[1], of, twin) for of in of_rows))


@dataclass(frozen=True, eq=False)
class Gathered:
    """What speaks for and against labels, before it is put in an order.

    spec: of the neighbors. flagged: bool (n,). parts: of some examples each, the columns that every order has
    and what orders are made from; gone through once, unless they are `kept`.
    """

    spec: KernelSpec
    flagged: npt.NDArray[np.bool_]
    parts: Iterable[tuple[Columns, Evidence]]

    def kept(self) -> Gathered:
        """Return the same to be put in several orders; takes 16 bytes per example and class."""
        return replace(self, parts=tuple(self.parts))

    def ranked(self, order: str) -> pd.DataFrame:
        """Return the table in an order of `ORDERS` that needs pixels if and only if they were gathered."""
        tables, scored = [], []
        for columns, evidence in self.parts:
            tables.append(columns)
            scored.append(ORDERS[order].score(evidence))
        columns = {name: np.concatenate([of[name] for of in tables]) for name in tables[0]}
        return _table(self.spec, columns, self.flagged, Scored.joined(scored))


def _blocks(count: int, class_count: int) -> Iterator[slice]:
    """Yield slices of the examples, of which few have all their classes in memory; one at least, if empty."""
    size = max(1, BLOCK_CELLS // class_count)
    return (slice(start, min(start + size, count)) for start in range(0, max(1, count), size))


def _table(
    spec: KernelSpec, columns: Columns, flagged: npt.NDArray[np.bool_], scored: Scored
) -> pd.DataFrame:
    """Return the table, put in order. columns: those that every order has, by name; each (n,), as flagged."""
    places = scored.order()
    # Put in order before they are a table, which takes longer.
    ordered = {name: values[places] for name, values in columns.items()}
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(places) + 1),
            "query_split": spec.query,
            "query_index": ordered.pop("query_index"),
            "database_split": spec.database,
            **ordered,
            "proposed": scored.proposed[places],
            "flagged": flagged[places],
            "score": scored.score[places],
        },
        copy=False,
    )


def order_called(name: str) -> Order:
    """Return an order of `ORDERS`. Raises `RequestError` for another name."""
    if name not in ORDERS:
        raise RequestError(f"Found order {name!r}; expected {', '.join(ORDERS)}.")
    return ORDERS[name]


def _twins(
    neighbors: Neighbors, aligned: Aligned | None
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.floating]]:
    """Return the place of each query's twin among its neighbors, and how near it is, both (n,).

    That is the neighbor with the largest twin score, and this score; without pixels, the nearest.
    """
    if aligned is None:
        return np.zeros(len(neighbors.values), np.intp), neighbors.values[:, 0]
    scores = twin_scores(neighbors, aligned)
    return scores.argmax(1), scores.max(1)


def _evidence(
    neighbors: Neighbors,
    database_labels: Labels,
    of_rows: tuple[npt.NDArray[np.intp], Labels, ClassProbabilities, npt.NDArray[np.bool_]],
    twin: tuple[npt.NDArray[np.intp], npt.NDArray[np.floating]],
) -> tuple[Columns, Evidence]:
    """Return the columns that every order has, and what orders are made from, of some examples.

    of_rows: their index, label, probabilities, and whether the label is flagged. twin: of all query examples,
    as `_twins` returns it.
    """
    index, own, probabilities, flagged = of_rows
    row, place = np.arange(len(index)), twin[0][index]
    V, weight = vote_shares(neighbors, database_labels, probabilities.class_count, index)
    nearest = neighbors.indices[index, place].astype(np.int64)
    (likeliest, of_likeliest), voted = probabilities.likeliest(), V.argmax(1)
    columns: Columns = {
        "query_index": index,
        "database_index": nearest,
        "similarity": neighbors.values[index, place],
        "query_label": own,
        "database_label": database_labels[nearest],
        "probability": probabilities.of_classes(own),
        "likeliest": likeliest,
        "likeliest_probability": of_likeliest,
        "share": V[row, own],
        "voted": voted,
        "voted_share": V[row, voted],
        "both_against": (likeliest == voted) & (likeliest != own),
    }
    evidence = Evidence(
        own, probabilities.dense(), V, weight, twin[1][index], database_labels[nearest], flagged
    )
    return columns, evidence


def vote_shares(
    neighbors: Neighbors, database_labels: Labels, class_count: int, index: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return each class's share of the neighbors' weight, (n, C) from 0 to 1, and that weight, (n,).

    All neighbors that are kept vote. A share is 0 where no neighbor has weight. index: the query examples,
    (n,).
    """
    n, weighted = len(index), allows_weighted_vote(neighbors)
    shares, totals = np.zeros((n, class_count)), np.empty(n)
    for rows in blocks(n, class_count):
        chosen = _as_slice(index[rows])
        values = np.asarray(neighbors.values[chosen])
        weights = fourth_power(values) if weighted else np.ones(values.shape)
        totals[rows] = weights.sum(1)
        near = np.asarray(neighbors.indices[chosen])
        of_class = class_weights(database_labels[near], weights, class_count)
        total = totals[rows, None]
        np.divide(of_class, total, out=shares[rows], where=total > 0)
        np.round(shares[rows], DIGITS, out=shares[rows])
    return shares, totals


def _as_slice(index: npt.NDArray[np.intp]) -> npt.NDArray[np.intp] | slice:
    """Return rising indices as a slice where they leave none out: then nothing is copied."""
    if len(index) and index[-1] - index[0] == len(index) - 1:
        return slice(int(index[0]), int(index[-1]) + 1)
    return index


def select_labels(
    table: pd.DataFrame, label: int | None = None, proposed: int | None = None, *, both: bool = False
) -> pd.DataFrame:
    """Return the rows with this label and this proposed class; None for any. They keep their ranks.

    both: only those on which ensemble and neighbors agree against the label.
    """
    kept = np.ones(len(table), bool)
    if label is not None:
        kept &= (table["query_label"] == label).to_numpy()
    if proposed is not None:
        kept &= (table["proposed"] == proposed).to_numpy()
    if both:
        kept &= table["both_against"].to_numpy()
    return table[kept]
