"""Controls that pages share: the similarity, and a window of ranks. Their values are in the address."""

from __future__ import annotations

import streamlit as st

from kernel_core.findings import pairs
from kernel_core.results.results import Results
from kernel_core.spec import SIMILARITIES

MEANING = {
    "kernel": "correlation of the two examples' log-probabilities over the runs",
    "penultimate": "cosine of one run's activations before its last layer",
    "penultimate-euclidean": "minus the Euclidean distance of those activations",
    "pixels": "correlation of the pixels' values",
}


def choose_similarity(results: Results, label: str, key: str, *, without: str = "") -> str:
    """A control that picks one of the source's similarities, the first by default; `without` is not offered."""
    names = [name for name in SIMILARITIES if name in results.neighbors and name != without]
    help_text = "  \n".join(f"**{name}**: {MEANING[name]}" for name in names)
    return st.segmented_control(
        label,
        names,
        default=names[0],
        required=True,
        key=key,
        bind="query-params",
        wrap=True,
        help=help_text,
    )


def choose_ranks(total: int) -> tuple[int, int]:
    """Controls that choose ranks between 1 and total; returns the first and the last, which may be upside down."""
    default_first, default_last = pairs.default_ranks(total)
    first = st.number_input(
        "First rank", 1, total, default_first, key="first", bind="query-params", width=130
    )
    last = st.number_input("Last rank", 1, total, default_last, key="last", bind="query-params", width=130)
    for label, key, direction, at_end, icon in (
        ("Previous", "previous", -1, first <= 1, ":material/chevron_left:"),
        ("Next", "next", 1, last >= total, ":material/chevron_right:"),
    ):
        st.button(label, on_click=_step, args=(direction, total), icon=icon, disabled=at_end, key=key)
    return first, last


def _step(direction: int, total: int) -> None:
    """Move the window by its own length, staying within the ranking."""
    first, last = st.session_state["first"], st.session_state["last"]
    length = max(1, last - first + 1)
    first = min(max(1, first + direction * length), max(1, total - length + 1))
    st.session_state["first"], st.session_state["last"] = first, min(total, first + length - 1)


def stop_if_reversed(first: int, last: int) -> None:
    """Say so and end the page where the window is upside down."""
    if first > last:
        st.error(
            f"The first rank, {first:,}, lies beyond the last, {last:,}; raise the last rank or lower the first."
        )
        st.stop()
