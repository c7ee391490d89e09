"""How far reviewers agree, as tables: all measures, each verdict, any two reviewers, and second looks."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from kernel_core.printable import CELL, printable
from kernel_core.results.results import Results
from kernel_core.review import agreement, consensus, overview
from kernel_core.review.agreement_words import interval_text, measures_table
from kernel_core.review.judged import Judged, Key
from kernel_core.review.verdicts import VERDICTS, Kind
from kernel_core.review.votes import WHICH, Votes, votes_of
from pages.ui import verdicts
from pages.ui.charts import table_height
from pages.ui.wording import escape, plural


@dataclass(frozen=True)
class Asked:
    """What the page was asked for. reviewers: by name; all if there are none."""

    kind: Kind
    rule: str
    which: str
    reviewers: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Judgements:
    """What was judged of a kind. The fields are named after the functions that make them.

    keys: the disputed items, those first that differ in what matters. said: how many said what of them.
    """

    counts: dict[str, int]
    by_reviewer: pd.DataFrame
    keys: list[Key]
    said: dict[Key, str]
    consistency: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Agreement:
    """How far reviewers agree. The fields are named after the functions that make them."""

    votes: Votes
    measures: pd.DataFrame
    by_verdict: pd.DataFrame
    by_two: pd.DataFrame


def judgements(results: Results, kind: Kind) -> Judgements:
    """Return what was judged of a kind; kept until a verdict comes, as are the next two."""

    def make(judged: Judged) -> Judgements:
        disputed = consensus.undecided(judged, kind, "adjudicated")
        disputed = disputed.sort_values("serious", ascending=False, kind="stable")
        keys = consensus.keys_of(disputed)
        return Judgements(
            overview.counts_of(judged, kind),
            overview.by_reviewer(judged, kind),
            keys,
            dict(zip(keys, disputed["verdicts"].tolist(), strict=True)),
            agreement.self_consistency(judged, kind),
        )

    return verdicts.derived(results, f"judged {kind}", make)


def decided(results: Results, asked: Asked) -> pd.DataFrame:
    """Return one verdict per item that the rule decides."""
    name = f"decided {asked.kind} {asked.rule}"
    return verdicts.derived(results, name, lambda judged: consensus.consensus(judged, asked.kind, asked.rule))


def agreed(results: Results, asked: Asked) -> Agreement:
    """Return how far the reviewers agree by the verdicts that count."""

    def make(judged: Judged) -> Agreement:
        votes = votes_of(judged, asked.kind, asked.which, asked.reviewers or None)
        both = agreement.agreement(votes), agreement.agreement(votes.by_side())
        measures = measures_table(*both, asked.kind)
        return Agreement(votes, measures, agreement.by_verdict(votes), agreement.by_two(votes))

    return verdicts.derived(results, f"agreement {asked.kind} {asked.which} {asked.reviewers}", make)


def show_reviewers(found: Judgements) -> None:
    """Show how many of each verdict each reviewer gave."""
    table = found.by_reviewer.copy()
    table["reviewer"] = [printable(name, CELL) for name in table["reviewer"]]
    table["seconds"] = ["–" if pd.isna(seconds) else f"{seconds:.1f} s" for seconds in table["seconds"]]
    names = {"reviewer": "Reviewer", "total": "All", "seconds": "Median time"}
    _table(table.rename(columns=names))


def show_decided(table: pd.DataFrame, count: int, asked: Asked) -> None:
    """Show what the verdicts of all reviewers come to under the rule. count: of judged items."""
    counts = table["verdict"].value_counts()
    rows = [(verdict, f"{counts.get(verdict, 0):,}") for verdict in VERDICTS[asked.kind]]
    open_ones = count - len(table)
    _table(pd.DataFrame([*rows, ("left open", f"{open_ones:,}")], columns=["Verdict", "Items"]))
    st.caption(f"{asked.rule.capitalize()}: {consensus.RULES[asked.rule]}.")


def show_measures(found: Agreement, asked: Asked) -> None:
    """Show all measures with their intervals, what each says, and how often a verdict is shared."""
    measures = found.measures.copy()
    about = dict(zip(agreement.MEASURES.values(), agreement.ABOUT.values(), strict=True))
    notes = measures.pop("Note") if "Note" in measures else [""] * len(measures)
    measures["What it says"] = [
        f"{note[0].upper()}{note[1:]}." if note else about[title]
        for note, title in zip(notes, measures["Measure"], strict=True)
    ]
    _table(measures)
    left_out = ""
    if found.votes.left_out:
        left_out = f" That leaves out {plural(found.votes.left_out, 'verdict')}."
    st.caption(
        f"Measured on the {plural(int(found.votes.shared.sum()), 'item')} with verdicts of two reviewers or "
        f"more that count: {WHICH[asked.which]}.{left_out} Decided verdicts and second looks never count. In "
        "brackets: 95% intervals, by a bootstrap over items. Where one verdict is rare, κ and α fall "
        "although people agree on nearly all items; AC1 does not. Report both."
    )


def show_by_verdict(found: Agreement) -> None:
    """Show, for each verdict, how often another reviewer of the item gave it too."""
    rows = [
        (row.verdict, interval_text(row.value, row.low, row.high, is_share=True), f"{row.votes:,}", row.why)
        for row in found.by_verdict.itertuples()
    ]
    table = pd.DataFrame(rows, columns=["If one says", "another says so too", "Votes", "Note"])
    _table(table if table["Note"].any() else table.drop(columns="Note"))


def show_consistency(found: Judgements) -> None:
    """Show how often each reviewer's second look came to the verdict of the first."""
    rows = [
        (printable(row.reviewer, CELL), f"{row.items:,}", f"{row.agree:,}",
         interval_text(row.percent, row.percent_low, row.percent_high, is_share=True),
         interval_text(row.kappa, row.kappa_low, row.kappa_high))
        for row in found.consistency.itertuples()
    ]  # fmt: skip
    _table(pd.DataFrame(rows, columns=["Reviewer", "Second looks", "Same verdict", "Share", "Cohen's κ"]))


