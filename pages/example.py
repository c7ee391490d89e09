"""One example: what the ensemble says of it, and what is near it by each similarity."""

import streamlit as st

from kernel_core.spec import example_name
from pages.ui import load, shell
from pages.ui.panels import how_sure, neighbor_lists, verdict, walk

shell.guard()
results = load.results()

split, index = walk.named(results, "example")
current = example_name(split, index)
way = walk.trail(results, current)

walk.show_ways(results, split, index, way)
walk.show_trail(results, way, current)

left, right = st.columns([1, 2], gap="medium", width=900)
with left:
    verdict.show_image(results, split, index)
with right:
    st.subheader(current, anchor=False)
    st.markdown(verdict.sentence(results, split, index))
    verdict.show_classes(results, split, index)
    verdict.show_votes(results, split, index)

with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    among = results.database
    if len(results.examples) > 1:
        among = st.segmented_control(
            "Neighbors among", list(results.examples), default=among, required=True, key="among", bind="query-params",
            help="Its own split shows near-duplicates within it; an example is never its own neighbor.",
        )  # fmt: skip
    k = st.slider("Neighbors", 5, 50, 10, key="neighbors", bind="query-params", width=220)

missing: neighbor_lists.Missing = {}
lists = neighbor_lists.found(results, (split, index), among, missing)
settings = {"among": among if among != results.database else None, "neighbors": k if k != 10 else None}
neighbor_lists.show_lists(results, (split, index), among, k, lists, walk.carried([*way, current], **settings))
st.caption(
    "A click makes a neighbor the next example; *compare* opens the pair. Below its similarity (Euclidean: minus the "
    "distance) stands where it is among the 50 nearest by the others, and by how many places it is nearer ▲ or farther ▼ "
    "there. Resting on one marks it in every list. ≠ and a dashed frame: another label than this example's."
    + neighbor_lists.of_fewer_runs(results)
)

neighbor_lists.offer(missing)

if st.toggle(
    "How sure is the kernel's list?", key="sure", bind="query-params",
    help="Draws the runs again and again, and says which neighbors stay; takes about a second an example.",
):  # fmt: skip
    how_sure.show_how_sure(results, (split, index), k, database=among)
