"""The review page's parts: who judges, which items of the queue, and the queue itself."""

from __future__ import annotations

import hashlib
from collections import Counter

import streamlit as st

from kernel_core.printable import printable
from kernel_core.results.results import Results
from kernel_core.results.verdicts import verdicts_path
from kernel_core.review.judged import Judged
from kernel_core.review.verdicts import LONGEST, VERDICTS
from pages.ui import load, shell, verdicts
from pages.ui.components import review as drawn
from pages.ui.components.component import component
from pages.ui.panels.review_stop import so_far
from pages.ui.review_intake import ANONYMOUS, Reviewer, reviewer_of, standing, take
from pages.ui.review_queue import Candidate, Queue
from pages.ui.wording import escape

FROZEN = "_review"
"""Key of the session: the items of the queue as they were when it was opened, and what it was."""


def choose_reviewer() -> Reviewer:
    """Show who judges, and whether the verdicts of others are hidden; the browser remembers the name."""
    name = st.text_input(
        "Your name",
        key="reviewer",
        bind="query-params",
        placeholder=ANONYMOUS,
        max_chars=LONGEST["reviewer"],
        width=200,
        help="It stands beside your verdicts. There are no accounts: use a name that nobody else here uses.",
    )
    blind = st.toggle(
        "Blind",
        key="blind",
        bind="query-params",
        help="Hide what others said. Agreement between reviewers means most where they judged blind.",
    )
    component("reviewer")(
        key="known_reviewer",
        data={"name": name or "", "asks": "reviewer" not in st.query_params},
        on_name_change=_take_known_name,
    )
    return Reviewer(reviewer_of(name), blind)


def _take_known_name() -> None:
    """Fill in the name that the browser remembers."""
    shown = st.session_state.get("known_reviewer")  # none if the page was left meanwhile
    known = shown.name if shown else ""
    if known and not st.session_state.get("reviewer"):
        st.session_state["reviewer"] = str(known)[: LONGEST["reviewer"]]


def choose_items() -> bool:
    """Show whether to go through what the reviewer has judged already, too."""
    return st.toggle("Judged ones too", key="all", bind="query-params", help="Also what you judged before.")


def show_queue(results: Results, queue: Queue, reviewer: Reviewer, *, shows_all: bool) -> None:
    """Show the queue from the first item that the reviewer has not judged."""
    take(results, queue, drawn.sent().get("entries"))  # before the queue leaves out what is judged
    judged = verdicts.judged(results)
    say_other_browsers(judged, reviewer.name)
    items = _frozen(queue, reviewer, judged, shows_all=shows_all)
    path = verdicts_path(load.request())
    store = hashlib.sha256(f"{load.request().name}\n{path}".encode("utf-8", "replace")).hexdigest()[:16]
    _review(results, queue, items, reviewer, f"kernel-explorer-verdicts-{store}")
    meanings = ".  \n".join(f"**{word}**: {about}" for word, about in VERDICTS[queue.kind].items())
    st.caption(f"{meanings}.  \nVerdicts go to {escape(printable(path))}.")


@st.fragment
def _review(
    results: Results, queue: Queue, items: tuple[Candidate, ...], reviewer: Reviewer, store: str
) -> None:
    """Save what the browser sent, and draw what comes next: one short run per verdict."""
    answer = take(results, queue, drawn.sent().get("entries"))
    judged = verdicts.judged(results)
    drawn.show_review(queue, items, reviewer, judged, store=store)
    drawn.tell_saved(answer, so_far(queue, judged, reviewer.name))


def _frozen(queue: Queue, reviewer: Reviewer, judged: Judged, *, shows_all: bool) -> tuple[Candidate, ...]:
    """Return the items to judge as they were when the queue was opened: none leaves it meanwhile.

    Whoever comes back from another page, where the browser has sent nothing yet, opens it anew.
    """
    asked = (queue.results.id, queue.text, queue.kind, queue.wanted, reviewer.name, shows_all)
    known = st.session_state.get(FROZEN)
    if known is None or known[0] != asked or not drawn.sent():
        own = [
            candidate
            for candidate in queue.items
            if queue.wanted.accepts(by := dict(standing(judged, candidate, queue.kind)))
            and (shows_all or candidate.repeats or reviewer.name not in by)
        ]
        known = st.session_state[FROZEN] = (asked, tuple(own))
    items: tuple[Candidate, ...] = known[1]
    return items


def say_other_browsers(judged: Judged, name: str) -> None:
    """Say so where a name has verdicts of several browsers: it may be used by two people."""
    by_browser = Counter(
        by[name].browser for by in (*judged.pairs.values(), *judged.labels.values()) if name in by
    )
    if name != ANONYMOUS and len(by_browser) > 1:
        counts = ", ".join(f"{count:,}" for _, count in by_browser.most_common(3))
        shell.say(
            f"“{escape(printable(name))}” has judged in {len(by_browser)} browsers ({counts} items). If some "
            "of them are somebody else's, choose another name."
        )
