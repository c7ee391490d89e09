"""How near each of two examples is to the other: a table, computed while the page is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from kernel_core.errors import DataError, NotBuilt
from kernel_core.printable import printable
from kernel_core.results.nearby import Rank
from kernel_core.results.results import Results
from pages.ui import load
from pages.ui.links import Example
from pages.ui.panels.neighbor_lists import Missing
from pages.ui.wording import escape

Asked = Future[Rank]


@st.cache_resource(show_spinner=False)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, "ranks")


@st.cache_resource(max_entries=1_000, show_spinner=False)
def begin(results_id: str, a: Example, b: Example) -> dict[str, tuple[Asked, Asked]]:
    """Begin to compute, by similarity, the rank of b among the nearest to a, and of a among those to b."""
    found, submit = load.nearby(results_id), _threads().submit
    return {
        name: (submit(found.rank, a, name, b), submit(found.rank, b, name, a))
        for name in load.by_id[results_id].neighbors
    }


def show(results: Results, a: Example, b: Example) -> DeltaGenerator:
    """Show the table with the ranks that are there already; return its place, for `finish`."""
    place = st.empty()
    ready = {name: [_ready(rank) for rank in both] for name, both in begin(results.id, a, b).items()}
    _draw(place, results, a, b, ready)
    return place


def finish(place: DeltaGenerator, results: Results, a: Example, b: Example) -> Missing:
    """Show the table with all its ranks; return the similarities that fail, and why."""
    missing: Missing = {}

    def wait(name: str, rank: Asked) -> Rank | None:
        try:
            return rank.result()
        except (NotBuilt, DataError) as error:
            missing[name] = printable(error)
            return None

    asked = begin(results.id, a, b)
    ranks = {name: [wait(name, rank) for rank in both] for name, both in asked.items()}
    if missing:
        begin.clear(results.id, a, b)  # what is missing may be built next
    _draw(place, results, a, b, ranks, absent="not built")
    return missing


def _ready(rank: Asked) -> Rank | None:
    return rank.result() if rank.done() and not rank.exception() else None


def _draw(
    place: DeltaGenerator,
    results: Results,
    a: Example,
    b: Example,
    ranks: Mapping[str, Sequence[Rank | None]],
    *,
    absent: str = "…",
) -> None:
    """Draw the table. ranks: by similarity, of b and of a. absent: the value where neither is there."""
    rows = []
    for name, (there, back) in ranks.items():
        either = there or back
        rows.append(
            {
                "similarity": escape(results.title_of(name)),
                "value": f"{either.value:.4f}" if either else absent,
                f"B among A's nearest in {b[0]}": _in_words(there),
                f"A among B's nearest in {a[0]}": _in_words(back),
            }
        )
    place.table(pd.DataFrame(rows), hide_index=True)


def _in_words(rank: Rank | None) -> str:
    """Return a rank as the table shows it.

    >>> _in_words(Rank(1200, 0.)), _in_words(Rank(None, 0., 50)), _in_words(Rank(None, 0.)), _in_words(None)
    ('#1,200', 'beyond #50', '–', '–')
    """
    if rank is not None and rank.place is not None:
        return f"#{rank.place:,}"
    return f"beyond #{rank.beyond:,}" if rank is not None and rank.beyond else "–"
