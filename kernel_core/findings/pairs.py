"""Each query example with its nearest database example: near-duplicates and label mismatches.

A table of pairs has these columns:

    rank              1 for the most similar pair; equal similarities are ranked by query index
    query_split       train or test
    query_index       index of the query example in its split
    database_split    train or test
    database_index    index of the database example in its split
    similarity        of the two examples; larger is nearer
    query_label       class number of the query example
    database_label    class number of the database example
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.findings.votes import Labels
from kernel_core.records import Neighbors

WINDOW = 48  # pairs in a window of ranks, as many as the dataset card shows
CARD_RANK = 601  # the first rank that the card shows, of 10,000
Indices = npt.NDArray[np.int64]


# Ranking.


def nearest_pairs(neighbors: Neighbors, query_labels: Labels, database_labels: Labels) -> pd.DataFrame:
    """Return the table of pairs: each query example with its nearest database example, most similar first.

    Within one split, two examples that are nearest to each other are one pair, whose query is the one of
    lower index.
    """
    order = np.argsort(-neighbors.values[:, 0], kind="stable")
    if neighbors.spec.excludes_self:
        order = order[~_is_repeated(neighbors.indices[:, 0])[order]]
    return table_of_pairs(neighbors, order, np.zeros_like(order), query_labels, database_labels)


def table_of_pairs(
    neighbors: Neighbors, order: Indices, position: Indices, query_labels: Labels, database_labels: Labels
) -> pd.DataFrame:
    """Return the table of pairs of query examples, in some order, with a neighbor of each, int64 (n,) both.

    position: the place of that neighbor in its list, 0 for the nearest.
    """
    database = neighbors.indices[order, position].astype(np.int64)
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(order) + 1),
            "query_split": neighbors.spec.query,
            "query_index": order,
            "database_split": neighbors.spec.database,
            "database_index": database,
            "similarity": neighbors.values[order, position],
            "query_label": query_labels[order],
            "database_label": database_labels[database],
        }
    )


def _is_repeated(nearest: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Return which examples form the same pair with their nearest as an example of lower index does.

    nearest: (N,), the index of each example's nearest in the same split. Returns bool (N,).

    >>> _is_repeated(np.array([1, 0, 0], np.int32))
    array([False,  True, False])
    """
    index = np.arange(len(nearest))
    repeated: npt.NDArray[np.bool_] = (nearest[nearest] == index) & (nearest < index)
    return repeated


def default_rank_window(count: int) -> tuple[int, int]:
    """Return the first and last rank to show at first: the card's 601–648, scaled to a shorter ranking.

    >>> default_rank_window(10_000), default_rank_window(500), default_rank_window(20)
    ((601, 648), (31, 78), (1, 20))
    """
    first = CARD_RANK if count >= CARD_RANK + WINDOW - 1 else count * (CARD_RANK - 1) // 10_000 + 1
    first = max(1, min(first, count - WINDOW + 1))
    return first, min(count, first + WINDOW - 1)


def border(pairs: pd.DataFrame, column: str = "similarity") -> float:
    """Return the similarity at which the default window of ranks begins: that of its first pair.

    On the dataset card's figure, twins turn into look-alikes there. pairs: at least one. column: what they
    are ranked by.
    """
    first, _ = default_rank_window(len(pairs))
    return float(pairs[column].iloc[first - 1])


def rank_window(pairs: pd.DataFrame, first: int, last: int) -> pd.DataFrame:
    """Return the pairs of ranks first … last.

    Raises `RequestError` unless 1 <= first <= last <= the number of pairs.
    """
    if not 1 <= first <= last <= len(pairs):
        raise RequestError(
            f"Ranks {first}–{last} were asked for, but there are {len(pairs):,} pairs. "
            f"Choose a first rank of at least 1 and a last rank from there to {len(pairs):,}."
        )
    return pairs.iloc[first - 1 : last]


def select_pairs(
    pairs: pd.DataFrame, labels: str = "all", of_class: int | None = None
) -> npt.NDArray[np.bool_]:
    """Return which pairs pass two filters, bool (n,).

    labels: all, same or different. of_class: a class number that one of the two labels must be; None for any.
    Raises `RequestError` for other values of labels.
    """
    query, database = (pairs[name].to_numpy() for name in ("query_label", "database_label"))
    same = query == database
    by_labels = {"all": np.ones(len(pairs), bool), "same": same, "different": ~same}
    if labels not in by_labels:
        raise RequestError(f"Found labels = {labels!r}; expected {', '.join(by_labels)}.")
    has_class = True if of_class is None else (query == of_class) | (database == of_class)
    selected: npt.NDArray[np.bool_] = by_labels[labels] & has_class
    return selected


