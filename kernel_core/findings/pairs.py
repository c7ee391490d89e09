"""Near-duplicates: query examples ranked by the similarity to their nearest database example."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.records import Neighbors

Labels = npt.NDArray[np.int64]
PAGE = 48  # pairs shown at a time; the dataset card shows 48 from rank 601 on
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


def default_ranks(count: int) -> tuple[int, int]:
    """The window of ranks shown first: the card's 601–648, or as far down a shorter ranking.

    >>> default_ranks(10_000), default_ranks(500), default_ranks(20)
    ((601, 648), (31, 78), (1, 20))
    """
    first = CARD_RANK if count >= CARD_RANK + PAGE - 1 else count * (CARD_RANK - 1) // 10_000 + 1
    first = max(1, min(first, count - PAGE + 1))
    return first, min(count, first + PAGE - 1)


def passes(pairs: pd.DataFrame, labels: str = "all", of_class: int | None = None) -> npt.NDArray[np.bool_]:
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


def pairs_held(pairs: pd.DataFrame, others: pd.DataFrame, top: int = PAGE) -> int:
    """How many of the first `top` pairs of a ranking, by both their examples, are among the first `top` of another."""
    names = ["query_index", "database_index"]
    return len(pairs.head(top)[names].merge(others.head(top)[names], on=names))
