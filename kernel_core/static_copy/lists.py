"""The lists of a static copy: what the verbs and pages list, as columns of numbers of examples and values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.errors import NotBuilt, RequestError
from kernel_core.findings.group_words import describe_groups
from kernel_core.findings.label_orders import MOST_SIMILAR, labels_in_doubt
from kernel_core.findings.labels_to_check import DEFAULT
from kernel_core.findings.twins import BANDS, allows_twin_score
from kernel_core.results.counterfactuals import memorization_of
from kernel_core.results.grouping import counts_of, default_threshold, find_groups
from kernel_core.results.label_check import BASES, check_labels, direction_of, judging, said_of_unlikely
from kernel_core.results.pair_orders import ORDERS, ordered_pairs
from kernel_core.results.results import Results
from kernel_core.spec import ADJECTIVES
from kernel_core.static_copy.numbered import Numbered

MEMBERS = 40  # of a group that are stored
Maker = Callable[[Numbered, int], "Listed"]


@dataclass
class Listed:
    """One list of the copy.

    page: of the copy that shows it. name: of its file. choice: the values of the page's controls that lead to
    it. total: rows of the whole list. columns: values by row, of the first rows. notes: sentences about it.
    """

    page: str
    name: str
    choice: dict[str, str]
    total: int
    columns: dict[str, list[Any]]
    notes: list[str] = field(default_factory=list)

    def about(self) -> dict[str, Any]:
        """Return what the copy says of the list before its rows are read."""
        count = len(next(iter(self.columns.values())))
        return {
            "page": self.page, "name": self.name, "choice": self.choice, "total": self.total,
            "count": count, "notes": self.notes,
        }  # fmt: skip


def lists_of(
    parts: Sequence[Results], by: str, numbered: Numbered, most: int
) -> tuple[list[Listed], list[str]]:
    """Return every list that can be had of what is built, and what is left out and why.

    parts: the results in each direction; the first is the one that they were opened in. by: the similarity.
    most: rows per list, at most.
    """
    parts[0].neighbors_by(by)  # else there is nothing to list
    lists: list[Listed] = []
    lacking = [f"Neighbors {_how(part, 'build', by)}" for part in parts if by not in part.names]
    parts = [part for part in parts if by in part.names]
    if parts[0].has_images and allows_twin_score(parts[0].similarity(by)):
        without = [part for part in parts if by not in part.aligned]
        lacking += [f"Twin scores {_how(part, 'aligned', by)}" for part in without]
    for make in _makers(parts, by):
        try:
            lists.append(make(numbered, most))
        except (NotBuilt, RequestError) as missing:
            lacking.append(str(missing))
    return lists, list(dict.fromkeys(lacking))


def _how(results: Results, verb: str, by: str) -> str:
    """Return that something is not built in a direction, and the command that builds it."""
    spec = results.spec
    words = f"kernel-explorer {verb} SOURCE --query {spec.query} --database {spec.database} --similarity {by}"
    return f"{spec.direction} are not built: {words}"


def _makers(parts: Sequence[Results], by: str) -> list[Maker]:
    """Return what makes each list, in the order of the copy's menu."""
    own = [part for part in parts if direction_of(part, part.query) == part.spec.splits]
    masked = [parts[0]] if parts[0].unseen is not None else []
    orders = [order for order in ORDERS if order != "twin" or by in parts[0].aligned]
    return [
        *(partial(_pairs, part, by, "kernel") for part in parts),
        *(partial(_pairs, part, by, "twin") for part in parts if by in part.aligned),
        *(partial(_labels, part, by) for part in own),
        *(partial(_conflicts, part, by) for part in parts),
        *(partial(_groups, parts, by, order) for order in orders),
        *(partial(_memorized, part) for part in masked),
    ]


def _exact(values: pd.Series[Any] | npt.NDArray[Any]) -> list[float | None]:
    """Return values as JSON takes them; a float32 has the fewest digits that tell it from the next one."""
    array = np.asarray(values)
    if array.dtype == np.float32:
        return [float(str(value)) if np.isfinite(value) else None for value in array]
    return [round(float(value), 6) if np.isfinite(value) else None for value in array]


def _ends(table: pd.DataFrame, numbered: Numbered) -> dict[str, list[Any]]:
    """Return the two examples of each row: a, and b, its nearest or twin."""
    splits = table["query_split"].iloc[0], table["database_split"].iloc[0]
    a, b = numbered.numbers_of_pairs(splits, table["query_index"], table["database_index"])
    return {"a": a, "b": b}


def _refuse_empty(table: pd.DataFrame, what: str) -> None:
    if not len(table):
        raise RequestError(f"There are no {what}.")


