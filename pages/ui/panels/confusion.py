"""Label conflicts as a matrix: a click on a cell chooses its pair of labels, like the control beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from kernel_core.results.results import Results
from pages.ui import drawn
from pages.ui.charts import LIMIT, Labels


def pair_names(counts: pd.DataFrame, names: Sequence[str]) -> dict[str, Labels]:
    """Return the pairs of labels in counts, in their order, by the name they have in controls and addresses.

    counts: of `pairs.count_label_pairs`. names: of the classes.
    """
    pairs = zip(counts["query_label"].tolist(), counts["database_label"].tolist(), strict=True)
    return {f"{names[q]} ≠ {names[d]}": (q, d) for q, d in pairs}


def confusion_matrix(
    results: Results, of: tuple[str, str], chosen: Labels | None, choose: Callable[[Labels | None], None]
) -> None:
    """Show how often each pair of labels is among the conflicts, and mark the chosen one.

    of: the similarity, and the order that lists the conflicts.
    choose: called before the next run with the pair of labels clicked on, or None where the mark was taken
    off. The browser marks what is clicked; the chart is drawn again only when something else chose, so a
    click does not flicker.
    """
    state = st.session_state.setdefault("_confusion", {"drawn": 0})
    conflicts = results.id, *of
    if state.get("shown") != (conflicts, chosen):
        state |= {"drawn": state["drawn"] + 1, "start": chosen, "shown": (conflicts, chosen)}
    key = f"confusion_{state['drawn']}"

    def clicked() -> None:
        chart = st.session_state.get(key)
        if chart is None:  # the page was left meanwhile
            return
        points = chart["selection"]["cell"]
        pair = (int(points[0]["query_label"]), int(points[0]["database_label"])) if points else None
        state["shown"] = conflicts, pair
        choose(pair)

    chart = drawn.confusion_chart(results.id, of, state["start"], st.context.theme.type == "dark")
    st.vega_lite_chart(
        chart,
        width=chart["height"],  # as wide as high, where there is room
        height=chart["height"],
        key=key,
        on_select=clicked,
        alt="Label conflicts by the label and that of neighbors; the control lists the same pairs",
    )
    if len(results.class_names) > LIMIT:
        st.caption(
            f"The {LIMIT} labels with the most conflicts, of {len(results.class_names):,}. The control lists "
            "all pairs."
        )
