"""Where to begin: the queues that a source offers, one click each."""

from __future__ import annotations

import streamlit as st

from kernel_core.findings.labels_to_check import DEFAULT
from kernel_core.results.results import Results
from kernel_core.review.consensus import undecided
from kernel_core.review.verdicts import Kind
from pages.ui import lists, paired, verdicts
from pages.ui.review_queue import SAMPLE_SIZE, queue_of


def offer(results: Results, reviewer: str) -> None:
    """Show the queues with what each is for, and how many items it has."""
    order = paired.TWIN if paired.has_twins(results, "kernel") else paired.SIMILARITY
    near = lists.carried(results, *paired.Asked("kernel", order).to_list()).removeprefix("list=")
    st.header("Pairs", anchor=False)
    _link(
        "Near-duplicates, the likeliest first", near,
        "Judge from the top, and stop where nothing more comes. Finds most per verdict.",
    )  # fmt: skip
    _link(
        f"A random sample of {SAMPLE_SIZE}", f"sample:kernel:{order}:{SAMPLE_SIZE}:0",
        "Drawn along the whole ranking: says how many duplicates there are in all, with an interval.",
    )  # fmt: skip
    _own(results, reviewer, "pair")
    if len(results.class_names) > 1:
        st.header("Labels", anchor=False)
        labels = lists.carried(results, "labels", "kernel").removeprefix("list=")
        _link("Labels to check", labels, f"Test labels in the order “{DEFAULT}”, the most doubtful first.")
        _own(results, reviewer, "label")


def _own(results: Results, reviewer: str, kind: Kind) -> None:
    """Show the queues that come from verdicts: those in dispute, and the reviewer's own for a second look."""
    open_items = len(undecided(verdicts.judged(results), kind, "adjudicated"))
    if open_items:
        _link(
            f"{open_items:,} that reviewers disagree on", f"disputed:{kind}",
            "Your verdict decides, and stands over all others.",
        )  # fmt: skip
    again = queue_of(results, f"again:{kind}", reviewer)
    if again and again.items:
        _link(
            f"A second look at {len(again.items):,} of your own", f"again:{kind}",
            "In random order, without your first verdict: do you agree with yourself?",
        )  # fmt: skip


def _link(title: str, text: str, about: str) -> None:
    kept = {name: st.query_params[name] for name in ("reviewer", "blind") if name in st.query_params}
    with st.container(gap="xsmall"):
        st.page_link("pages/review.py", label=f"**{title} →**", query_params={"list": text, **kept})
        st.caption(about)
