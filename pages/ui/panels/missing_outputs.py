"""What a page says and offers where it needs every run's outputs, and the results lack them."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from kernel_core.errors import NotBuilt
from kernel_core.printable import printable
from kernel_core.results.results import Results
from kernel_core.spec import Split
from pages.ui import jobs, load
from pages.ui.wording import escape

LONGEST = 800  # characters of a reason


def offer(results: Results, place: str, reason: NotBuilt | str) -> None:
    """Say that outputs are missing, and offer to prepare them; then open the results anew.

    place: tells this offer from others on the page. reason: what is said where a build would not help: the
    source is too large for its outputs, or all of them, to be kept, and they cannot be read from its files.
    """
    if results.traces or results.why_no_traces:
        said = escape(printable(reason, LONGEST))
        st.info(f"This needs every run's outputs. {said}", icon=":material/info:")
        return
    why = (
        "This needs every run's outputs, which these results lack: an older version built them, or the disk "
        "was full. Preparing them reads the logits once and computes nothing else again."
    )
    if jobs.offer_part(load.request(), why, f"prepare_for_{place}"):
        load.open_anew()


def offer_direction(query: Split, database: Split, place: str) -> None:
    """Say that neighbors by the kernel are neither built in a direction nor found on demand; offer a build.

    place: as of `offer`.
    """
    why = (
        f"The neighbors {query}→{database} by the kernel are not built, and this source is too large to find "
        "those of one example on demand. A build finds those of all."
    )
    asked = replace(load.request(), similarities=("kernel",), query=query, database=database)
    if jobs.offer_part(asked, why, f"{place}_{query}_{database}", label="Build them now"):
        st.rerun()
