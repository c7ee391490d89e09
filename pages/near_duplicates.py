"""Which examples have a near-duplicate, between test and training set or within one of them?"""

import streamlit as st

from kernel_core.findings.pairs import with_class_names
from kernel_core.findings.twins import pixels_last
from kernel_core.spec import ADJECTIVES
from pages.ui import lists, load, paired, shell
from pages.ui.components.gallery import gallery
from pages.ui.controls import (
    choose_direction,
    choose_labels,
    choose_similarity,
    control_row,
    stop_unless_built,
)
from pages.ui.paired import SIMILARITY, Asked
from pages.ui.panels import pair_cells, parts, ranks, twin_filters, verdict_filter
from pages.ui.panels.list_tools import Listed, command, list_tools, option, python
from pages.ui.wording import ANY_CLASS

shell.guard()
opened = load.results()

SHOWN = 96  # pairs per page

controls = control_row()
with controls:
    results = choose_direction(opened)
    by = choose_similarity(results, "Similarity", "by")
within = f"within the {ADJECTIVES[results.query]} set"
between = within if results.spec.excludes_self else "between test and training set"
shell.heading(results, "Near-duplicates", f"Pairs {between}.")
stop_unless_built(results, by)

with controls:
    order = parts.choose_order(results, by)
    kind = choose_labels(ranks.narrow)
    class_name = st.selectbox(
        "Class of either example", [ANY_CLASS, *results.class_names], key="class", bind="query-params",
        on_change=ranks.narrow, width=180,
    )  # fmt: skip
    pixels, band = twin_filters.choose_filters(results, by, ranks.narrow)
    wanted = verdict_filter.choose_judged(results, "pair", ranks.narrow)
if not paired.has_twins(results, by):
    until = "Until then, pairs are ranked by similarity."
    twin_filters.offer(results, by, until if order != SIMILARITY else "")
    order = SIMILARITY
labels = "" if kind == "all" else kind
of_class = "" if class_name == ANY_CLASS else class_name
asked = Asked(by, order, labels, of_class, pixels, band, wanted)
found = paired.find(results, asked)
noun = parts.noun(asked)
if not len(found.matches):
    shell.say(f"There are no {noun} among the {len(found.pairs):,}.")
    st.stop()

part = parts.choose_part(results, found)
with st.container(horizontal=True, vertical_alignment="center"):
    shell.say(parts.sentence(results, found, part))
    if len(part.rows) < len(found.matches) and part.threshold is None:
        whole = (1, len(found.matches))
        st.button(f"Show all {whole[1]:,}", on_click=ranks.go_to, args=(whole,), key="all", type="tertiary")
    verdict_filter.review_link(results, "pair", *asked.to_list(), wanted=wanted)
page = ranks.choose_page(len(part.rows), SHOWN, has_steps=part.window is None)

gallery(
    results,
    pair_cells.cells(results, part.rows.iloc[(page - 1) * SHOWN : page * SHOWN], by),
    layout="pairs",
    key="pairs",
    label="near-duplicate pairs",
    carried=lists.carried(results, *asked.to_list(), wanted=wanted),
)
st.caption(pair_cells.caption(results, asked))


def listed(window: ranks.Window | None, threshold: float | None) -> Listed:
    """Return the list of the pairs that pass the filter, in a window of them or above a threshold."""
    rows = part.rows if (window, threshold) == (part.window, part.threshold) else found.matches
    filters = [*option("--order", "" if order == SIMILARITY else order), *option("--labels", labels)]
    filters += [*option("--class", of_class), *option("--threshold", threshold)]
    filters += [*option("--aligned", pixels), *option("--band", band)]
    if window:
        filters += ["--ranks", f"{window[0]}-{window[1]}"]
    call: dict[str, object] = {"by": by, "labels": labels, "of_class": of_class, "threshold": threshold}
    call |= {"order": "" if order == SIMILARITY else order, "aligned": pixels, "band": band}
    return Listed(
        len(rows),
        "pair",
        lambda: pixels_last(with_class_names(rows, results.class_names)),
        command(results, "pairs", by, *filters, wanted=wanted),
        python(results, "pairs", *(window or ()), wanted=wanted, **call),
        kind="pair",
    )


shown = [listed(part.window, part.threshold)]
if len(part.rows) < len(found.matches):
    shown.append(listed((1, len(found.matches)), None))
list_tools(results, "near_duplicates", *shown)
