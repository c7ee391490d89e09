"""Do the neighbors look alike? Random test examples, by the kernel and by another similarity."""

import random

import streamlit as st

from kernel_core.findings.disagreement import label_agreement, mean_overlap
from kernel_core.findings.pairs import random_queries
from pages.ui import lists, load, shell
from pages.ui.badges import Badges
from pages.ui.components.gallery import Cell, Group, gallery, nearest_tiles, tile
from pages.ui.controls import choose_similarity, control_row, stop_unless_built
from pages.ui.panels import neighbor_lists
from pages.ui.wording import DIFFERENT_LABEL, minus_distance

shell.guard()
results = load.results()

shell.heading(results, "Random examples", "Their neighbors by two similarities, side by side.")
neighbor_lists.say_if_no_features(results)


def draw_again() -> None:
    st.session_state["seed"] = random.randrange(1_000_000)


with control_row():
    st.button(
        "Another ten", on_click=draw_again, type="primary", icon=":material/casino:", key="another", width=128
    )
    seed = st.number_input("Seed", 0, 999_999, 0, key="seed", bind="query-params", width=140)
    k = st.number_input("Neighbors (k)", 1, 10, 2, key="k", bind="query-params", width=130)
    first = choose_similarity(results, "First similarity", "by")
    second = choose_similarity(results, "Second similarity", "other", without=first)
stop_unless_built(results, first, second)

queries = random_queries(len(results.labels[0]), seed)
compared = {name: results.neighbors_by(name) for name in (first, second)}
k = min(k, *(neighbors.k for neighbors in compared.values()))

cells: list[Cell] = []
badges = Badges(results)
for query in queries.tolist():
    own = tile(results, results.query, query, note=f"{results.query} {query}")
    groups: list[Group] = [{"title": results.query, "tiles": [own]}]
    for name, neighbors in compared.items():
        nearest = nearest_tiles(results, neighbors, query, k)
        badges.on_neighbors(nearest, (results.query, query))
        groups.append({"title": results.title_of(name), "tiles": nearest})
    cells.append({"id": query, "head": "", "groups": groups})
gallery(
    results,
    cells,
    layout="columns",
    key="random",
    label="random test examples with their neighbors",
    carried=lists.carried(results, "random_examples", seed),
)

if k == 1:
    st.header("How often does the nearest share the label?")
else:
    st.header(f"How often do the {k} nearest share the label?")
with st.container(horizontal=True, gap="large"):
    for name, neighbors in compared.items():
        share = label_agreement(neighbors, *results.labels, k)
        share_here = label_agreement(neighbors, *results.labels, k, queries)
        st.metric(
            results.title_of(name),
            f"{share:.1%}",
            f"of these ten: {share_here:.0%}",
            delta_color="off",
            delta_arrow="off",
            width=260,
            help="Over all test examples.",
        )
    common = mean_overlap(compared[first], compared[second], k)
    st.metric(
        "Shared neighbors",
        f"{common:.1%}",
        width=260,
        help=f"overlap@{k}, averaged over all test examples",
    )
st.caption(
    "The dataset card claims that the kernel's neighbors look alike, while penultimate features of one "
    "network return nearly random images of the same label. Shared labels cannot show this; look at the "
    f"images. Below each neighbor: its similarity. {minus_distance(results, *compared)} {DIFFERENT_LABEL}"
)
