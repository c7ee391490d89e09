"""The lists that people come from: what is next and previous to an example, by the address's `list`.

An address says `list=near_duplicates:kernel`: a name of `LISTS`, and what it is made with. Without one, or with one that
does not hold the example, next and previous go by the index in its split. A page with a list of its own adds a line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import streamlit as st

from kernel_core.errors import RequestError
from kernel_core.findings import disagreement
from kernel_core.findings.pairs import confusion, of_labels, passes, random_queries
from kernel_core.results.results import Results
from kernel_core.spec import Split, example_name
from pages.ui import links, load
from pages.ui.panels.confusion import pair_names
from pages.ui.panels.verdict import escape


@dataclass(frozen=True)
class Ranked:
    """The examples of one split in the order of a list, (n,), and what the list is called, in Markdown.

    by: the similarity whose nearest makes a pair with each of them.
    """

    split: Split
    order: npt.NDArray[np.int64]
    title: str
    by: str


def _near_duplicates(results: Results, by: str, labels: str, of_class: str) -> Ranked:
    pairs = load.ranking(results.id, by)
    label = results.class_names.index(of_class) if of_class else None
    pairs = pairs[passes(pairs, labels or "all", label)]
    title = f"near-duplicates by {by}" + f", {labels} labels" * bool(labels) + _also(of_class)
    return Ranked(results.query, pairs["query_index"].to_numpy(), title, by)


def _failures(results: Results, by: str, labels: str) -> Ranked:
    found = load.mismatches(results.id, by)
    if labels:
        pair = pair_names(confusion(found), results.class_names)[labels]
        found = of_labels(found, *pair)
    title = f"failure modes by {by}" + _also(labels)
    return Ranked(results.query, found["query_index"].to_numpy(), title, by)


def _disagreement(
    results: Results, first: str, second: str, rule: str, k: str, order: str, of_class: str
) -> Ranked:
    table = load.votes(results.id, first, second, rule, int(k))
    if of_class:
        table = table[table["query_label"] == results.class_names.index(of_class)]
    found = disagreement.ranked(table, order)["query_index"].to_numpy()
    title = f"{order}, by {first} and {second}, {rule}" + _also(of_class)
    return Ranked(results.query, found, title, first)


def _random(results: Results, seed: str) -> Ranked:
    found = random_queries(len(results.labels[0]), int(seed))
    return Ranked(results.query, found, f"random examples of seed {int(seed)}", "kernel")


def _also(name: str) -> str:
    return f", {escape(name)}" if name else ""


# Name in the address → how many arguments may follow it, and the function that makes the list of them. Arguments that are
# left out are empty; the last may hold colons. The function raises `LookupError`, `RequestError` or `ValueError` for what
# it cannot use.
LISTS: dict[str, tuple[int, Callable[..., Ranked]]] = {
    "near_duplicates": (3, _near_duplicates),
    "failure_modes": (2, _failures),
    "disagreement": (6, _disagreement),
    "random_examples": (1, _random),
}


def carried(name: str, *arguments: str | int) -> str:
    """The parameter of an address that says in which list an example was found; arguments: as its function takes them.

    >>> carried("near_duplicates", "kernel", "", ""), carried("near_duplicates", "kernel", "", "cat")
    ('list=near_duplicates:kernel', 'list=near_duplicates:kernel::cat')
    """
    parts = [name, *map(str, arguments)]
    while not parts[-1]:
        parts.pop()
    return links.query(list=":".join(parts))


@st.cache_resource(max_entries=16, show_spinner=False)
def _ranked(results_id: str, named: str) -> Ranked | None:
    """The list, or None if somebody wrote what names none in the address."""
    name, _, given = named.partition(":")
    if name not in LISTS:
        return None
    most, make = LISTS[name]
    arguments = given.split(":", most - 1)
    try:
        return make(load.by_id[results_id], *arguments, *[""] * (most - len(arguments)))
    except (LookupError, RequestError, ValueError):
        return None


@dataclass(frozen=True)
class Place:
    """Where an example stands in a list, from 1, what the list is called, and who stand beside it: names, or None.

    by: the similarity that the list makes pairs by; empty if the address names no list and this is the split's order.
    """

    position: int
    total: int
    title: str
    by: str
    previous: str | None
    next: str | None


def place(results: Results, split: Split, index: int, named: str) -> Place:
    """The example's place in the list that the address names, else in its split."""
    found = _ranked(results.id, named)
    if not found or found.split != split or index not in found.order:
        found = Ranked(split, np.arange(len(results.examples[split])), f"the {split} split", "")
    order = found.order
    at = int(np.flatnonzero(order == index)[0])
    beside = [example_name(split, order[i]) if 0 <= i < len(order) else None for i in (at - 1, at + 1)]
    return Place(at + 1, len(order), found.title, found.by, *beside)
