"""The lists by their names in addresses: functions that make each of them from its arguments.

A page with a list of its own adds a line to `LISTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kernel_core.findings import disagreement
from kernel_core.findings.groups import members_of
from kernel_core.findings.label_orders import MOST_SIMILAR, TO_CHECK, count_conflicts, with_labels
from kernel_core.findings.pairs import random_queries
from kernel_core.results.results import Results
from kernel_core.spec import Split
from pages.ui import all_examples, grouped, label_checks, lasso, load, names, paired, unseen
from pages.ui.label_checks import Asked
from pages.ui.panels.confusion import pair_names
from pages.ui.wording import escape


@dataclass(frozen=True)
class Ranked:
    """Examples in the order of a list.

    split: of all of them, or (n,) of each. order: (n,), their indices. title: the list's name, in Markdown.
    by: the similarity that makes a pair of each of them with a neighbor; empty where there are no pairs.
    others: (n,), indices of these neighbors; by default they are the nearest. groups: (n,), the number of the
    group that each is in; None where the list is not of groups.
    """

    split: Split | npt.NDArray[np.str_]
    order: npt.NDArray[np.int64]
    title: str
    by: str
    others: npt.NDArray[np.int64] | None = None
    groups: npt.NDArray[np.int64] | None = None


def _near_duplicates(results: Results, by: str, labels: str, of_class: str) -> Ranked:
    return _pairs(results, paired.Asked(by, labels=labels, of_class=of_class))


def _twins(results: Results, *arguments: str) -> Ranked:
    return _pairs(results, paired.Asked.from_list(*arguments))


def _pairs(results: Results, asked: paired.Asked) -> Ranked:
    matches = paired.find(results, asked).matches
    order = ", by twin score" if asked.order == paired.TWIN else ""
    title = f"near-duplicates by {escape(results.title_of(asked.by))}{order}{_filters(*asked.words)}"
    others = matches["database_index"].to_numpy()
    return Ranked(results.query, matches["query_index"].to_numpy(), title, asked.by, others)


def _label_conflicts(results: Results, by: str, labels: str) -> Ranked:
    return _in_doubt(results, by, labels, MOST_SIMILAR, "label conflicts")


def _labels_to_check(results: Results, by: str, labels: str) -> Ranked:
    return _in_doubt(results, by, labels, TO_CHECK, "labels to check")


def _in_doubt(results: Results, by: str, labels: str, order: str, name: str) -> Ranked:
    rows = load.in_doubt(results.id, by, order)
    if labels:
        rows = with_labels(rows, *pair_names(count_conflicts(rows), results.class_names)[labels])
    title = f"{name} by {escape(results.title_of(by))}{_filters(escape(labels))}"
    return Ranked(results.query, rows["query_index"].to_numpy(), title, by)


def _labels(results: Results, *arguments: str) -> Ranked:
    asked = Asked.from_list(*arguments)
    rows = label_checks.rows_of(results, asked)
    title = f"labels to check by {asked.order}{_filters(*asked.words)}"
    return Ranked(results.query, rows["query_index"].to_numpy(), title, asked.by)


def _disagreement(
    results: Results, first: str, second: str, rule: str, k: str, order: str, of_class: str
) -> Ranked:
    table = load.votes(results.id, first, second, rule, int(k))
    if of_class:
        table = table[table["query_label"] == results.class_names.index(of_class)]
    indices = disagreement.select_examples(table, order)["query_index"].to_numpy()
    by = " and ".join(escape(results.title_of(name)) for name in (first, second))
    title = f"{order}, by {by}{_filters(rule, escape(of_class))}"
    return Ranked(results.query, indices, title, first)


def _random(results: Results, seed: str) -> Ranked:
    indices = random_queries(len(results.labels[0]), int(seed))
    return Ranked(results.query, indices, f"random examples of seed {int(seed)}", "kernel")


def _named(results: Results, text: str) -> Ranked:
    named = names.from_text(text, results.example_counts)
    splits = np.array([split for split, _ in named])
    return Ranked(splits, np.array([index for _, index in named]), "chosen examples", "")


def _all_examples(results: Results, argument: str) -> Ranked:
    found = all_examples.find(results, all_examples.from_list(argument))
    rows = found.table.iloc[found.rows]
    title = f"all examples{_filters(*found.words)}"
    return Ranked(rows["split"].to_numpy(str), rows["index"].to_numpy(), title, "")


def _inside_lasso(results: Results, text: str) -> Ranked:
    examples = lasso.examples_inside(results, text)
    splits = np.array([split for split, _ in examples])
    return Ranked(splits, np.array([index for _, index in examples]), "examples in a lasso of the map", "")


def _groups(results: Results, *arguments: str) -> Ranked:
    return _members(results, grouped.Asked.from_list(paired.SIMILARITY, *arguments))


def _twin_groups(results: Results, *arguments: str) -> Ranked:
    return _members(results, grouped.Asked.from_list(paired.TWIN, *arguments))


def _members(results: Results, asked: grouped.Asked) -> Ranked:
    found = grouped.find(results, asked)
    members = members_of(found, grouped.select(results, found, asked), results.class_names)
    score = ", twin score" if asked.order == paired.TWIN else ""
    title = f"groups by {escape(results.title_of(asked.by))}{score} of at least {asked.threshold:g}"
    title += _filters(*asked.words)
    order, numbers = members["index"].to_numpy(), members["group"].to_numpy()
    return Ranked(members["split"].to_numpy(str), order, title, "", groups=numbers)


def _memorization(results: Results, of_class: str) -> Ranked:
    rows = unseen.memorized(results.id, of_class)
    title = f"memorized examples{_filters(escape(of_class))}"
    return Ranked("train", rows["query_index"].to_numpy(), title, "")


def _influence(results: Results, by: str, order: str, labels: str, of_class: str) -> Ranked:
    rows = unseen.influential(results, by, order, labels, of_class).head(unseen.LISTED)
    rows = rows.drop_duplicates("query_index")
    filters = _filters(f"{labels} labels" if labels else "", escape(of_class))
    title = f"pairs by influence, {unseen.ORDER_WORDS[order]}{filters}"
    return Ranked(results.query, rows["query_index"].to_numpy(), title, "")


def _filters(*words: str) -> str:
    """Return what a list is narrowed to, to be written after its name; empty words are left out."""
    return "".join(f", {word}" for word in words if word)


LISTS: dict[str, tuple[int, Callable[..., Ranked]]] = {
    "near_duplicates": (3, _near_duplicates),
    "twins": (6, _twins),
    "labels": (5, _labels),
    "failure_modes": (2, _label_conflicts),
    "labels_to_check": (2, _labels_to_check),
    "groups": (6, _groups),
    "twin_groups": (6, _twin_groups),
    "memorization": (1, _memorization),
    "influence": (4, _influence),
    "disagreement": (6, _disagreement),
    "random_examples": (1, _random),
    "examples": (1, _named),
    "lasso": (1, _inside_lasso),
    "all_examples": (1, _all_examples),
}
"""Name in the address → how many arguments may follow it, and the function that makes the list from them.

Arguments left out are empty; the last may hold colons. The function raises `LookupError`, `RequestError` or
`ValueError` for arguments that it cannot use.
"""
