"""Which examples have a near-duplicate, between test and training set or within one of them?"""

import streamlit as st

from kernel_core.findings.pairs import matching_pairs, with_class_names
from kernel_core.spec import ADJECTIVES
from pages.ui import lists, load, shell
from pages.ui.components.gallery import Cell, gallery, tile
from pages.ui.controls import choose_direction, choose_similarity, control_row, stop_unless_built
from pages.ui.panels import ranks
from pages.ui.panels.list_tools import Listed, command, list_tools, option, python
from pages.ui.wording import DIFFERENT_LABEL, escape

shell.guard()
opened = load.results()

SHOWN = 96  # pairs per page
ANY_CLASS = "any class"

controls = control_row()
with controls:
    results = choose_direction(opened)
    by = choose_similarity(results, "Similarity", "by")
within = f"within the {ADJECTIVES[results.query]} set"
between = within if results.spec.excludes_self else "between test and training set"
shell.heading(results, "Near-duplicates", f"Pairs {between}.")
stop_unless_built(results, by)
pairs = load.ranking(results.id, by)

with controls:
    kind = st.segmented_control(
        "Labels",
        ["all", "same", "different"],
        default="all",
        required=True,
        key="labels",
        bind="query-params",
        on_change=ranks.narrow,
    )
    class_name = st.selectbox(
        "Class of either example",
        [ANY_CLASS, *results.class_names],
        key="class",
        bind="query-params",
        on_change=ranks.narrow,
        width=180,
    )
labels = "" if kind == "all" else kind
of_class = "" if class_name == ANY_CLASS else class_name
words = [{"same": "the same label", "different": "different labels"}.get(labels, "")]
words += [f"class {escape(of_class)}" if of_class else ""]
which = " and ".join(filter(None, words))
noun = f"pairs with {which}" if which else "pairs"
matches = matching_pairs(pairs, kind, results.class_names.index(of_class) if of_class else None)
if not len(matches):
    shell.say(f"There are no {noun} among the {len(pairs):,}.")
    st.stop()

part = ranks.choose_part(pairs, matches)
count, shown = f"{len(matches):,} {noun}", part.rows
at = f", ranks {shown['rank'].iloc[0]:,}–{shown['rank'].iloc[-1]:,}" if len(shown) else ""
if part.threshold is None:
    sentence = f"**{len(shown):,} of {count}**{at}{part.why}."
else:
    sentence = f"**{len(shown):,} of {count}** are at or above {part.threshold:.4f}{at}."
with st.container(horizontal=True, vertical_alignment="center"):
    shell.say(sentence)
    if len(shown) < len(matches) and part.threshold is None:
        whole = (1, len(matches))
        st.button(
            f"Show all {len(matches):,}", on_click=ranks.go_to, args=(whole,), key="all", type="tertiary"
        )
page = ranks.choose_page(len(shown), SHOWN, has_steps=part.window is None)

cells: list[Cell] = []
for pair in shown.iloc[(page - 1) * SHOWN : page * SHOWN].itertuples():
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
    carried=lists.carried(results, "near_duplicates", by, labels, of_class),
)
st.caption(
    f"Left: a {results.spec.query_example}. Right: its nearest {results.spec.database_example} by "
    f"{escape(results.title_of(by))}. Pairs are ranked by that similarity, the nearest first; with a filter, "
    f"they keep their ranks. {DIFFERENT_LABEL} A high rank does not prove a duplicate; judge by eye."
)


def listed(window: ranks.Window | None, threshold: float | None) -> Listed:
    """Return the list of the pairs that pass the filter, in a window of them or above a threshold."""
    rows = part.rows if (window, threshold) == (part.window, part.threshold) else matches
    first, last = window or (None, None)
    filters = [*option("--labels", labels), *option("--class", of_class), *option("--threshold", threshold)]
    if window:
        filters += ["--ranks", f"{first}-{last}"]
    call = {"by": by, "labels": labels, "of_class": of_class, "threshold": threshold}
    return Listed(
        len(rows),
        "pair",
        lambda: with_class_names(rows, results.class_names),
        command(results, "pairs", by, *filters),
        python(results, "pairs", *(window or ()), **call),
    )


wanted = [listed(part.window, part.threshold)]
if len(shown) < len(matches):
    wanted.append(listed((1, len(matches)), None))
list_tools(results, "near_duplicates", *wanted)
