"""Failures as a matrix of labels: a click on a cell chooses its pair of labels, in the same state as the control."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from kernel_core.results.results import Results
from pages.ui import load
from pages.ui.charts import LIMIT, Labels


def pair_names(counts: pd.DataFrame, names: Sequence[str]) -> dict[str, Labels]:
    """What controls and addresses call each pair of labels in counts (of `failures.confusion`), in their order."""
    pairs = zip(counts["query_label"].tolist(), counts["database_label"].tolist(), strict=True)
    return {f"{names[q]} ≠ {names[d]}": (q, d) for q, d in pairs}


def confusion_matrix(
    results: Results, by: str, chosen: Labels | None, choose: Callable[[Labels | None], None]
) -> None:
    """Show how often each pair of labels is among the mismatches by one similarity, with `chosen` marked.

    choose: called before the next run with the pair of labels clicked on, None where the mark was taken off. The
    browser marks what is clicked; the chart is drawn anew only when something else chose, so that a click does not
    flicker.
    """
    state = st.session_state.setdefault("_confusion", {"drawn": 0})
    of = results.id, by
    if state.get("shown") != (of, chosen):
        state |= {"drawn": state["drawn"] + 1, "start": chosen, "shown": (of, chosen)}
    key = f"confusion_{state['drawn']}"

    def clicked() -> None:
        points = st.session_state[key]["selection"]["cell"]
        pair = (int(points[0]["query_label"]), int(points[0]["database_label"])) if points else None
        state["shown"] = of, pair
        choose(pair)

    chart = load.confusion_chart(results.id, by, state["start"], st.context.theme.type == "dark")
    st.vega_lite_chart(
        chart,
        width=chart["height"],  # as high as wide, where there is room
        key=key,
        on_select=clicked,
        alt="How often each label has a nearest example of each other label; the control lists the same pairs",
    )
    if len(results.class_names) > LIMIT:
        st.caption(
            f"The {LIMIT} labels with the most such failures are shown, of {len(results.class_names):,}; the control "
            "has all."
        )
