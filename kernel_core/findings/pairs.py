"""The nearest pair of every query example: near-duplicates by rank, label mismatches, and how similar they all are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.records import Neighbors

Labels = npt.NDArray[np.int64]
WINDOW = 48  # pairs shown at a time; the dataset card shows 48 from rank 601 on
CARD_RANK = 601


def nearest_pairs(neighbors: Neighbors, query_labels: Labels, database_labels: Labels) -> pd.DataFrame:
    """Every query example with its nearest database example, the most similar pair first.

    Within one split, two examples that are nearest to each other are one pair, the one of lower index its query.
    Columns: rank (1 …, ties by query index), query_split, query_index, database_split, database_index,
    similarity (larger is nearer), query_label, database_label (class numbers).
    """
    order = np.argsort(-neighbors.values[:, 0], kind="stable")
    if neighbors.spec.excludes_self:
        order = order[~_is_repeated(neighbors.indices[:, 0])[order]]
    nearest = neighbors.indices[order, 0]
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(order) + 1),
            "query_split": neighbors.spec.query,
            "query_index": order,
            "database_split": neighbors.spec.database,
            "database_index": nearest.astype(np.int64),
            "similarity": neighbors.values[order, 0],
            "query_label": query_labels[order],
            "database_label": database_labels[nearest],
        }
    )


def _is_repeated(nearest: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Which examples make the same pair with their nearest as an example of lower index does. Both (N,).

    >>> _is_repeated(np.array([1, 0, 0], np.int32))
    array([False,  True, False])
    """
    index = np.arange(len(nearest))
    repeated: npt.NDArray[np.bool_] = (nearest[nearest] == index) & (nearest < index)
    return repeated


def default_rank_window(count: int) -> tuple[int, int]:
    """The window of ranks shown first: the card's 601–648, or as far down a shorter ranking.

    >>> default_rank_window(10_000), default_rank_window(500), default_rank_window(20)
    ((601, 648), (31, 78), (1, 20))
    """
    first = CARD_RANK if count >= CARD_RANK + WINDOW - 1 else count * (CARD_RANK - 1) // 10_000 + 1
    first = max(1, min(first, count - WINDOW + 1))
    return first, min(count, first + WINDOW - 1)


def select_pairs(
    pairs: pd.DataFrame, labels: str = "all", of_class: int | None = None
) -> npt.NDArray[np.bool_]:
    """Which pairs have the "same" or "different" labels, or "all"; and, if it is given, of_class as one of them. (n,)

    Raises `RequestError` for another word.
    """
    query, database = (pairs[name].to_numpy() for name in ("query_label", "database_label"))
    same = query == database
    kept = {"all": np.ones(len(pairs), bool), "same": same, "different": ~same}
    if labels not in kept:
        raise RequestError(f"Pairs of {labels!r} labels were asked for; expected {', '.join(kept)}.")
    has_class = True if of_class is None else (query == of_class) | (database == of_class)
    found: npt.NDArray[np.bool_] = kept[labels] & has_class
    return found


def rank_window(pairs: pd.DataFrame, first: int, last: int) -> pd.DataFrame:
    """The pairs of rank first … last. Raises `RequestError` unless 1 <= first <= last <= the number of pairs."""
    if not 1 <= first <= last <= len(pairs):
        raise RequestError(
            f"Ranks {first}–{last} were asked for, but there are {len(pairs):,} pairs; "
            f"expected a first rank of at least 1, then a last one of at most {len(pairs):,}."
        )
    return pairs.iloc[first - 1 : last]


def count_shared_pairs(pairs: pd.DataFrame, others: pd.DataFrame, top: int = WINDOW) -> int:
    """How many of the first `top` pairs of a ranking, by both their examples, are among the first `top` of another."""
    names = ["query_index", "database_index"]
    return len(pairs.head(top)[names].merge(others.head(top)[names], on=names))


def label_mismatches(neighbors: Neighbors, query_labels: Labels, database_labels: Labels) -> pd.DataFrame:
    """The near-duplicate ranking, kept where the two labels differ; its columns, its ranks, each pair once."""
    pairs = nearest_pairs(neighbors, query_labels, database_labels)
    return pairs[pairs["query_label"] != pairs["database_label"]]


def with_label_pair(mismatches: pd.DataFrame, query_label: int, database_label: int) -> pd.DataFrame:
    """Those mismatches whose labels are these two class numbers, in this order."""
    return mismatches[
        (mismatches["query_label"] == query_label) & (mismatches["database_label"] == database_label)
    ]


