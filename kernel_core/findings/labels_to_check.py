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

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.findings import label_scores
from kernel_core.findings.disagreement import allows_weighted_vote
from kernel_core.findings.label_scores import Evidence, Scored
from kernel_core.findings.twins import Aligned, twin_scores
from kernel_core.findings.votes import Labels, blocks, class_weights, fourth_power
from kernel_core.records import Neighbors

DIGITS = 12  # shares that are equal in exact arithmetic must not be told apart by their last bit


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
    probabilities: npt.NDArray[np.floating],
    order: str = DEFAULT,
    aligned: Aligned | None = None,
) -> pd.DataFrame:
    """Return the table of labels to check, with the columns above, in an order of `ORDERS`.

    labels: of the query split and of the database split. probabilities: (n, C) of the query split, averaged
    over the runs; a row of NaN where there are none, and then the example is not in the table. aligned: of
    the neighbors, for an order that needs pixels. Raises `RequestError` for an unknown order, for aligned
    pixels that are missing, and where there are fewer than two classes.
    """
    if order_called(order).needs_pixels and aligned is None:
        raise RequestError(f"The order {order!r} needs the aligned pixels of the neighbors; found none.")
    if probabilities.shape[1] < 2:
        raise RequestError("Found one class; expected at least two, so that a label can be another's.")
    index = np.flatnonzero(np.isfinite(probabilities).all(1))
    twin = _twins(neighbors, aligned if ORDERS[order].needs_pixels else None)
    columns, evidence = _evidence(neighbors, labels, probabilities, index, twin)
    if not len(index):
        return pd.DataFrame(columns).assign(proposed=labels[0][:0], flagged=False, score=0.0)
    scored = ORDERS[order].score(evidence)
    columns |= {
        "proposed": scored.proposed,
        "flagged": label_scores.flag_issues(evidence),
        "score": scored.score,
    }
    places = scored.order()
    columns["rank"] = np.arange(1, len(places) + 1)
    # Put in order before they are a table, which takes longer.
    return pd.DataFrame(
        {
            name: values[places] if isinstance(values, np.ndarray) and name != "rank" else values
            for name, values in columns.items()
        }
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
    labels: tuple[Labels, Labels],
    probabilities: npt.NDArray[np.floating],
    index: npt.NDArray[np.intp],
    twin: tuple[npt.NDArray[np.intp], npt.NDArray[np.floating]],
) -> tuple[dict[str, npt.ArrayLike], Evidence]:
    """Return the columns that every order has, and what orders are made from.

    index: the examples, (n,). twin: of all query examples, as `_twins` returns it.
    """
    own, row = labels[0][index], np.arange(len(index))
    V, weight = vote_shares(neighbors, labels[1], probabilities.shape[1])
    if len(index) == len(probabilities):
        P = probabilities.astype(np.float64)
    else:
        P, V, weight = probabilities[index].astype(np.float64), V[index], weight[index]
    place = twin[0][index]
    nearest = neighbors.indices[index, place].astype(np.int64)
    likeliest, voted = P.argmax(1), V.argmax(1)
    columns: dict[str, npt.ArrayLike] = {
        "rank": 0,
        "query_split": neighbors.spec.query,
        "query_index": index,
        "database_split": neighbors.spec.database,
        "database_index": nearest,
        "similarity": neighbors.values[index, place],
        "query_label": own,
        "database_label": labels[1][nearest],
        "probability": probabilities[index, own],
        "likeliest": likeliest,
        "likeliest_probability": probabilities[index, likeliest],
        "share": V[row, own],
        "voted": voted,
        "voted_share": V[row, voted],
        "both_against": (likeliest == voted) & (likeliest != own),
    }
    evidence = Evidence(own, P, V, weight, twin[1][index], labels[1][nearest])
    return columns, evidence


def vote_shares(
    neighbors: Neighbors, database_labels: Labels, class_count: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return each class's share of the neighbors' weight, (n, C) from 0 to 1, and that weight, (n,).

    All neighbors that are kept vote. A share is 0 where no neighbor has weight.
    """
    n, weighted = len(neighbors.indices), allows_weighted_vote(neighbors)
    shares, totals = np.zeros((n, class_count)), np.empty(n)
    for rows in blocks(n, class_count):
        values = neighbors.values[rows]
        weights = fourth_power(values) if weighted else np.ones(values.shape)
        totals[rows] = weights.sum(1)
        of_class = class_weights(database_labels[neighbors.indices[rows]], weights, class_count)
        total = totals[rows, None]
        np.divide(of_class, total, out=shares[rows], where=total > 0)
        np.round(shares[rows], DIGITS, out=shares[rows])
    return shares, totals


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