def matching_pairs(
    pairs: pd.DataFrame,
    labels: str = "all",
    of_class: int | None = None,
    threshold: float | None = None,
    aligned: float | None = None,
    band: str | None = None,
) -> pd.DataFrame:
    """Return the pairs that pass the filters of `select_pairs`; they keep their ranks.

    threshold: only pairs whose similarity is at least this; None for all. aligned: the same of the column
    aligned of `findings.twins`. band: only pairs in this band of theirs; None for all. Raises as
    `select_pairs` does.
    """
    kept = select_pairs(pairs, labels, of_class)
    if band is not None:
        kept &= (pairs["band"] == band).to_numpy()
    for column, floor in (("similarity", threshold), ("aligned", aligned)):
        if floor is not None:
            # As float32, so that a value copied from the table, written in its few digits, keeps its pair.
            kept &= pairs[column].to_numpy() >= np.float32(floor)
    return pairs[kept]


def default_window(pairs: pd.DataFrame, matches: pd.DataFrame) -> tuple[int, int]:
    """Return the first and last place among the matches of a ranking to show at first.

    matches: from `matching_pairs`. Where all match, the window of `default_rank_window`; else the nearest
    `WINDOW` of the matches, because a window in the middle of the ranking has few of them or none.
    """
    if len(matches) == len(pairs):
        return default_rank_window(len(pairs))
    return 1, min(WINDOW, len(matches))


def with_class_names(table: pd.DataFrame, class_names: tuple[str, ...]) -> pd.DataFrame:
    """Return a table with the names of its classes in columns after all others, as query_class."""
    columns = {
        "query_label": "query_class", "database_label": "database_class", "predicted": "predicted_class",
        "likeliest": "likeliest_class", "voted": "voted_class", "proposed": "proposed_class",
    }  # fmt: skip
    names = np.array(class_names, object)
    return table.assign(**{columns[name]: names[table[name]] for name in columns if name in table})


def count_shared_pairs(pairs: pd.DataFrame, others: pd.DataFrame, top: int = WINDOW) -> int:
    """Return how many of the first `top` pairs of one ranking are among the first `top` of another.

    Two pairs are the same if both their examples are.
    """
    columns = ["query_index", "database_index"]
    return len(pairs.head(top)[columns].merge(others.head(top)[columns], on=columns))


def random_queries(total: int, seed: int, count: int = 10) -> npt.NDArray[np.int64]:
    """Return `count` different indices below `total`, or all if there are fewer, drawn by the seed alone."""
    return np.random.default_rng(seed).choice(total, min(count, total), replace=False)


# Label mismatches.


def label_mismatches(neighbors: Neighbors, query_labels: Labels, database_labels: Labels) -> pd.DataFrame:
    """Return the table of pairs without those of equal labels; the others keep their ranks."""
    pairs = nearest_pairs(neighbors, query_labels, database_labels)
    return pairs[pairs["query_label"] != pairs["database_label"]]


def with_label_pair(mismatches: pd.DataFrame, query_label: int, database_label: int) -> pd.DataFrame:
    """Return the mismatches with these two class numbers, in this order."""
    return mismatches[
        (mismatches["query_label"] == query_label) & (mismatches["database_label"] == database_label)
    ]


def count_label_pairs(mismatches: pd.DataFrame) -> pd.DataFrame:
    """Return how often each pair of labels occurs among mismatches, one row per pair that does.

    Columns: query_label, database_label (class numbers), count (1 …). The most frequent comes first; equal
    counts are in the order of their labels.
    """
    counts = mismatches.groupby(["query_label", "database_label"]).size().rename("count")
    return counts.sort_values(ascending=False, kind="stable").reset_index()


def most_mismatched_labels(counts: pd.DataFrame, class_count: int, limit: int) -> list[int]:
    """Return the labels with the most mismatches, at most `limit`, in rising order.

    counts: of `count_label_pairs`. A mismatch counts for both of its labels; of labels with equally many, the
    smaller is preferred.
    """
    totals = np.zeros(class_count, np.int64)
    for column in ("query_label", "database_label"):
        np.add.at(totals, counts[column].to_numpy(np.int64), counts["count"].to_numpy())
    return sorted(np.argsort(-totals, kind="stable")[:limit].tolist())


def expand_neighbors(
    pairs: pd.DataFrame, neighbors: Neighbors, database_labels: Labels, count: int
) -> pd.DataFrame:
    """Return a table with one row per pair and neighbor, for the `count` nearest neighbors of each query.

    It has the columns of pairs, where database_index, similarity and database_label are the neighbor's, and
    position (1 … count), the neighbor's place in the query's list. Raises `RequestError` if fewer are kept.
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
