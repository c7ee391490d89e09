"""Where do all examples lie, if those that are similar lie near each other?"""

import streamlit as st

from kernel_core.errors import KernelExplorerError, NotBuilt, RequestError
from kernel_core.findings.map_layout import NEIGHBORS, counts_of, directions
from kernel_core.spec import parse_example
from pages.ui import jobs, load, shell
from pages.ui.map_view import show_map

shell.guard()
results = load.results()
counts = counts_of(results.examples)
try:
    directions(counts)
    found = load.map_of(results.id)
except NotBuilt:
    jobs.offer_build(
        load.request(),
        f"No map of these {sum(counts):,} examples has been drawn yet. It takes the kernel's neighbors of every "
        "example among all others, then UMAP: about a minute for the 60,000 examples of CIFAR-10 on two cores.",
        verb="map",
        title="There is no map yet",
    )
    st.stop()
except KernelExplorerError as error:
    st.header("Map")
    st.info(str(error), icon=":material/info:")
    st.stop()

st.header("Map: similar examples lie near each other")


def find() -> None:
    """Put the example that was asked for into the address."""
    wanted = st.session_state["map_find"].strip()
    if wanted:
        st.query_params["example"] = wanted
    else:
        st.query_params.pop("example", None)


named = st.query_params.get("example", "")
with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
    st.text_input("Find an example", named, placeholder="test:123", key="map_find", on_change=find, width=170)
selected = -1
if named:
    try:
        selected = found.point(*parse_example(named, results.example_counts))
    except RequestError as error:
        st.warning(str(error), icon=":material/warning:")
show_map(results, found, selected)
st.caption(
    f"{'Rings are test, dots training examples; ' if counts[1] else ''}UMAP put them into the plane from the {NEIGHBORS} nearest of each by the "
    f"kernel. What lies together is often similar, but **distances between far groups, their sizes and shapes mean nothing**, "
    f"and two dimensions keep little: of the {NEIGHBORS} nearest of each example, {found.kept:.1%} are among its "
    f"{NEIGHBORS} nearest here. The lines on hover go to the true nearest."
)
