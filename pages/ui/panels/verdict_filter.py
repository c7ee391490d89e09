"""The filter of a list by what was judged of its items, and the way to judge them."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from kernel_core.printable import printable
from kernel_core.results.judged_rows import EVERYTHING, STATES, UNJUDGED, Wanted, choices
from kernel_core.results.results import Results
from kernel_core.review.judged import Judged
from kernel_core.review.verdicts import Kind
from pages.ui import lists, read_only, shell, verdicts
from pages.ui.wording import escape

Query = dict[str, str]
"""Parameters of an address."""
ALL = "all"
WIDTH = 316  # pixels of both controls: they stay beside each other, whatever is around them
NAME = 40  # characters of a reviewer's name
HELP = {
    "pair": "What reviewers said of the pair. Disputed: they disagree, and nobody decided.",
    "label": "What reviewers said of the label. Disputed: they disagree, and nobody decided.",
}
OF_GROUPS = "What reviewers said of pairs in the group: at least one is judged so; unjudged: none is judged."


def choose_judged(results: Results, kind: Kind, on_change: Callable[[], None], *, about: str = "") -> Wanted:
    """Show the controls; return which items are wanted. Nothing is shown where nothing can be chosen.

    kind: of the verdicts. on_change: what a change does beside naming it in the address. about: what the
    control is for; by default, the verdicts on each item.
    """
    stands = verdicts.standing(results)
    has_some = bool(stands.pairs if kind == "pair" else stands.labels)
    if not has_some and not st.query_params.keys() & {"judged", "reviewer"}:
        return EVERYTHING
    row = st.container(horizontal=True, vertical_alignment="bottom", gap="small", width=WIDTH)
    judged = row.selectbox(
        "Judged", [ALL, *choices(kind)], key="judged", bind="query-params", on_change=on_change, width=150,
        help=about or HELP[kind],
    )  # fmt: skip
    names = {printable(name, NAME): name for name in verdicts.derived(results, "reviewers", _reviewers)}
    reviewer = None
    if len(names) > 1 or "reviewer" in st.query_params:
        reviewer = row.selectbox(
            "Reviewer", list(names), index=None, key="reviewer", bind="query-params", on_change=on_change,
            placeholder="anyone", width=150, help="Only this reviewer's verdicts count.",
        )  # fmt: skip
    return Wanted("" if judged == ALL else judged, names.get(reviewer or "", ""))


def _reviewers(judged: Judged) -> list[str]:
    return judged.reviewers


def of(wanted: Wanted, noun: str) -> str:
    """Return a noun in the plural with what a filter keeps of it, in Markdown.

    >>> of(Wanted("unjudged"), "pairs"), of(Wanted("exact", "Ann"), "pairs"), of(Wanted(), "pairs")
    ('unjudged pairs', 'pairs judged “exact” by Ann', 'pairs')
    """
    words = escape(wanted.words)
    if wanted.judged in STATES and not wanted.reviewer:
        return f"{words} {noun}"
    return f"{noun} {words}" if words else noun


def only(wanted: Wanted) -> str:
    """Return what a filter keeps, in parentheses after a sentence, in Markdown; empty for everything."""
    return f" ({escape(wanted.words)})" if wanted else ""


def stop_if_none(count: int, wanted: Wanted) -> None:
    """Where a filter by verdicts leaves nothing, say so and end the page."""
    if not count:
        shell.say(f"There are no {of(wanted, 'examples')} among them.")
        st.stop()


def review_query(
    results: Results, kind: Kind, name: str, *arguments: str | int, wanted: Wanted = EVERYTHING
) -> Query | None:
    """Return the parameters of the page where a list's items are judged; None where nothing can be.

    The list: as for `lists.text`.
    """
    if read_only.is_read_only() or not (shell.FOLDER / "review.py").exists():
        return None
    asked = {"list": lists.text(results, name, *arguments, wanted=wanted), "kind": kind}
    return asked if wanted.judged in ("", UNJUDGED) else {**asked, "all": "true"}


def review_link(
    results: Results, kind: Kind, name: str, *arguments: str | int, wanted: Wanted = EVERYTHING
) -> None:
    """Show the link to the page of `review_query`."""
    if asked := review_query(results, kind, name, *arguments, wanted=wanted):
        with st.container(key="review_these", width="content"):  # page.css keeps its height
            st.page_link("pages/review.py", label="Review these →", query_params=asked)
