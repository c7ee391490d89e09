"""Where do all examples lie, if similar ones lie near each other?"""

import contextlib

import streamlit as st

from kernel_core.errors import KernelExplorerError, NotBuilt, RequestError
from kernel_core.findings.map_layout import NEIGHBOR_COUNT, example_counts, search_directions
from kernel_core.printable import printable
from kernel_core.spec import parse_example
from pages.ui import going, jobs, load, shell
from pages.ui.components.map import show_map
from pages.ui.controls import choose_similarity
from pages.ui.wording import escape

shell.guard()
results = load.results()
shell.heading(results, "Map", "Similar examples lie near each other.")
counts = example_counts(results.examples)
row = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
with row:
    by = choose_similarity(results, "Similarity", "by")
try:
    search_directions(counts)  # raises where the examples are too few
    layout = load.map_of(results.id, by)
except NotBuilt:
    jobs.offer(
        load.request_of(by),
        f"The map of these {sum(counts):,} examples by {escape(results.title_of(by))} is not built. It needs "
        "the nearest neighbors of every example among all others, then UMAP: about a minute for the 60,000 "
        "examples of CIFAR-10 on two cores.",
        verb="map",
    )
    st.stop()
except KernelExplorerError as error:
    st.info(escape(printable(error)), icon=":material/info:")
    st.stop()


def find() -> None:
    """Put the example that was typed into the address; the map goes to it. Of a class, only it is shown."""
    typed = st.session_state.get("map_find")
    if typed is None:  # the page was left meanwhile
        return
    typed = typed.strip()
    st.query_params.pop("view", None)
    what, found = "example", typed
    with contextlib.suppress(RequestError):  # the page says what is wrong with it
        what, found = going.destination(results, typed)
    if what == "class":
        st.query_params["only"] = found
    if typed and what == "example":
        st.query_params["example"] = found
    else:
        st.query_params.pop("example", None)


name = st.query_params.get("example", "")
row.text_input(
    "Find",
    name,
    placeholder="test:123 or a class",
    key="map_find",
    on_change=find,
    width=190,
    help=going.HELP,
)
selected = -1
if name:
    try:
        selected = layout.point(*parse_example(going.destination(results, name)[1], results.example_counts))
    except RequestError as error:
        st.warning(str(error), icon=":material/warning:")
show_map(results, layout, selected, by)
splits = "Rings are test examples, dots are training examples. " if counts[1] else ""
laid_out = f"UMAP places each example by its {NEIGHBOR_COUNT} nearest by {escape(results.title_of(by))}. "
if layout.landmarks:
    laid_out = (
        f"There are {sum(counts):,} examples: UMAP places {layout.landmarks:,} of them, drawn at random, as "
        f"landmarks, each by its {NEIGHBOR_COUNT} nearest landmarks by {escape(results.title_of(by))}; each "
        "other example is placed amid the landmarks nearest to it. While the map moves, only some are drawn. "
    )
st.caption(
    f"{splits}{laid_out}"
    "Examples that lie together are often similar, but **distances between far groups, their sizes and "
    "shapes mean nothing**. "
    f"Two dimensions keep little: {layout.share_kept:.1%} of each example's {NEIGHBOR_COUNT} nearest are "
    f"also among its {NEIGHBOR_COUNT} nearest on the map. The lines on hover lead to the true nearest."
)
