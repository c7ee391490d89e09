"""Filters by aligned pixels, the offer to align what is not aligned yet, and the words of the twin score."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from kernel_core.findings.twins import BANDS
from kernel_core.results.results import Results
from pages.ui import jobs, load, paired
from pages.ui.panels import twin_words

ANY_BAND = "any"


def choose_filters(results: Results, by: str, on_change: Callable[[], None]) -> tuple[float | None, str]:
    """Show the controls; return the least value of pixels aligned and a band; None and empty for any."""
    if not paired.has_twins(results, by):
        return None, ""
    least = st.number_input(
        "Pixels aligned at least",
        -1.0,
        1.0,
        None,
        0.05,
        key="pixels_at",
        bind="query-params",
        on_change=on_change,
        placeholder="any",
        width=170,
        help="How well the details of the two images match where they fit best, from −1 to 1.",
    )
    band = st.selectbox(
        "Band",
        [ANY_BAND, *BANDS],
        key="band",
        bind="query-params",
        on_change=on_change,
        width=150,
        help=twin_words.BANDS_RULE,
    )
    return least, "" if band == ANY_BAND else band


def offer(results: Results, by: str, until: str = "", *, key: str = "align_pixels") -> None:
    """Offer to align the pixels that the twin score needs, where it can be had.

    until: a sentence that says what is shown meanwhile. key: tells this offer from others on the page.
    """
    if paired.why_no_twins(results, by):
        return
    jobs.offer_line(
        load.request_of(by, results.within),
        f"Pixels are not aligned yet for pairs {results.spec.direction}; the twin score needs that. {until}",
        key,
        verb="aligned",
    )
