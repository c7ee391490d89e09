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
from kernel_core.failures import label_mismatches
from kernel_core.records import Split
from kernel_core.results import Results
from pages.ui import links, load

Ranked = tuple[Split, npt.NDArray[np.int64]]  # the examples of one split, in order


def _near_duplicates(results: Results, by: str) -> Ranked:
    return results.query, load.ranking(results.id, by)["query_index"].to_numpy()


def _failures(results: Results, by: str) -> Ranked:
    mismatches = label_mismatches(results.neighbors_by(by), *results.labels)
    return results.query, mismatches["query_index"].to_numpy()


LISTS: dict[str, tuple[str, Callable[[Results, str], Ranked]]] = {
    "near_duplicates": ("near-duplicates", _near_duplicates),
    "failure_modes": ("failure modes", _failures),
}
"""Name in the address → title, and the function that makes the list; what follows the colon is its argument. The function raises
`RequestError` or `ValueError` for an argument that it cannot use."""


@st.cache_resource(max_entries=16, show_spinner=False)
def _ranked(results_id: str, name: str, argument: str) -> Ranked | None:
    """The list, or None if it cannot be made with the argument that somebody wrote in the address."""
    try:
        return LISTS[name][1](load.by_id[results_id], argument)
    except (RequestError, ValueError):
        return None


@dataclass(frozen=True)
class Place:
    """Where an example stands in a list, from 1, what the list is called, and who stand beside it: names, or None."""

    position: int
    total: int
    title: str
    listed: bool  # in a list that the address names, not by its index
    previous: str | None
    next: str | None


def place(results: Results, split: Split, index: int, named: str) -> Place:
    """The example's place in the list that the address names, else in its split."""
    name, _, argument = named.partition(":")
    found: Ranked = split, np.arange(len(results.examples[split]))
    title, listed = f"the {split} split", False
    if name in LISTS:
        ranked = _ranked(results.id, name, argument)
        if ranked and ranked[0] == split and (ranked[1] == index).any():
            found, title, listed = ranked, f"{LISTS[name][0]} by {argument}", True
    order = found[1]
    at = int(np.flatnonzero(order == index)[0])
    beside = [links.name_of(split, order[i]) if 0 <= i < len(order) else None for i in (at - 1, at + 1)]
    return Place(at + 1, len(order), title, listed, *beside)