def choose_two(found: Agreement) -> tuple[str, str] | None:
    """Show how far any two reviewers agree, and return the two that are chosen; None if no two have items."""
    two = {f"{row.first} · {row.second}": row for row in found.by_two.itertuples() if row.items}
    if not two:
        return None
    rows = [
        (printable(name, CELL), f"{row.items:,}", f"{row.agree:,}",
         interval_text(row.percent, row.percent_low, row.percent_high, is_share=True),
         interval_text(row.kappa, row.kappa_low, row.kappa_high))
        for name, row in two.items()
    ]  # fmt: skip
    if len(two) > 1:
        _table(pd.DataFrame(rows, columns=["Two reviewers", "Items", "Same verdict", "Share", "Cohen's κ"]))
    chosen = st.selectbox("Two reviewers", list(two), key="two", bind="query-params", width=300)
    return two[chosen].first, two[chosen].second


def show_matrix(found: Agreement, two: tuple[str, str]) -> str:
    """Show how often the verdicts of two reviewers meet; return the cell that is chosen, empty for none.

    A click on a cell chooses it, like the list below.
    """
    table = agreement.matrix_of(found.votes, *two)
    cells = {f"{a} / {b}": int(table.loc[a, b]) for a in table.index for b in table.columns}
    filled = [name for name, count in cells.items() if count]

    def clicked() -> None:
        if "matrix" not in st.session_state:  # the page was left meanwhile
            return
        picked = st.session_state["matrix"]["selection"]["cells"]
        name = f"{table.index[picked[0][0]]} / {picked[0][1]}" if picked else ""
        st.session_state["cell"] = name if name in filled else None

    first, second = (printable(name, CELL) for name in two)
    shown = table.map(lambda count: f"{count:,}" if count else "·").rename_axis(f"{first} ↓  {second} →")
    st.dataframe(
        shown, key="matrix", on_select=clicked, selection_mode="single-cell", height=table_height(len(shown))
    )
    st.caption(f"Rows: {escape(first)}. Columns: {escape(second)}. Click a number to see its items below.")
    chosen = st.selectbox(
        "Items that they judged", filled, index=None, key="cell", bind="query-params", width=300,
        placeholder="choose two verdicts",
    )  # fmt: skip
    return chosen or ""


def _table(table: pd.DataFrame) -> None:
    st.dataframe(table, hide_index=True, height=table_height(len(table)))
