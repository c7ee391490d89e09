"""Choices that pages share: bound to the address, in the words of the command line."""

from __future__ import annotations

import streamlit as st

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
