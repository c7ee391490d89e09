"""Do the neighbors look alike? Random test examples, by the kernel and by another measure."""

import random

import streamlit as st

from kernel_core.findings.disagreement import label_agreement, overlap
from kernel_core.findings.pairs import random_queries
from kernel_core.spec import SIMILARITIES
from pages.ui import lists, load, shell
from pages.ui.controls import choose_similarity
from pages.ui.gallery import Cell, Group, gallery, nearest_tiles, tile
from pages.ui.panels import neighbor_lists

shell.guard()
results = load.results()

st.header("Random examples: the kernel's neighbors beside another measure's")
if "penultimate" not in results.neighbors:
    neighbor_lists.say_no_features(results, "pixels stand beside the kernel")


def another() -> None:
    st.session_state["seed"] = random.randrange(1_000_000)


with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
    st.button("Another ten", on_click=another, type="primary", icon=":material/casino:", key="another")
    seed = st.number_input("Seed", 0, 999_999, 0, key="seed", bind="query-params", width=150)
    k = st.number_input("Neighbors each", 1, 10, 2, key="k", bind="query-params", width=130)
against = choose_similarity(results, "Beside the kernel", "against", without="kernel")

queries = random_queries(len(results.labels[0]), seed)
shown = {name: results.neighbors_by(name) for name in ("kernel", against)}


def group(name: str, query: int) -> Group:
    return {"title": SIMILARITIES[name], "tiles": nearest_tiles(results, shown[name], query, k)}


cells: list[Cell] = []
for query in queries.tolist():
    own: Group = {
        "title": results.query,
        "tiles": [tile(results, results.query, query, note=f"{results.query} {query}")],
    }
    cells.append({"id": query, "head": "", "groups": [own, *(group(name, query) for name in shown)]})
gallery(
    results,
    cells,
    layout="columns",
    key="random",
    label="random test examples with their neighbors",
    carried=lists.carried("random_examples", seed),
)

st.subheader(
    f"How often do the {k} nearest share the label?"
    if k > 1
    else "How often does the nearest share the label?"
)
with st.container(horizontal=True, gap="large"):
    for name, neighbors in shown.items():
        share = label_agreement(neighbors, *results.labels, k)
        here = label_agreement(neighbors, *results.labels, k, queries)
        st.metric(
            f"by {SIMILARITIES[name]}", f"{share:.1%}", f"of these ten: {here:.0%}", delta_color="off",
            delta_arrow="off", width=260, help="Over all test examples.",
        )  # fmt: skip
    common = overlap(*shown.values(), k)
    st.metric(
        "neighbors both name",
        f"{common:.1%}",
        width=260,
        help=f"overlap@{k}, averaged over all test examples",
    )
st.caption(
    "The claim of the dataset card: the kernel's neighbors look alike, while penultimate features of one network return "
    "nearly random images of the same label. Shared labels do not tell; look at the pictures. Below each neighbor stands its "
    "similarity (Euclidean: minus the distance); ≠ and a dashed frame mark a label that differs."
)
