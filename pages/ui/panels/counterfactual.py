"""What a pair's training example changes on the other example: runs with it against runs without it."""

from __future__ import annotations

import streamlit as st

from kernel_core.errors import RequestError
from kernel_core.findings.memorization import LEAST_RUNS
from kernel_core.results.results import Results
from kernel_core.spec import example_name
from pages.ui import unseen
from pages.ui.links import Example
from pages.ui.wording import escape


def show_counterfactual(results: Results, a: Example, b: Example) -> None:
    """Say what each training example of a pair changes on the other; nothing where there are no masks."""
    trained = [(j, i) for i, j in ((a, b), (b, a)) if j[0] == "train" and a != b]
    if results.unseen is None or not trained:
        return
    st.header("What does training on one change on the other?", anchor=False)
    for (_, index), example in trained:
        st.markdown(_sentence(results, index, example))
    also = " Of a training example, only runs that did not train on it count." if a[0] == b[0] else ""
    st.caption(
        "Probabilities are averaged over the runs. Where each run's examples were drawn at random, the "
        f"training example causes the difference.{also} Interval: bootstrap over the runs."
    )


def _sentence(results: Results, index: int, example: Example) -> str:
    name, trained = example_name(*example), f"train:{index}"
    try:
        found = unseen.counterfactual(results.id, index, example)
    except RequestError as error:
        return escape(str(error))
    if found is None:
        return f"Fewer than {LEAST_RUNS} runs can be compared for {trained} and {name}."
    label = escape(results.class_names[results.examples[example[0]].labels[example[1]]])
    return (
        f"With **{trained}** in training, the probability of {name}'s label {label} is "
        f"**{found.probability_with:.2f}**, without it **{found.probability_without:.2f}** "
        f"({found.runs_with:,} against {found.runs_without:,} runs); difference {found.difference:.2f}, 95% "
        f"interval {found.low:.2f} to {found.high:.2f}."
    )
