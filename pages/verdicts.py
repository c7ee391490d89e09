"""What was judged, by whom, and how far do reviewers agree?"""

import streamlit as st

from kernel_core.printable import CELL, printable
from kernel_core.results.judged_rows import unmatched_words
from kernel_core.review.agreement_words import side_title
from kernel_core.review.consensus import CONSENSUS_COLUMNS, RULES
from kernel_core.review.merging import shared_names_words
from kernel_core.review.overview import unmatched_table
from kernel_core.review.verdicts import Kind
from kernel_core.review.votes import WHICH
from pages.ui import jobs, load, read_only, shell, verdicts
from pages.ui.controls import choose_similarity, control_row
from pages.ui.panels import agreement_tables, coverage, disputed, ranks
from pages.ui.panels.agreement_tables import Asked
from pages.ui.panels.cleaned_set import show_cleaned_set
from pages.ui.panels.list_tools import Listed, command, list_tools, option, python
from pages.ui.wording import DIFFERENT_LABEL, escape, plural

shell.guard()
results = load.results()

KINDS: dict[Kind, str] = {"pair": "pairs", "label": "labels"}
SHOWN = 48  # items per page of the gallery

shell.heading(results, "Verdicts", "What was judged, by whom, and how far reviewers agree.")
judged = verdicts.standing(results)


def start_over() -> None:
    """Show the first page of items, after a change of what they are."""
    st.session_state["page"] = 1


with control_row():
    kind = st.segmented_control(
        "Verdicts on", list(KINDS), default="pair", required=True, key="kind", bind="query-params",
        on_change=start_over,
    )  # fmt: skip
    rule = st.segmented_control(
        "Consensus", list(RULES), default="majority", required=True, key="rule", bind="query-params",
        help="  \n".join(f"**{name}**: {what}." for name, what in RULES.items()), wrap=True,
    )  # fmt: skip
    which = st.segmented_control(
        "Agreement by", list(WHICH), default="independent", required=True, key="which", bind="query-params",
        help="  \n".join(f"**{name}**: {what}." for name, what in WHICH.items()), wrap=True,
    )  # fmt: skip
    reviewers = st.multiselect(
        "Reviewers", judged.reviewers, key="reviewers", bind="query-params", placeholder="all", width=260,
        format_func=lambda name: printable(name, CELL),
    )  # fmt: skip
asked = Asked(kind, rule, which, tuple(reviewers))
found = agreement_tables.judgements(results, kind)
if judged is not verdicts.NOTHING:
    names = verdicts.derived(results, "shared names", shared_names_words)
    for warning in filter(None, [*verdicts.file(results).warnings, names]):
        st.warning(escape(printable(warning)), icon=":material/warning:")
if words := unmatched_words(judged, results.name):
    with st.expander(escape(words), icon=":material/link_off:"):
        st.dataframe(unmatched_table(judged), hide_index=True)
        st.caption("They stay in the file, and match again where the images do.")
if not found.counts["items"]:
    shell.say(
        f"Nobody has judged {KINDS[kind]} yet. A verdict takes one key: open a list and say what you see."
    )
    st.page_link("pages/review.py", label="Begin to judge →", query_params={"kind": kind})
    st.caption("Have a file of verdicts? `kernel-explorer verdicts SOURCE --merge FILE` adds it to this one.")
    st.stop()

decided, agreed = agreement_tables.decided(results, asked), agreement_tables.agreed(results, asked)
counts, one = found.counts, KINDS[kind].removesuffix("s")
shell.say(
    f"**{plural(counts['items'], one)}** judged by {plural(len(found.by_reviewer), 'reviewer')}, "
    f"{counts['shared']:,} by two or more. They disagree on **{counts['disputed']:,}** that nobody has "
    "decided."
)
left, right = st.columns([3, 1], gap="large")
with left:
    st.header("By whom")
    agreement_tables.show_reviewers(found)
    st.caption(
        f"{plural(counts['verdicts'], 'verdict')} stand: {counts['queue']:,} from queues, "
        f"{counts['sample']:,} from random samples, {counts['gold']:,} decided; "
        f"{counts['blind']:,} were given blind."
    )
with right:
    st.header("Together")
    agreement_tables.show_decided(decided, counts["items"], asked)

two, cell = None, ""
if counts["shared"]:
    st.header("Agreement")
    agreement_tables.show_measures(agreed, asked)
    two = agreement_tables.choose_two(agreed)
if two:
    left, right = st.columns(2, gap="large")
    with left:
        cell = agreement_tables.show_matrix(agreed, two)
    with right:
        agreement_tables.show_by_verdict(agreed)

keys = found.keys
title, about = "Disputed", f"Those that differ on {side_title(kind)} come first. {DIFFERENT_LABEL}"
if two and cell:
    keys, title, about = disputed.keys_of_cell(agreed.votes, two, cell), f"Judged {cell}", DIFFERENT_LABEL
if keys:
    st.header(f"{title}: {plural(len(keys), one)}")
    if title == "Disputed" and not read_only.is_read_only():
        st.page_link("pages/review.py", label="Decide them →", query_params={"list": f"disputed:{kind}"})
    page = ranks.choose_page(len(keys), SHOWN, has_steps=True)
    shown = keys[(page - 1) * SHOWN : page * SHOWN]
    disputed.show_items(results, shown, found.said, f"{title} {KINDS[kind]}")
    st.caption(about)
if kind == "pair":
    st.header("How far along the ranking?")
    by = choose_similarity(results, "Similarity", "by")
    if by in results.names:
        coverage.show_coverage(results, by)
    else:
        unbuilt = f"Neighbors by {escape(results.title_of(by))} are not built yet."
        jobs.offer_line(load.request_of(by), unbuilt, "build_by")
if len(found.consistency):
    st.header("Second looks")
    agreement_tables.show_consistency(found)
show_cleaned_set(results, rule)
list_tools(
    results,
    "verdicts",
    Listed(
        len(decided), one,
        lambda: decided.assign(kind=kind)[["kind", *CONSENSUS_COLUMNS]],
        command(results, "verdicts", "", *option("--kind", kind), "--rule", rule, "--csv", "-"),
        python(results, "consensus", kind, rule),
        f"decided by the rule {rule}",
    ),
)  # fmt: skip
