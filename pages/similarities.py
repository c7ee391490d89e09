"""How near is the nearest example, and how many are nearer than a threshold?"""

import streamlit as st

from kernel_core.findings.distribution import histogram, label_agreement_curve, window_length
from kernel_core.findings.pairs import matching_pairs, with_class_names
from pages.ui import links, load, shell
from pages.ui.components.threshold import threshold_chart
from pages.ui.controls import choose_direction, choose_similarity, control_row, stop_unless_built
from pages.ui.panels import ranks
from pages.ui.panels.list_tools import Listed, command, list_tools, python
from pages.ui.wording import minus_distance

shell.guard()
opened = load.results()

controls = control_row()
with controls:
    results = choose_direction(opened)
    by = choose_similarity(results, "Similarity", "by")
neighbor, own = results.spec.database_example, results.spec.query_example
shell.heading(results, "Threshold", f"How near is the nearest {neighbor}?")
stop_unless_built(results, by)
pairs = load.ranking(results.id, by)
start, asked = ranks.start_threshold(pairs), ranks.threshold_of_address()
threshold = start if asked is None else asked


def keep_threshold() -> None:
    """Put the threshold that was dragged into the address, and so into the control."""
    chart = st.session_state.get("threshold_chart")  # none if the page was left meanwhile
    if chart is not None:
        ranks.go_above(float(chart.threshold), start)


with controls:
    why = "Drag the line on the chart, or type a value here."
    ranks.choose_threshold(pairs["similarity"], threshold, home=start, why=why)
agrees = (pairs["query_label"] == pairs["database_label"]).to_numpy()
window = window_length(len(pairs))
threshold_chart(
    pairs,
    histogram(pairs["similarity"].to_numpy()),
    label_agreement_curve(agrees, window),
    pairs_at=links.query(by=by, within=results.within),
    axis=f"similarity to the nearest {neighbor}: {results.title_of(by)}",
    threshold=threshold,
    window=window,
    what="pairs" if results.spec.excludes_self else f"{own}s",
    on_release=keep_threshold,
)
counted_once = ""
if results.spec.excludes_self:
    counted_once = " Two examples that are nearest to each other count as one."
st.caption(
    f"Each {own} counts once, by its similarity to the nearest {neighbor}.{counted_once} Pairs are ranked by "
    f"it, as on the near-duplicates page. {minus_distance(results, by)} Equal labels mean that a pair is of "
    "one class, not that it is a duplicate. Values of different similarities cannot be compared."
)
above = matching_pairs(pairs, threshold=threshold)
list_tools(
    results,
    "threshold",
    Listed(
        len(above),
        "pair",
        lambda: with_class_names(above, results.class_names),
        command(results, "pairs", by, "--threshold", threshold),
        python(results, "pairs", by=by, threshold=threshold),
    ),
)
