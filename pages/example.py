"""One example: what the ensemble predicts for it, and which examples are nearest by each similarity."""

import streamlit as st

from kernel_core.spec import example_name
from pages.ui import load, shell
from pages.ui.badges import Badges
from pages.ui.controls import choose_similarities
from pages.ui.panels import how_sure, neighbor_lists, verdict, walk
from pages.ui.wording import DIFFERENT_LABEL, minus_distance

shell.guard()
results = load.results()

example = walk.example_of_address(results, "example")
current = example_name(*example)
trail = walk.trail_of_address(results, current)

shell.heading(results, current, "What the ensemble predicts for it, and which examples are nearest.")
walk.show_steps(results, example, trail)
walk.show_trail(results, trail, current)

left, right = st.columns([1, 2], gap="medium", width=900)
with left:
    verdict.show_image(results, example)
with right:
    st.markdown(verdict.sentence(results, example))
    if judged := Badges(results).said(example):
        st.markdown(f"Label: {judged}.")
    verdict.show_classes(results, example)
    verdict.show_votes(results, example)

with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    among = results.database
    if len(results.examples) > 1:
        among = st.segmented_control(
            "Neighbors among",
            list(results.examples),
            default=among,
            required=True,
            key="among",
            bind="query-params",
            help="Its own split shows near-duplicates within it. An example is never its own neighbor.",
        )
    k = st.slider("Neighbors (k)", 5, 50, 10, key="k", bind="query-params", width=220)
    names = choose_similarities(results, "Nearest by", "by")

missing: neighbor_lists.Missing = {}
lists = neighbor_lists.nearest_lists(results, example, names, among, missing)
settings = {
    "among": among if among != results.database else None,
    "k": k if k != 10 else None,
    "by": ",".join(names) if "by" in st.query_params else None,
}
carried = walk.carried([*trail, current], **settings)
neighbor_lists.show_lists(results, example, among, k, lists, carried)
st.caption(
    "Click a neighbor to go to it; *compare* opens the pair. Below each neighbor: its similarity, then its "
    "rank among the 50 nearest by the other similarities, with the number of places it is nearer ▲ or "
    "farther ▼ there. Hover to highlight it in every list. "
    f"{minus_distance(results, *names)} {DIFFERENT_LABEL}" + neighbor_lists.fewer_runs_note(results)
)

neighbor_lists.offer(results, missing, (example[0], among))

if st.toggle(
    "How sure is the kernel's list?",
    key="sure",
    bind="query-params",
    help="Resamples the runs and shows which neighbors stay: a first answer at once, the final one after "
    "about a second.",
):
    how_sure.show_how_sure(results, example, k, database=among)
