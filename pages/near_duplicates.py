"""Which test examples have a near-duplicate in the training set, or in the test set if it is the only one?"""

import streamlit as st

from kernel_core.findings.pairs import select_pairs, with_class_names
from kernel_core.spec import ADJECTIVES
from pages.ui import lists, load, shell
from pages.ui.components.gallery import Cell, gallery, tile
from pages.ui.controls import choose_ranks, choose_similarity, stop_if_reversed, stop_unless_built
from pages.ui.panels.list_tools import Listed, command, list_tools, option, python
from pages.ui.wording import DIFFERENT_LABEL, escape

shell.guard()
results = load.results()

SHOWN = 96  # pairs per page
ANY_CLASS = "any class"

between = (
    f"within the {ADJECTIVES[results.query]} set"
    if results.spec.excludes_self
    else "between test and training set"
)
shell.heading(results, "Near-duplicates", f"Pairs {between}.")
by = choose_similarity(results, "Similarity", "by")
stop_unless_built(results, by)
pairs = load.ranking(results.id, by)
total = len(pairs)


def show_all() -> None:
    st.session_state["first"], st.session_state["last"] = 1, total


with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
    first, last = choose_ranks(total)
    class_name = st.selectbox(
        "Class of either example",
        [ANY_CLASS, *results.class_names],
        key="class",
        bind="query-params",
        width=180,
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

of_class = "" if class_name == ANY_CLASS else class_name
kept = select_pairs(pairs, kind, results.class_names.index(of_class) if of_class else None)
window = pairs[kept & pairs["rank"].between(first, last)]
can_widen = not kept.all() and (first, last) != (1, total)
text = f"**{len(window):,} pairs** at ranks {first:,}–{last:,} of {total:,}"
if not kept.all():
    text += " pass the filter"
if can_widen:
    text += f"; {int(kept.sum()):,} do in the whole ranking"
with st.container(horizontal=True, vertical_alignment="center"):
    shell.say(f"{text}.")
    if can_widen:
        st.button("Show all ranks", on_click=show_all, key="all_ranks", type="tertiary")

page_count = max(1, -(-len(window) // SHOWN))
page = st.pagination(page_count, key="page", bind="query-params") if page_count > 1 else 1
cells: list[Cell] = []
for pair in window.iloc[(page - 1) * SHOWN : page * SHOWN].itertuples():
    query, database = int(pair.query_index), int(pair.database_index)
    query_tile = tile(results, results.query, query, note=f"{results.query} {query}")
    database_tile = tile(
        results, results.database, database, beside=pair.query_label, note=f"{results.database} {database}"
    )
    head = f"#{pair.rank}  ·  {pair.similarity:.3f}"
    cells.append({"id": query, "head": head, "groups": [{"title": "", "tiles": [query_tile, database_tile]}]})
gallery(
    results,
    cells,
    layout="pairs",
    key="pairs",
    label="near-duplicate pairs",
    carried=lists.carried(results, "near_duplicates", by, "" if kind == "all" else kind, of_class),
)
st.caption(
    f"Left: a test example. Right: its nearest {results.spec.database_example} by "
    f"{escape(results.title_of(by))}. Pairs are ranked by that similarity, the nearest first. "
    f"{DIFFERENT_LABEL} A high rank does not prove a duplicate; judge by eye."
)
place = int((kept & (pairs["rank"] < first)).sum())  # of the matches before the window
list_tools(
    results,
    "near_duplicates",
    Listed(
        len(window),
        "pair",
        lambda: with_class_names(window, results.class_names),
        command(
            results,
            "pairs",
            by,
            *option("--labels", "" if kind == "all" else kind),
            *option("--class", of_class),
            "--ranks",
            f"{place + 1}-{place + len(window)}",
        ),
        python(
            results,
            "pairs",
            place + 1,
            place + len(window),
            by=by,
            labels="" if kind == "all" else kind,
            of_class=of_class,
        ),
    ),
)
