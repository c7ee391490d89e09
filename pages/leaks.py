"""How many test examples have a duplicate in training, which labels are wrong, and what does it change?"""

import streamlit as st

from kernel_core.report.leak_pairs import Asked
from kernel_core.review.consensus import RULES
from kernel_core.review.verdicts import DUPLICATES
from pages.ui import load, paired, read_only, reports, shell
from pages.ui.controls import choose_similarity, control_row, stop_unless_built
from pages.ui.paired import SIMILARITY
from pages.ui.panels import parts, report_parts, twin_filters
from pages.ui.review_queue import SAMPLE_SIZE
from pages.ui.wording import escape

shell.guard()
results = load.results()

KINDS = "pair", "label"

shell.heading(
    results,
    "Leak report",
    "What was judged, counted with intervals; and apart from that, what machines find.",
)
controls = control_row()
with controls:
    kind = st.segmented_control(
        "Verdicts on", list(KINDS), default="pair", required=True, key="kind", bind="query-params",
        width=125,
    )  # fmt: skip
    by = choose_similarity(results, "Similarity", "by")
stop_unless_built(results, by)
with controls:
    order = SIMILARITY
    if kind == "pair":
        with st.container(width=190):
            order = parts.choose_order(results, by, on_change=lambda: None)
    rule = st.segmented_control(
        "Consensus", list(RULES), default="majority", required=True, key="rule", bind="query-params",
        help="  \n".join(f"**{name}**: {what}." for name, what in RULES.items()), wrap=True,
        width=300,
    )  # fmt: skip
    leaked = DUPLICATES[-1]
    if kind == "pair":
        leaked = st.selectbox(
            "A leak is at least", list(DUPLICATES)[::-1], key="leaked", bind="query-params",
            width=190, help="This verdict and closer ones.",
        )  # fmt: skip
    anonymous = st.toggle(
        "Number reviewers", key="anonymous", bind="query-params",
        help="Number the reviewers instead of naming them, in the files too.", width=180,
    )  # fmt: skip
if order != SIMILARITY and not paired.has_twins(results, by):
    twin_filters.offer(results, by, "Until then, the report goes along the similarity.")
    order = SIMILARITY
counting = DUPLICATES[: DUPLICATES.index(leaked) + 1]
if kind == "pair":
    made = reports.leaks(results, Asked(by, order, rule, counting), anonymous=anonymous)
else:
    made = reports.labels(results, by, rule, anonymous=anonymous)

shell.say(escape(made.document.lead[0]))
for text in made.document.lead[1:]:
    st.caption(escape(text))
with st.container(horizontal=True, vertical_alignment="center", gap="small", key="report_links"):
    if not read_only.is_read_only():
        st.page_link("pages/review.py", label="Judge more →", query_params={"kind": kind}, width=120)
        if kind == "pair":
            sample = {"list": f"sample:{by}:{order}:{SAMPLE_SIZE}:0"}
            st.page_link("pages/review.py", label="Judge a random sample →", query_params=sample, width=200)
    st.page_link("pages/verdicts.py", label="Verdicts →", query_params={"kind": kind}, width=100)
report_parts.show_files(made)
report_parts.show_sections(results, made.document.sections)
