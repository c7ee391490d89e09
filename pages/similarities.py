"""How near is the nearest example, and how many are nearer than a threshold?"""

import math

import streamlit as st

from kernel_core.findings.pairs import border, histogram, label_agreement_curve, window_length
from pages.ui import load, shell
from pages.ui.components.threshold import DIGITS, threshold_chart
from pages.ui.controls import choose_similarity, stop_unless_built
from pages.ui.wording import minus_distance

shell.guard()
results = load.results()

neighbor = results.spec.database_example
shell.heading(results, "Threshold", f"How near is the nearest {neighbor}?")
controls = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
with controls:
    by = choose_similarity(results, "Similarity", "by")
stop_unless_built(results, by)
pairs = load.ranking(results.id, by)
default = math.floor(border(pairs) * 10**DIGITS) / 10**DIGITS

if st.session_state.get("_threshold_by", by) != by:  # another similarity has another scale
    st.session_state["threshold"] = default
st.session_state["_threshold_by"] = by


def keep_threshold() -> None:
    """Put the threshold that was dragged into the control, and so into the address."""
    chart = st.session_state.get("threshold_chart")  # none if the page was left meanwhile
    if chart is not None:
        st.session_state["threshold"] = float(chart.threshold)


span = float(pairs["similarity"].iloc[0] - pairs["similarity"].iloc[-1])
threshold = controls.number_input(
    "Threshold",
    value=default,
    step=max(span / 100, 10.0**-DIGITS),
    format=f"%.{DIGITS}f",
    key="threshold",
    bind="query-params",
    width=170,
    help="Drag the line on the chart, or type a value here.",
)
agrees = (pairs["query_label"] == pairs["database_label"]).to_numpy()
window = window_length(len(pairs))
threshold_chart(
    pairs,
    histogram(pairs["similarity"].to_numpy()),
    label_agreement_curve(agrees, window),
    by=by,
    axis=f"similarity to the nearest {neighbor}: {results.title_of(by)}",
    threshold=threshold,
    window=window,
    what="pairs" if results.spec.excludes_self else "test examples",
    on_release=keep_threshold,
)
counted_once = ""
if results.spec.excludes_self:
    counted_once = " Two examples that are nearest to each other count as one."
st.caption(
    f"Each test example counts once, by its similarity to the nearest {neighbor}.{counted_once} Pairs are "
    f"ranked by it, as on the near-duplicates page. {minus_distance(results, by)} Equal labels mean that a "
    "pair is of one class, not that it is a duplicate. Values of different similarities cannot be compared."
)