def count_label_pairs(mismatches: pd.DataFrame) -> pd.DataFrame:
    """How often each pair of labels is among these mismatches, the most frequent first, then by label.

    Columns: query_label, database_label (class numbers), count (1 …); pairs that do not occur have no row.
    """
    counts = mismatches.groupby(["query_label", "database_label"]).size().rename("count")
    return counts.sort_values(ascending=False, kind="stable").reset_index()


def most_mismatched_labels(counts: pd.DataFrame, classes: int, limit: int) -> list[int]:
    """The labels with most mismatches, at most `limit`, in rising order; counts: of `pairs.count_label_pairs`.

    A mismatch counts for both its labels; of equal counts the smaller label goes first.
    """
    met = np.zeros(classes, np.int64)
    for side in ("query_label", "database_label"):
        np.add.at(met, counts[side].to_numpy(np.int64), counts["count"].to_numpy())
    return sorted(np.argsort(-met, kind="stable")[:limit].tolist())


def expand_neighbors(
    pairs: pd.DataFrame, neighbors: Neighbors, database_labels: Labels, count: int
) -> pd.DataFrame:
    """Each pair's row once for each of the query's `count` nearest database examples.

    Adds the column position (1 … count); database_index, similarity and database_label are that neighbor's.
    Raises `RequestError` if fewer neighbors are kept.
    """
    kept = neighbors.head(count)
    rows = pairs.loc[pairs.index.repeat(count)].reset_index(drop=True)
    query = pairs["query_index"].to_numpy()
    nearest = kept.indices[query].astype(np.int64)  # (pairs, count)
    rows["database_index"] = nearest.ravel()
    rows["similarity"] = kept.values[query].ravel()
    rows["database_label"] = database_labels[nearest].ravel()
    rows["position"] = np.tile(np.arange(1, count + 1), len(pairs))
    return rows


BINS = 60


POINTS = 400  # of the curve, no more than there are pixels to draw it


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of similarities in bins of equal width.

    edges: float64 (bins + 1,), rising. counts: int64 (bins,). first, last: int64 (bins,), the ranks (1 is the most
    similar) of what lies in each bin; an empty bin's last rank is one below its first.
    """

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]


def histogram(similarities: npt.NDArray[np.float32], bins: int = BINS) -> Histogram:
    """The histogram of similarities, float (N,) in any order, N at least 1; one bin if all are equal.

    A value on an edge lies in the bin above it, the largest in the last bin.
    """
    values = np.asarray(similarities, np.float64)
    low, high = float(values.min()), float(values.max())
    if low == high:
        edges = np.array([low, high])
        counts = np.array([len(values)])
    else:
        edges = np.linspace(low, high, bins + 1)
        counts = np.histogram(values, edges)[0].astype(np.int64)
    last = np.cumsum(counts[::-1])[::-1]
    return Histogram(edges, counts, last - counts + 1, last)


def window_length(count: int) -> int:
    """How many ranks the running share of a ranking of `count` is over: a twentieth, 20 to 500, or all there are.

    >>> window_length(10_000), window_length(500), window_length(40), window_length(9)
    (500, 25, 20, 9)
    """
    return min(count, max(20, min(500, count // 20)))


def label_agreement_curve(agrees: npt.NDArray[np.bool_], window: int, points: int = POINTS) -> pd.DataFrame:
    """How often labels agree along a ranking. agrees: bool (N,), by rank, N at least 1. window: 1 … N ranks.

    Columns: rank (1 … N, at most `points` of them, first and last among them), running (the share of the window of
    ranks around it, shifted inwards at the ends, in [0, 1]), cumulative (of this rank and all before, in [0, 1]).
    """
    count = len(agrees)
    total = np.concatenate([[0], np.cumsum(agrees)])  # (N + 1,): how many of the first so many agree
    rank = np.unique(np.linspace(1, count, min(points, count)).round().astype(np.int64))
    start = np.clip(rank - 1 - window // 2, 0, count - window)
    return pd.DataFrame(
        {
            "rank": rank,
            "running": (total[start + window] - total[start]) / window,
            "cumulative": total[rank] / rank,
        }
    )


def random_queries(total: int, seed: int, count: int = 10) -> npt.NDArray[np.int64]:
    """`count` different indices below `total` (all, if there are fewer), drawn by the seed alone."""
    return np.random.default_rng(seed).choice(total, min(count, total), replace=False)
