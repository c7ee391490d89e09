"""How near is the nearest example, and how many are nearer than a threshold?"""

import math

import streamlit as st

from kernel_core.findings.pairs import default_ranks, histogram, label_agreement_curve, window_length
from kernel_core.spec import SIMILARITIES
from pages.ui import load, shell
from pages.ui.controls import choose_similarity
from pages.ui.threshold import DIGITS, threshold_chart

shell.guard()
results = load.results()

neighbor = results.spec.database_example
st.header(f"Similarity: how near is the nearest {neighbor}?")
controls = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
with controls:
    by = choose_similarity(results, "Similar by", "by")
pairs = load.ranking(results.id, by)
first, _ = default_ranks(len(pairs))
nearest = float(pairs["similarity"].iloc[first - 1])  # of the rank that the near-duplicates page begins with
usual = math.floor(nearest * 10**DIGITS) / 10**DIGITS

if st.session_state.get("_threshold_by", by) != by:  # another measure, another scale
    st.session_state["threshold"] = usual
st.session_state["_threshold_by"] = by


def released() -> None:
    """Keep the threshold that was let go in the control, and so in the address."""
    st.session_state["threshold"] = float(st.session_state["threshold_chart"].threshold)


span = float(pairs["similarity"].iloc[0] - pairs["similarity"].iloc[-1])
threshold = controls.number_input(
    "Threshold", value=usual, step=max(span / 100, 10.0**-DIGITS), format=f"%.{DIGITS}f", key="threshold",
    bind="query-params", width=170, help="Drag the line on the chart, or type a value here.",
)  # fmt: skip
agrees = (pairs["query_label"] == pairs["database_label"]).to_numpy()
window = window_length(len(pairs))
threshold_chart(
    pairs, histogram(pairs["similarity"].to_numpy()), label_agreement_curve(agrees, window), by=by,
    axis=f"similarity to the nearest {neighbor}, by {SIMILARITIES[by]}", threshold=threshold, window=window,
    what="pairs" if results.spec.excludes_self else "test examples", on_release=released,
)  # fmt: skip
st.caption(
    f"Each test example counts once, by the similarity to its nearest {neighbor} (Euclidean: minus the distance)"
    f"{'; two that are nearest to each other count as one' if results.spec.excludes_self else ''}. "
    "The pairs are ranked by it, as on the near-duplicates page. Equal labels say that a pair is of one class, not "
    "that it is a duplicate; similarities by different measures cannot be compared with each other."
)
