"""Which labels may be wrong, and what do ensemble and neighbors propose instead?"""

from typing import Any

import streamlit as st

from kernel_core.errors import NotBuilt, RequestError
from kernel_core.findings.labels_to_check import DEFAULT, ORDERS
from kernel_core.findings.pairs import with_class_names
from kernel_core.results.label_check import said_of_left_out, said_of_unlikely
from pages.ui import label_checks, load, shell
from pages.ui.controls import choose_similarity, control_row, stop_unless_built
from pages.ui.label_checks import Asked
from pages.ui.panels import label_rows, ranks, twin_filters, verdict_filter
from pages.ui.panels.list_tools import Listed, command, list_tools, option, python
from pages.ui.wording import ANY_CLASS, DIFFERENT_LABEL, plural

shell.guard()
opened = load.results()

SHOWN = 12  # rows per page


def start_over() -> None:
    """Show the first page, after a change of what the list holds."""
    st.session_state["page"] = 1


controls = control_row(horizontal=False)
shared: dict[str, Any] = {"bind": "query-params", "on_change": start_over}
with controls, st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
    split = opened.query
    if len(opened.examples) > 1:
        split = st.segmented_control(
            "Split",
            ["test", "train"],
            default="test",
            required=True,
            key="split",
            help="Whose labels. Test examples are held against training examples, training examples against "
            "each other.",
            **shared,
        )
    results = label_checks.in_direction(opened, split)
    by = choose_similarity(results, "Neighbors by", "by", more=label_checks.variants_of(results))
with controls, st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="label_row"):
    order = st.segmented_control(
        "Order",
        list(ORDERS),
        default=DEFAULT,
        required=True,
        key="order",
        wrap=True,
        help="  \n".join(f"**{name}**: {order.about}." for name, order in ORDERS.items()),
        **shared,
    )
    classes = [ANY_CLASS, *results.class_names]
    label = st.selectbox("Label", classes, key="label", width=160, **shared)
    proposed = st.selectbox("Proposed class", classes, key="proposed", width=160, **shared)
    both = st.toggle(
        "Both agree",
        key="both",
        help="Only examples for which ensemble and neighbors name the same class, and it is not the label.",
        **shared,
    )
with controls:
    wanted = verdict_filter.choose_judged(results, "label", start_over)

own = results.spec.query_example
shell.heading(results, "Labels to check", f"Each {own}'s label against what ensemble and neighbors propose.")
label_rows.say_basis(results)
stop_unless_built(results, by)
try:
    everything = label_checks.table(results.id, by, order)
except NotBuilt:
    twin_filters.offer(results, by)
    st.stop()
except RequestError as error:
    st.info(str(error), icon=":material/info:")
    st.stop()

label, proposed = ("" if name == ANY_CLASS else name for name in (label, proposed))
asked = Asked(by, order, label, proposed, both, wanted)
rows = label_checks.rows_of(results, asked)
against, flagged = int(everything["both_against"].sum()), int(everything["flagged"].sum())
sentence = f"**{len(rows):,} of {plural(len(everything), own)}**" if len(rows) < len(everything) else ""
sentence = sentence or f"**{plural(len(rows), own)}**, the first to check first"
shell.say(
    f"{sentence}{verdict_filter.only(wanted)}. Ensemble and neighbors agree on another class for "
    f"{against:,}; confident learning flags {flagged:,}. {said_of_left_out(results)} "
    f"{said_of_unlikely(results)}"
)
if not len(rows):
    st.stop()
verdict_filter.review_link(results, "label", "labels", *asked.arguments, wanted=wanted)
page = ranks.choose_page(len(rows), SHOWN, has_steps=True)
label_rows.label_rows(opened, results, asked, rows.iloc[(page - 1) * SHOWN : page * SHOWN])
st.caption(
    f"#: the rank by {order}. Ensemble: the class with the largest probability, averaged over the runs. "
    "Neighbors: the class with the largest share of their weight, value⁴ each (by distances, all alike). "
    f"Flagged: by cleanlab's confident learning. {DIFFERENT_LABEL} A doubtful label is not a wrong one; "
    "judge by eye. On CIFAR-10's test labels the orders are equal within noise."
)

asked_for = "" if order == DEFAULT else order
words = [*option("--split", "train" if split == "train" else ""), *option("--order", asked_for)]
words += [*option("--similarity", "" if by == "kernel" else by), *option("--class", label)]
words += [*option("--proposed", proposed), *(["--both"] if both else [])]
call: dict[str, object] = {
    "split": "train" if split == "train" else "",
    "order": asked_for,
    "by": "" if by == "kernel" else by,
}
call |= {"label": label, "proposed": proposed, "both": both or ""}
list_tools(
    results,
    "labels",
    Listed(
        len(rows),
        "example",
        lambda: with_class_names(rows, results.class_names),
        command(results, "labels", "", *words, wanted=wanted),
        python(opened, "labels", wanted=wanted, **call),
        kind="label",
    ),
)
