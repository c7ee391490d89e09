"""What is built of a source and what is not, with a button for each part that is missing."""

from __future__ import annotations

import streamlit as st

from kernel_core.errors import KernelExplorerError, NotBuilt
from kernel_core.findings.map_layout import example_counts, search_directions
from kernel_core.results.results import Results
from kernel_core.results.run_counts import built_run_counts
from kernel_core.results.store import Store
from kernel_core.spec import ADJECTIVES, run_count_steps
from pages.ui import jobs, load
from pages.ui.wording import escape


def show_built(results: Results) -> None:
    """List what is built, and offer to build what other pages could show too."""
    titles = ", ".join(escape(results.title_of(name)) for name in results.neighbors)
    st.markdown(f"✓ The nearest {results.spec.database_example}s of every test example by {titles}")
    if len(results.examples) > 1:
        for split in results.examples:
            _show_within(results, split)
    _show_map(results)
    _show_fewer_runs(results)


def _show_within(results: Results, split: str) -> None:
    """Show whether near-duplicates within one split are there."""
    there = load.in_direction(results, split)
    what = f"Neighbors within the {ADJECTIVES[there.query]} set"
    if there.neighbors:
        titles = ", ".join(escape(there.title_of(name)) for name in there.neighbors)
        st.markdown(f"✓ {what} by {titles}")
    else:
        jobs.offer_line(load.request_of("kernel", split), f"– {what}", f"build_within_{split}")


def _show_map(results: Results) -> None:
    what = f"The [map](map) of all examples by {escape(results.title_of('kernel'))}"
    try:
        search_directions(example_counts(results.examples))  # raises where the examples are too few
        load.map_of(results.id, "kernel")
    except NotBuilt:
        jobs.offer_line(load.request_of("kernel"), f"– {what}", "build_map", verb="map")
    except KernelExplorerError:
        return
    else:
        st.markdown(f"✓ {what}")


def _show_fewer_runs(results: Results) -> None:
    """Show whether the kernel of fewer runs is there."""
    counts = run_count_steps(results.run_count)[:-1]
    if not counts:
        return
    built = built_run_counts(results, load.request(), Store(), counts)
    words = ", ".join(f"{count:,}" for count in counts)
    what = f"The kernel from the first {words} runs: [how many are enough?](run_counts)"
    if len(built) < len(counts):
        jobs.offer_line(load.request(), f"– {what}", "build_fewer_runs", verb="runs")
    else:
        st.markdown(f"✓ {what}")
