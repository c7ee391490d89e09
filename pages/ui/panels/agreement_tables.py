"""How far reviewers agree, as tables: all measures, each verdict, any two reviewers, and second looks."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from kernel_core.printable import CELL, printable
from kernel_core.results.results import Results
from kernel_core.review import agreement, consensus, overview
from kernel_core.review.agreement_words import interval_text, measures_table
from kernel_core.review.judged import Judged
from kernel_core.review.verdicts import Kind
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

    @property
    def name(self) -> str:
        """The name that what follows from it is kept under."""
        return repr(self)


@dataclass(frozen=True, eq=False)
class Found:
    """What the verdicts come to. counts, by_reviewer, open: of `overview` and `undecided`."""

    counts: dict[str, int]
    by_reviewer: pd.DataFrame
    decided: pd.DataFrame
    open: pd.DataFrame
    votes: Votes
    measures: pd.DataFrame
    by_verdict: pd.DataFrame
    by_two: pd.DataFrame
    consistency: pd.DataFrame


def find(results: Results, asked: Asked) -> Found:
    """Return what the verdicts come to now; kept until they change."""
    return verdicts.derived(results, f"agreement {asked.name}", lambda judged: _make(judged, asked))


def _make(judged: Judged, asked: Asked) -> Found:
    kind = asked.kind
    votes = votes_of(judged, kind, asked.which, asked.reviewers or None)
    both = agreement.agreement(votes), agreement.agreement(votes.by_side())
    return Found(
        overview.counts_of(judged, kind),
        overview.by_reviewer(judged, kind),
        consensus.consensus(judged, kind, asked.rule),
        consensus.undecided(judged, kind, "adjudicated"),
        votes,
        measures_table(*both, kind),
        agreement.by_verdict(votes),
        agreement.by_two(votes),
        agreement.self_consistency(judged, kind),
    )


def show_reviewers(found: Found) -> None:
    """Show how many of each verdict each reviewer gave."""
    table = found.by_reviewer.copy()
    table["reviewer"] = [printable(name, CELL) for name in table["reviewer"]]
    table["seconds"] = ["–" if pd.isna(seconds) else f"{seconds:.1f} s" for seconds in table["seconds"]]
    names = {"reviewer": "Reviewer", "total": "All", "seconds": "Median time"}
    _table(table.rename(columns=names))


def show_decided(found: Found, asked: Asked) -> None:
    """Show what the verdicts of all reviewers come to under the rule."""
    counts = found.decided["verdict"].value_counts()
    rows = [(verdict, f"{counts.get(verdict, 0):,}") for verdict in found.votes.verdicts]
    open_ones = found.counts["items"] - len(found.decided)
    _table(pd.DataFrame([*rows, ("left open", f"{open_ones:,}")], columns=["Verdict", "Items"]))
    st.caption(f"{asked.rule.capitalize()}: {consensus.RULES[asked.rule]}.")


def show_measures(found: Found, asked: Asked) -> None:
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


def show_by_verdict(found: Found) -> None:
    """Show, for each verdict, how often another reviewer of the item gave it too."""
    rows = [
        (row.verdict, interval_text(row.value, row.low, row.high, is_share=True), f"{row.votes:,}", row.why)
        for row in found.by_verdict.itertuples()
    ]
    table = pd.DataFrame(rows, columns=["If one says", "another says so too", "Votes", "Note"])
    _table(table if table["Note"].any() else table.drop(columns="Note"))


def show_consistency(found: Found) -> None:
    """Show how often each reviewer's second look came to the verdict of the first."""
    rows = [
        (printable(row.reviewer, CELL), f"{row.items:,}", f"{row.agree:,}",
         interval_text(row.percent, row.percent_low, row.percent_high, is_share=True),
         interval_text(row.kappa, row.kappa_low, row.kappa_high))
        for row in found.consistency.itertuples()
    ]  # fmt: skip
    _table(pd.DataFrame(rows, columns=["Reviewer", "Second looks", "Same verdict", "Share", "Cohen's κ"]))


def choose_two(found: Found) -> tuple[str, str] | None:
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


def show_matrix(found: Found, two: tuple[str, str]) -> str:
    """Show how often the verdicts of two reviewers meet; return the cell that is chosen, empty for none.

    A click on a cell chooses it, like the list below.
    """
    table = agreement.matrix_of(found.votes, *two)
    cells = {f"{a} / {b}": int(table.loc[a, b]) for a in table.index for b in table.columns}
    filled = [name for name, count in cells.items() if count]

    def clicked() -> None:
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
