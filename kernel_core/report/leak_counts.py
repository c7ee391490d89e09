"""How many examples are leaked: in all, by class, by verdict and between which splits; and what to drop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from kernel_core.report.leak_pairs import Leaked, between
from kernel_core.report.shares import Share, share, unknown
from kernel_core.results.results import Results
from kernel_core.review.leaked import KIND_OPEN
from kernel_core.review.sampling import default_strata
from kernel_core.review.verdicts import DUPLICATES, PAIR_VERDICTS
from kernel_core.spec import Split

SPLIT_PAIRS: tuple[tuple[Split, Split], ...] = ("test", "train"), ("train", "train"), ("test", "test")


def _known(found: int, total: int, judged: int) -> Share:
    """Return the share, or that it is unknown where no pair was judged."""
    return share(found, total) if judged else unknown(total)


def rate(results: Results, pairs: pd.DataFrame, leaked: Leaked) -> Share:
    """Return the share of query examples with a judged duplicate in the database split.

    It has no value unless a pair between the two splits was judged.
    """
    judged = len(between(pairs, results.query, results.database))
    return _known(int(leaked.mask.sum()), len(leaked.mask), judged)


def by_class(results: Results, pairs: pd.DataFrame, leaked: Leaked) -> list[dict[str, Any]]:
    """Return the same by the query example's class, in the order of classes."""
    labels = results.labels[0]
    judged = len(between(pairs, results.query, results.database))
    return [
        {"class": name, **_known(int(leaked.mask[labels == c].sum()), int((labels == c).sum()), judged)}
        for c, name in enumerate(results.class_names)
    ]


def by_verdict(results: Results, pairs: pd.DataFrame, leaked: Leaked) -> list[dict[str, Any]]:
    """Return, by verdict, the pairs between query and database split, and the examples leaked by it at most.

    An example with several duplicates counts once, for the closest.
    """
    own = between(pairs, results.query, results.database)
    closest = list(leaked.verdict.values())
    total = len(leaked.mask)
    rows = []
    verdicts = [*DUPLICATES, KIND_OPEN, *(name for name in PAIR_VERDICTS if name not in DUPLICATES)]
    for verdict in verdicts:
        count = int((own["verdict"] == verdict).sum())
        if count or verdict != KIND_OPEN:
            found = _known(closest.count(verdict), total, len(own))
            rows.append({"verdict": verdict, "pairs": count, **found})
    return rows


def by_splits(results: Results, pairs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return, by pair of splits, judged pairs, duplicates, and the examples of the first split with one.

    Within a split, both examples of a pair count.
    """
    rows = []
    for first, second in SPLIT_PAIRS:
        if {first, second} <= results.example_counts.keys():
            own = between(pairs, first, second)
            found = own[own["leaked"]]
            sides = [found["a_index"], found["b_index"]] if first == second else [found["a_index"]]
            examples = pd.concat(sides).nunique()
            total = results.example_counts[first]
            rows.append(
                {
                    "splits": f"{first}–{second}",
                    "judged": len(own),
                    "duplicates": len(found),
                    "labels_differ": int((found["a_label"] != found["b_label"]).sum()),
                    **_known(examples, total, len(own)),
                }
            )
    return rows


def coverage(
    judged: pd.DataFrame, undecided_ranks: pd.Series, count: int, positive: str = "leaked"
) -> list[dict[str, Any]]:
    """Return, by range of ranks, how many items were judged and how many are positive.

    judged: of `judged_pairs`, or of judged labels. undecided_ranks: of judged items that the rule leaves
    open. count: items in the ranking. positive: the column that says which are; the share is of those judged
    and not unsure.
    """
    ranked = judged[judged["rank"].notna()]
    rows = []
    for stratum in default_strata(count):
        inside = ranked[ranked["rank"].between(stratum.first, stratum.last)]
        undecided = int(undecided_ranks.between(stratum.first, stratum.last).sum())
        known = inside[inside["verdict"] != "unsure"]
        rows.append(
            {
                "first": stratum.first,
                "last": stratum.last,
                "size": len(stratum),
                "judged": len(inside) + undecided,
                "undecided": undecided + len(inside) - len(known),
                **share(int(known[positive].sum()), len(known)),
            }
        )
    return rows


def to_drop(results: Results, leaked: Leaked) -> dict[str, list[int]]:
    """Return, by name of a list, the indices to drop, rising: either list alone ends the leak.

    Between two splits: of each split, the examples of all leaked pairs. Within one split: all but the first
    of each group.
    """
    if results.query == results.database:
        members = np.flatnonzero(leaked.mask)
        _, first = np.unique(leaked.groups[members], return_index=True)
        kept = set(members[first].tolist())
        return {results.query: [i for i in members.tolist() if i not in kept]}
    return {
        results.query: np.unique(leaked.query_index).tolist(),
        results.database: np.unique(leaked.database_index).tolist(),
    }
