"""Failures as a matrix of labels: a click on a cell chooses its pair of labels, in the same state as the control."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import altair as alt
import pandas as pd
import streamlit as st

from kernel_core.failures import most_confused

LIMIT = 20  # labels a side; more would make cells too small to hit and to read
CELL = 38  # pixels a cell's side aims at
SIDE = 200  # pixels that few cells are made to fill
NAME = 120  # pixels of a class name beside the matrix; the tooltip has it whole
Labels = tuple[int, int]


def confusion_matrix(
    counts: pd.DataFrame,
    names: Sequence[str],
    chosen: Labels | None,
    choose: Callable[[Labels | None], None],
    *,
    of: str,
) -> None:
    """Show the counts (of `failures.confusion`) as a heat map with `chosen` marked.

    choose: called before the next run with the pair of labels clicked on, None where the mark was taken off. of: what
    the matrix shows; another one forgets the click. The browser marks what is clicked; the chart is drawn anew only
    when something else chose, so that a click does not flicker.
    """
    labels = most_confused(counts, len(names), LIMIT)
    state = st.session_state.setdefault("_confusion", {"drawn": 0})
    if state.get("shown") != (of, chosen):
        state |= {"drawn": state["drawn"] + 1, "start": chosen, "shown": (of, chosen)}
    key = f"confusion_{state['drawn']}"

    def clicked() -> None:
        points = st.session_state[key]["selection"]["cell"]
        pair = (int(points[0]["query_label"]), int(points[0]["database_label"])) if points else None
        state["shown"] = of, pair
        choose(pair)

    st.altair_chart(
        _heat_map(counts, names, labels, state["start"]),
        width=_size(names, labels),
        key=key,
        on_select=clicked,
        alt="How often each label has a nearest training example of each other label; the control lists the same pairs",
    )
    if len(labels) < len(names):
        st.caption(
            f"The {len(labels)} labels with the most such failures are shown, of {len(names):,}; the control has all."
        )


def _heat_map(
    counts: pd.DataFrame, names: Sequence[str], labels: Sequence[int], start: Labels | None
) -> alt.LayerChart:
    """The chart, its selection named cell, with `start` selected at first."""
    rows = counts[counts["query_label"].isin(labels) & counts["database_label"].isin(labels)]
    name_of = dict(enumerate(names))
    rows = rows.assign(
        query_name=rows["query_label"].map(name_of), database_name=rows["database_label"].map(name_of)
    )
    fields = ["query_label", "database_label"]
    value = [dict(zip(fields, start, strict=True))] if start else alt.Undefined
    cell = alt.selection_point("cell", fields=fields, value=value, empty=False, toggle=False)
    x, y = _axes(names, labels)
    ground = (
        alt.Chart(pd.DataFrame([(q, d) for q in labels for d in labels], columns=fields))
        .mark_rect(color="#808890", opacity=0.09, cornerRadius=3)
        .encode(x=x, y=y)
    )
    base = alt.Chart(rows, height=_size(names, labels)).encode(
        x=x, y=y,
        tooltip=[alt.Tooltip("query_name", title="test label"), alt.Tooltip("database_name", title="neighbor's label"),
                 "count"],
    )  # fmt: skip
    most = max(rows["count"], default=1)
    cells = base.mark_rect(color="#e8710a", cornerRadius=3, cursor="pointer").encode(
        opacity=alt.Opacity("count:Q", legend=None, scale=alt.Scale(domain=[0, most], range=[0.22, 1])),
        stroke=alt.when(cell).then(alt.value("#4a8fe0")).otherwise(alt.value("transparent")),
        strokeWidth=alt.value(3),
    ).add_params(cell)  # fmt: skip
    dark = "#26201a"  # reads on the full orange in both themes; a pale cell has the tone of the page
    ink = alt.value("#f0f0f0" if st.context.theme.type == "dark" else dark)
    color = alt.when(alt.datum["count"] > most / 2).then(alt.value(dark)).otherwise(ink)
    numbers = base.mark_text(fontSize=12, cursor="pointer").encode(text="count:Q", color=color)
    return alt.layer(ground, cells, numbers)


def _size(names: Sequence[str], labels: Sequence[int]) -> int:
    """Pixels of the cells with the names and the axis' title beside or below them; the chart is made to fit them."""
    longest = max(len(names[label]) for label in labels)
    return max(SIDE, CELL * len(labels)) + 50 + min(NAME, 8 * longest)


def _axes(names: Sequence[str], labels: Sequence[int]) -> tuple[alt.X, alt.Y]:
    """Label numbers, since two classes may have one name, along which stand the names, cut where they are long."""
    text = json.dumps({str(label): names[label] for label in labels})
    look = {
        "labelExpr": f"({text})[datum.value]", "labelLimit": NAME, "labelOverlap": False, "ticks": False,
        "domain": False, "grid": False,
    }  # fmt: skip
    angle = -50 if max(len(names[label]) for label in labels) > 3 else 0
    scale = alt.Scale(domain=list(labels), padding=0.04)
    return (
        alt.X("database_label:O", scale=scale, title="label of the nearest training example",
              axis=alt.Axis(labelAngle=angle, **look)),
        alt.Y("query_label:O", scale=scale, title="label of the test example", axis=alt.Axis(**look)),
    )  # fmt: skip
