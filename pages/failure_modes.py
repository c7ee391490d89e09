"""Which labels are in doubt: whose nearest example has another one, or for which little speaks?"""

import pandas as pd
import streamlit as st

from kernel_core.findings.label_orders import MOST_SIMILAR, ORDERS, TO_CHECK, count_conflicts, with_labels
from kernel_core.findings.pairs import expand_neighbors, with_class_names
from kernel_core.results.judged_rows import select_judged
from pages.ui import load, shell, verdicts
from pages.ui.charts import Labels
from pages.ui.controls import choose_direction, choose_similarity, control_row, stop_unless_built
from pages.ui.panels import verdict_filter
from pages.ui.panels.conflict_rows import conflict_rows, count_sentence, list_name
from pages.ui.panels.confusion import confusion_matrix, pair_names
from pages.ui.panels.list_tools import Listed, command, list_tools, option, python
from pages.ui.wording import DIFFERENT_LABEL, escape

shell.guard()
opened = load.results()

ROWS = 8
EVERY_PAIR = "every pair of labels"


def start_over() -> None:
    """Show as many rows as at first, or all if there are fewer, of what is chosen now."""
    st.session_state["rows"] = ROWS


with control_row():
    results = choose_direction(opened)
    by = choose_similarity(results, "Similarity", "by")
    order = st.segmented_control(
        "Order", list(ORDERS), default=MOST_SIMILAR, required=True, key="order", bind="query-params",
        help="**most similar**: examples whose nearest has a different label, the most similar first, as "
        "on the dataset card.  \n**label to check**: all examples, the label with the least support first. "
        "Support is the ensemble's mean probability of the label plus the label's share of the 20 nearest, "
        "weighted by value⁴ (by distances, all alike).",
    )  # fmt: skip
neighbor = results.spec.database_example
about = {
    MOST_SIMILAR: f"The nearest {neighbor} has a different label.",
    TO_CHECK: "Ensemble and neighbors say little for the label.",
}
shell.heading(results, "Label conflicts", about[order])
stop_unless_built(results, by)
everything = load.in_doubt(results.id, by, order)
if not len(everything):
    by_title, own = escape(results.title_of(by)), results.spec.query_example
    st.success(f"By {by_title}, every {own} has the same label as its nearest {neighbor}.")
    st.stop()

pair_of: dict[str, Labels | None] = {EVERY_PAIR: None}
pair_of |= pair_names(count_conflicts(everything), results.class_names)
name_of = {pair: name for name, pair in pair_of.items()}


def conflicts_of(name: str) -> pd.DataFrame:
    """Return the conflicts of a pair of labels, by its name in the control, that pass the filter."""
    pair = pair_of[name]
    return with_labels(passing, *pair) if pair else passing


def choose(pair: Labels | None) -> None:
    """Choose a pair of labels; None, or one without conflicts, shows every pair."""
    st.session_state["labels_differ"] = name_of.get(pair, EVERY_PAIR)
    start_over()


def show_more() -> None:
    st.session_state["rows"] = min(len(conflicts), row_count + ROWS)


with st.container(horizontal=True, gap="large"):
    matrix = st.container(width="content", key="matrix")
    beside = st.container(width=420, vertical_alignment="bottom")
with beside:
    wanted = verdict_filter.choose_judged(results, "label", start_over)
passing = select_judged(everything, verdicts.standing(results), "label", wanted)
chosen = beside.selectbox(
    "Label pair (label ≠ its neighbors')",
    list(pair_of),
    key="labels_differ",
    bind="query-params",
    on_change=start_over,
    help="The neighbors' label is that of the nearest or, for “label to check”, the one that they vote for. "
    "Most frequent first. A click on the matrix chooses a pair; a double click shows every pair again.",
)
pair = pair_of[chosen]
if len(pair_of) > 1:
    with matrix:
        confusion_matrix(results, (by, order), pair, choose)
conflicts = conflicts_of(chosen)
verdict_filter.stop_if_none(len(conflicts), wanted)
start = min(ROWS, len(conflicts))
if st.session_state.get("rows", start) > len(conflicts):
    st.session_state["rows"] = len(conflicts)
controls = beside.container(horizontal=True, vertical_alignment="bottom", gap="small")
row_count = controls.number_input(
    "Rows", 1, len(conflicts), start, key="rows", bind="query-params", width=130
)
all_shown = row_count >= len(conflicts)
controls.button(f"{ROWS} more", on_click=show_more, disabled=all_shown, key="more", icon=":material/add:")
names = (results.class_names[pair[0]], results.class_names[pair[1]]) if pair else None
shown = "All are shown" if all_shown else f"The first {row_count:,} are shown"
ends = "most similar first" if order == MOST_SIMILAR else "least support first"
with beside:
    counted = count_sentence(results, order, conflicts, names)
    shell.say(f"{counted}{verdict_filter.only(wanted)}. {shown}, {ends}.")
    of_pair = "" if chosen == EVERY_PAIR else chosen
    verdict_filter.review_link(results, "label", list_name(order), by, of_pair, wanted=wanted)

conflict_rows(results, by, order, conflicts.head(row_count), of_pair, wanted=wanted)
rank = {
    MOST_SIMILAR: f"#: the rank among all pairs, by the similarity to the nearest {neighbor}.",
    TO_CHECK: "#: the rank by support: the label's mean probability over the runs, plus its share of the 20 "
    "nearest, weighted by value⁴ (by distances, all alike).",
}
st.caption(
    f"{rank[order]} Prediction: the class of the ensemble's largest averaged logit; its probability is "
    f"averaged over the runs. {DIFFERENT_LABEL}"
)
st.page_link("pages/labels.py", label="Labels to check, by more orders and of training examples too →")


def table() -> pd.DataFrame:
    """Return the rows of the list, each with its nearest, with the columns of the verb."""
    rows = expand_neighbors(conflicts, results.neighbors_by(by), results.labels[1], 1)
    return with_class_names(rows, results.class_names)


label, against = names or ("", "")
asked = "" if order == MOST_SIMILAR else order
words = *option("--order", asked), *option("--label", label), *option("--against", against)
list_tools(
    results,
    "label_conflicts",
    Listed(
        len(conflicts),
        "example",
        table,
        command(results, "failures", by, *words, "--top", len(conflicts), "--neighbors", 1, wanted=wanted),
        python(results, "failures", by=by, order=asked, label=label, against=against, wanted=wanted),
        kind="label",
    ),
)