def _pairs(results: Results, by: str, order: str, numbered: Numbered, most: int) -> Listed:
    table = ordered_pairs(results, by, order)
    rows = table.head(most)
    columns = {**_ends(rows, numbered), "value": _exact(rows["similarity"])}
    for name in ("aligned", "twin"):
        if name in rows:
            columns[name] = _exact(rows[name])
    if "band" in rows:
        columns["band"] = [(*BANDS, "").index(band) for band in rows["band"]]
    choice = {"within": results.within, "order": "" if order == "kernel" else order}
    name = "-".join(filter(None, ("pairs", results.within, choice["order"])))
    return Listed("near_duplicates", name, choice, len(table), columns)


def _labels(results: Results, by: str, numbered: Numbered, most: int) -> Listed:
    table = check_labels(results, by)
    _refuse_empty(table, f"{ADJECTIVES[results.query]} labels to check")
    rows = table.head(most)
    columns = {**_ends(rows, numbered), "value": _exact(rows["similarity"])}
    for name in ("probability", "likeliest_probability", "voted_share", "score"):
        columns[name] = _exact(rows[name])
    for name in ("likeliest", "voted", "proposed"):
        columns[name] = rows[name].astype(int).tolist()
    for name in ("both_against", "flagged"):
        columns[name] = rows[name].astype(int).tolist()
    against = int(table["both_against"].sum())
    said = f"By {DEFAULT}. Ensemble and neighbors agree on another class for {against:,}; confident "
    said += f"learning flags {int(table['flagged'].sum()):,}."
    notes = [said, BASES[judging(results)[0]], said_of_unlikely(results)]
    split = "" if results.query == "test" else results.query
    name = "-".join(filter(None, ("labels", split)))
    return Listed("labels", name, {"split": split}, len(table), columns, [note for note in notes if note])


def _conflicts(results: Results, by: str, numbered: Numbered, most: int) -> Listed:
    table = labels_in_doubt(results.neighbors_by(by), results.labels, results.predictions, MOST_SIMILAR)
    _refuse_empty(table, f"label conflicts {results.spec.direction}")
    rows = table.head(most)
    columns = {**_ends(rows, numbered), "value": _exact(rows["similarity"])}
    columns["rank"] = rows["rank"].tolist()
    name = "-".join(filter(None, ("conflicts", results.within)))
    return Listed("failure_modes", name, {"within": results.within}, len(table), columns)


def _groups(parts: Sequence[Results], by: str, order: str, numbered: Numbered, most: int) -> Listed:
    known = [part for part in parts if order == "kernel" or by in part.aligned]
    threshold = default_threshold(parts[0], by, order)
    found = find_groups(known, by, threshold, order=order)
    _refuse_empty(found.table, "groups")
    rows = found.table.head(most)
    members = found.members[found.members["group"].isin(rows["group"])]
    stored = members.groupby("group", sort=False).head(MEMBERS)
    numbers = numbered.numbers(stored["split"], stored["index"])
    by_group = pd.Series(numbers).groupby(stored["group"].to_numpy(), sort=False).apply(list)
    labels = members.groupby("group", sort=False)["label"].unique()
    columns: dict[str, list[Any]] = {
        "members": by_group.loc[rows["group"]].tolist(),
        "labels": [sorted(map(int, of)) for of in labels.loc[rows["group"]]],
        "value": _exact(rows["similarity"]),
    }
    for name in ("size", "links", "is_mixed", "crosses"):
        columns[name] = rows[name].astype(int).tolist()
    what = "twin score" if order == "twin" else parts[0].title_of(by)
    directions = ", ".join(found.pairs.directions)
    notes = [f"Pairs are linked from {what} {threshold:.4g} ({directions}). "]
    notes.append(describe_groups(found, counts_of(parts[0])))
    choice = {"order": "" if order == "kernel" else order}
    name = "-".join(filter(None, ("groups", choice["order"])))
    return Listed("groups", name, choice, len(found), columns, notes)


def _memorized(results: Results, numbered: Numbered, most: int) -> Listed:
    table = memorization_of(results)
    _refuse_empty(table, "training examples with enough runs on both sides")
    rows = table.head(most)
    columns: dict[str, list[Any]] = {"a": numbered.numbers(rows["query_split"], rows["query_index"])}
    for name in ("memorization", "low", "high", "right_with", "right_without", "probability"):
        columns[name] = _exact(rows[name])
    columns["unseen_predicted"] = rows["predicted"].astype(int).tolist()
    return Listed("memorization", "memorized", {}, len(table), columns)
