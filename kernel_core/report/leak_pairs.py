"""The judged pairs of a source, one row each: what a rule takes from the verdicts, and where they rank."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.results.pair_orders import ordered_pairs
from kernel_core.results.results import Results
from kernel_core.review.consensus import ITEM_COLUMNS, RULES, undecided
from kernel_core.review.judged import Judged
from kernel_core.review.leaked import KIND_OPEN, decided_pairs
from kernel_core.review.verdicts import DUPLICATES

RANKED = ("rank", "similarity", "aligned", "twin", "band")  # of a ranking, where it has them


@dataclass(frozen=True)
class Asked:
    """What a leak report is about.

    similarity, order: the ranking that it goes along. rule: of `RULES`. leaked: the verdicts that count as a
    leak, of `DUPLICATES`. threshold: the least value, in that order, of a pair that counts as a candidate;
    None for the default. Raises `RequestError` for other values of rule and leaked.
    """

    similarity: str = "kernel"
    order: str = "kernel"
    rule: str = "majority"
    leaked: tuple[str, ...] = field(default=DUPLICATES)
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise RequestError(f"Found the rule {self.rule!r}; expected one of {', '.join(RULES)}.")
        if not self.leaked or not set(self.leaked) <= set(DUPLICATES):
            found = ",".join(self.leaked) or "none"
            raise RequestError(
                f"Found {found!r} as verdicts that count as a leak; expected one or more of "
                f"{', '.join(DUPLICATES)}, with commas."
            )


def judged_pairs(results: Results, judged: Judged, asked: Asked) -> pd.DataFrame:
    """Return one row per pair that the rule decides, sorted by item.

    Columns: those of `review.leaked.decided_pairs`; a_label, b_label (class numbers); rank, similarity, and
    where they are built aligned, twin and band, of the ranking: missing for pairs that it does not list, as
    it lists each query example with one neighbor.
    Raises as `ordered_pairs` does.
    """
    table = decided_pairs(judged, asked.rule, asked.leaked)
    for side in ("a", "b"):
        table[f"{side}_label"] = _labels(results, table, side)
    ranking = by_item(ordered_pairs(results, asked.similarity, asked.order))
    found = table.merge(ranking, on=ITEM_COLUMNS, how="left", validate="one_to_one")
    return found.astype({"rank": "Int64"})


def open_pairs(judged: Judged, asked: Asked, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `review.consensus.undecided` whose pairs are not among these of `judged_pairs`."""
    found = undecided(judged, "pair", asked.rule)
    known = pd.MultiIndex.from_frame(pairs[ITEM_COLUMNS])
    return found[~pd.MultiIndex.from_frame(found[ITEM_COLUMNS]).isin(known)]


def by_item(ranking: pd.DataFrame) -> pd.DataFrame:
    """Return a table of pairs with its examples in the order of `judged.pair_of`, as a_split … b_index."""
    split, index = (
        (ranking[f"query_{part}"].to_numpy(), ranking[f"database_{part}"].to_numpy())
        for part in ("split", "index")
    )
    swapped = (split[0] > split[1]) | ((split[0] == split[1]) & (index[0] > index[1]))
    columns = {}
    for part, (query, database) in (("split", split), ("index", index)):
        columns[f"a_{part}"] = np.where(swapped, database, query)
        columns[f"b_{part}"] = np.where(swapped, query, database)
    kept = [name for name in RANKED if name in ranking]
    return pd.DataFrame(columns)[ITEM_COLUMNS].assign(**{name: ranking[name].to_numpy() for name in kept})


def _labels(results: Results, table: pd.DataFrame, side: str) -> npt.NDArray[np.int64]:
    labels = np.zeros(len(table), np.int64)
    splits, indices = table[f"{side}_split"].to_numpy(), table[f"{side}_index"].to_numpy(np.int64)
    for split, examples in results.examples.items():
        mask = splits == split
        labels[mask] = examples.labels[indices[mask]]
    return labels


def between(pairs: pd.DataFrame, query: str, database: str) -> pd.DataFrame:
    """Return the judged pairs with an example of each of two splits, or of one split twice."""
    first, second = sorted((query, database))
    return pairs[(pairs["a_split"] == first) & (pairs["b_split"] == second)]


@dataclass(frozen=True, eq=False)
class Leaked:
    """The query examples with a judged duplicate in the database split.

    mask: bool (N,). verdict: by index of a leaked example, the closest verdict on it, exact first. pairs:
    their rows of `judged_pairs`. query_index, database_index: int64, of each of these pairs; within one split
    each pair is there in both orders. groups: int64 (N,), a number for each query example; those that
    duplicates connect, also by way of the other split, share one.
    """

    mask: npt.NDArray[np.bool_]
    verdict: dict[int, str]
    pairs: pd.DataFrame
    query_index: npt.NDArray[np.int64]
    database_index: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]


def leaked_of(results: Results, pairs: pd.DataFrame) -> Leaked:
    """Return which query examples are leaked. pairs: of `judged_pairs`, in all splits."""
    own = between(pairs, results.query, results.database)
    own = own[own["leaked"]]
    a, b = own["a_index"].to_numpy(np.int64), own["b_index"].to_numpy(np.int64)
    if results.query == results.database:
        query, database = np.concatenate([a, b]), np.concatenate([b, a])
    else:
        query, database = (a, b) if results.query < results.database else (b, a)
    verdicts = own["verdict"].tolist() * (len(query) // max(1, len(own)))
    closest: dict[int, str] = {}
    for index, verdict in zip(query.tolist(), verdicts, strict=True):
        before = closest.get(index, verdict)
        closest[index] = min(before, verdict, key=[*DUPLICATES, KIND_OPEN].index)
    mask = np.zeros(len(results.labels[0]), bool)
    mask[query] = True
    return Leaked(mask, closest, own, query, database, _groups(results, pairs))


def _groups(results: Results, pairs: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the number of the group of each query example, by all judged duplicates."""
    from scipy.sparse import csr_array  # takes 0.2 s to import
    from scipy.sparse.csgraph import connected_components

    start, total = {}, 0
    for split, count in results.example_counts.items():
        start[split], total = total, total + count
    found = pairs[pairs["leaked"]]
    ends = [
        found[f"{side}_index"].to_numpy(np.int64) + found[f"{side}_split"].map(start).to_numpy(np.int64)
        for side in ("a", "b")
    ]
    graph = csr_array((np.ones(len(found), bool), (ends[0], ends[1])), shape=(total, total))
    _, component = connected_components(graph, directed=False)
    first = start[results.query]
    _, groups = np.unique(component[first : first + len(results.labels[0])], return_inverse=True)
    numbers: npt.NDArray[np.int64] = groups.astype(np.int64)
    return numbers
