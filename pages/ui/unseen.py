"""What pages read of runs that never saw an example: memorization, influence, and how to get them."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from kernel_core.errors import RequestError
from kernel_core.findings.influence import ORDERS, with_intervals
from kernel_core.findings.pairs import matching_pairs
from kernel_core.printable import printable
from kernel_core.results import counterfactuals
from kernel_core.results.accuracy import unseen_accuracies
from kernel_core.results.counterfactuals import Counterfactual
from kernel_core.results.results import Results
from kernel_core.spec import Split
from pages.ui import load
from pages.ui.wording import escape

LISTED = 1_000  # pairs of the list of influence; further ones are hardly more than chance
ORDER_WORDS = dict(zip(ORDERS, ("raises the probability most", "lowers the probability most"), strict=True))


@st.cache_resource(max_entries=4, show_spinner="Comparing the runs with and without each example")
def memorized(results_id: str, of_class: str) -> pd.DataFrame:
    """Return the rows of `findings.memorization` with a label, or all. Raises as `memorization_of`."""
    results = load.by_id[results_id]
    return counterfactuals.memorization_of(results, _number(results, of_class))


@st.cache_resource(max_entries=4, show_spinner="Comparing the runs with and without each training example")
def _influence(results_id: str, by: str, order: str) -> pd.DataFrame:
    return counterfactuals.influence_on(load.by_id[results_id], by, order)


def influential(results: Results, by: str, order: str, labels: str, of_class: str) -> pd.DataFrame:
    """Return the pairs of `findings.influence` that pass, without their intervals.

    labels: same, different, or empty for all. of_class: of either example; empty for all. Raises as
    `influence_on`.
    """
    pairs = _influence(results.id, by, order)
    return matching_pairs(pairs, labels or "all", _number(results, of_class))


def _number(results: Results, of_class: str) -> int | None:
    return results.class_names.index(of_class) if of_class else None


@st.cache_data(max_entries=64, show_spinner=False)
def with_their_intervals(
    results_id: str, by: str, order: str, labels: str, of_class: str, start: int, stop: int
) -> pd.DataFrame:
    """Return some rows of `influential`, from `start` to before `stop`, with their intervals."""
    results = load.by_id[results_id]
    rows = influential(results, by, order, labels, of_class).iloc[start:stop]
    return with_intervals(rows, counterfactuals.unseen_of(results))


@st.cache_data(max_entries=1_000, show_spinner=False)
def counterfactual(results_id: str, train_index: int, example: tuple[Split, int]) -> Counterfactual | None:
    """Return what a training example changes on another, as `counterfactuals.counterfactual` does."""
    return counterfactuals.counterfactual(load.by_id[results_id], train_index, example)


def accuracy_sentence(results: Results) -> str:
    """Return the accuracy on training examples by runs that never saw them; empty without masks."""
    single, ensemble = unseen_accuracies(results).values()
    if single is None or ensemble is None:
        return ""
    return (
        f"On training examples, by runs that never saw them: one run {single:.2%}, all such runs of an "
        f"example together {ensemble:.2%}. [What is memorized?](memorization)"
    )


def stop_without_masks(results: Results, what: str) -> None:
    """Where there are no runs that never saw an example, say so and how to get them, and end the page.

    what: that these runs would tell, in plain words.
    """
    if results.unseen is not None:
        return
    if "train" not in results.examples:
        st.info(
            f"To tell {what}, the logits must be of the examples that runs were trained on. These are of the "
            "test set alone.",
            icon=":material/info:",
        )
        st.stop()
    st.info(
        f"To tell {what}, some runs must not have seen the example. These have no training masks: each may "
        "have trained on every example. Small heads on random halves of the training set have them; 512 take "
        "minutes without a GPU. Train them, and serve their folder:",
        icon=":material/info:",
    )
    source = printable(load.request().name)
    st.code(
        f"kernel-explorer train heads {source} --subset 0.5 --runs 512 --out my-ensemble\n"
        "kernel-explorer serve my-ensemble",
        language="bash",
    )
    st.caption(
        "For an ensemble of your own that was trained on subsets, save the masks with the logits: "
        "`trained_on`, one True or False per run and training example."
    )
    st.stop()


def say_why_not(error: RequestError) -> None:
    """Say why there is no such table, and end the page."""
    st.info(escape(str(error)), icon=":material/info:")
    st.stop()
