"""Which examples are near-duplicates of each other, in groups, and which one of each group is to keep?"""

import streamlit as st

from kernel_core.errors import RequestError
from kernel_core.findings.group_words import describe_groups, is_chain, warn_of_chains
from kernel_core.findings.groups import members_of
from kernel_core.results.grouping import counts_of, default_threshold
from kernel_core.spec import ADJECTIVES
from pages.ui import grouped, jobs, lists, load, paired, shell
from pages.ui.components.gallery import gallery
from pages.ui.controls import (
    choose_direction,
    choose_labels,
    choose_similarity,
    control_row,
    stop_unless_built,
)
from pages.ui.paired import SIMILARITY, TWIN
from pages.ui.panels import group_cells, parts, ranks, twin_filters, verdict_filter
from pages.ui.panels.list_tools import Listed, command, list_tools, option, python
from pages.ui.wording import ANY_CLASS, escape, minus_distance

shell.guard()
opened = load.results()
SHOWN = 48  # groups per page of the list

shell.heading(
    opened, "Groups", "Examples that are near each other, directly or through others, and which one to keep."
)


def start_over() -> None:
    """Show the first page of the list, after a change of what it holds."""
    st.session_state["page"] = 1


controls = control_row()
with controls:
    results = choose_direction(opened, "Among", group_cells.AMONG, group_cells.AMONG_HELP, keeps_value=True)
    by = choose_similarity(opened, "Similarity", "by")
    order = parts.choose_order(opened, by, about=group_cells.ORDER_HELP, on_change=ranks.forget_threshold)
stop_unless_built(opened, by)
stop_unless_built(results, by)
if order == TWIN and not paired.has_twins(opened, by):
    twin_filters.offer(opened, by, "Until then, pairs are linked by similarity.")
    order = SIMILARITY
ranked, counts = paired.ranking(opened, by, order), counts_of(results)
start, given = default_threshold(opened, by, order), ranks.threshold_of_address()
threshold = start if given is None else given
with controls:
    what, column = ("twin score", TWIN) if order == TWIN else ("similarity", "similarity")
    why = f"Pairs of at least this {what} are linked."
    ranks.choose_threshold(ranked[column], threshold, home=start, why=why)
    aligned = group_cells.choose_aligned(start_over) if results.has_images else None
    kind = choose_labels(start_over)
    class_name = st.selectbox(
        "Class of a member", [ANY_CLASS, *results.class_names], key="class", bind="query-params",
        width=180, on_change=start_over,
    )  # fmt: skip
    crossing = len(counts) > 1 and st.toggle(
        "In both splits", key="crossing", bind="query-params", on_change=start_over, width=150,
        help="Only groups with members in both splits.",
    )  # fmt: skip
    wanted = verdict_filter.choose_judged(results, "pair", start_over, about=verdict_filter.OF_GROUPS)
labels = "" if kind == "all" else kind
of_class = "" if class_name == ANY_CLASS else class_name
asked = grouped.Asked(by, threshold, aligned, kind, of_class, crossing, order, wanted)

built, missing = grouped.directions(results, by, order)
for part in missing:
    if by in part.names:
        until = "Until then, they are not linked."
        twin_filters.offer(part, by, until, key=f"align_pixels_{part.query}")
        continue
    why = f"Pairs within the {ADJECTIVES[part.query]} set are not built, and so not linked here."
    if jobs.offer_part(load.request_of(by, part.within), why, f"groups_{part.query}", label="Build them now"):
        st.rerun()
if not built:
    st.stop()
try:
    found = grouped.find(results, asked)
except RequestError as error:
    st.warning(escape(str(error)), icon=":material/warning:")
    st.stop()
rows = grouped.select(results, found, asked)
text = describe_groups(found, counts)
if len(rows) < len(found):
    text += f" **{len(rows):,}** of these groups {'passes' if len(rows) == 1 else 'pass'} the filters."
shell.say(text)
if wary := warn_of_chains(found):
    st.caption(f":material/link: {wary}")

verdict_filter.review_link(results, "pair", *asked.to_list(), wanted=wanted)
page = ranks.choose_page(len(rows), SHOWN, has_steps=True)
shown = rows.iloc[(page - 1) * SHOWN : page * SHOWN]
chains = set(found.table.loc[is_chain(found), "group"])
gallery(
    results,
    group_cells.cells(results, found, shown, chains, by),
    layout="flow",
    key="groups",
    label="groups of near-duplicates",
    carried=lists.carried(results, *asked.to_list(), wanted=wanted),
)
st.caption(
    f"{group_cells.rule(len(counts))} {minus_distance(results, by)} Pairs: "
    f"{', '.join(found.pairs.directions)}. ≠ and a dashed frame mark another label than most of the group "
    "have."
)
chosen = {"threshold": threshold, "aligned": aligned, "labels": labels, "of_class": of_class}
chosen["order"] = named_order = "" if order == SIMILARITY else order
list_tools(
    results,
    "groups",
    Listed(
        int(rows["size"].sum()),
        "example",
        lambda: members_of(found, rows, results.class_names),
        command(
            opened, "groups", by, *option("--within", results.within), *option("--order", named_order),
            "--threshold", threshold, *option("--aligned-pixels", aligned), *option("--labels", labels),
            *option("--class", of_class), *(["--crossing"] if crossing else []), "--csv", "-", wanted=wanted,
        ),
        python(results, "groups", by=by, **chosen, crossing=crossing or None, wanted=wanted),
    ),
)  # fmt: skip
