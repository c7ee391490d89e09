"""Which test examples have a near-duplicate in the training set, or in the test set where there is no other?"""

import streamlit as st

from kernel_core.findings.pairs import passes
from kernel_core.spec import SIMILARITIES
from pages.ui import lists, load, shell
from pages.ui.controls import choose_ranks, choose_similarity, stop_if_reversed
from pages.ui.gallery import Cell, gallery, tile

shell.guard()
results = load.results()

SHOWN = 96  # pairs drawn at a time

st.header(
    "Near-duplicates within the test set"
    if results.spec.excludes_self
    else "Near-duplicates between test and training set"
)
by = choose_similarity(results, "Similar by", "by")
pairs = load.ranking(results.id, by)
total = len(pairs)


def show_all() -> None:
    st.session_state["first"], st.session_state["last"] = 1, total


with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
    first, last = choose_ranks(total)
    any_class = "any class"
    of_class = st.selectbox(
        "Label of either", [any_class, *results.class_names], key="class", bind="query-params", width=180
    )
    kind = st.segmented_control(
        "Labels",
        ["all", "same", "different"],
        default="all",
        required=True,
        key="labels",
        bind="query-params",
    )

stop_if_reversed(first, last)
named = "" if of_class == any_class else of_class
wanted = passes(pairs, kind, results.class_names.index(named) if named else None)
inside = pairs["rank"].between(first, last)
window = pairs[wanted & inside]

pages = max(1, -(-len(window) // SHOWN))
text = f"**{len(window):,} pairs** of rank {first:,}–{last:,} (of {total:,})"
if not wanted.all():
    text += " pass the filter"
    if (first, last) != (1, total):
        text += f"; {int(wanted.sum()):,} do in the whole ranking"
with st.container(horizontal=True, vertical_alignment="center"):
    st.markdown(text + ".")
    if not wanted.all() and (first, last) != (1, total):
        st.button("Show all ranks", on_click=show_all, key="all_ranks", type="tertiary")
page = st.pagination(pages, key="page", bind="query-params") if pages > 1 else 1
shown = window.iloc[(page - 1) * SHOWN : page * SHOWN]

cells: list[Cell] = [
    {
        "id": pair.query_index,
        "head": f"#{pair.rank}  ·  {pair.similarity:.3f}",
        "groups": [
            {"title": "", "tiles": [
                tile(results, results.query, pair.query_index, note=f"{results.query} {pair.query_index}"),
                tile(results, results.database, pair.database_index, beside=pair.query_label, note=f"{results.database} {pair.database_index}"),
            ]},
        ],
    }
    for pair in shown.itertuples()
]  # fmt: skip
gallery(
    results,
    cells,
    layout="pairs",
    key="pairs",
    label="near-duplicate pairs",
    carried=lists.carried("near_duplicates", by, "" if kind == "all" else kind, named),
)
st.caption(
    f"Left a test example, right its nearest {results.spec.database_example} by {SIMILARITIES[by]}. Pairs are ranked by that "
    "similarity, the nearest first; ≠ and a dashed frame mark a label that differs. Rank says nothing of truth: "
    "whether a pair is a duplicate is for you to see."
)
