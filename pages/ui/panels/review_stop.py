"""What a reviewer's verdicts on a queue come to: counts, when to stop, and the estimate of a sample."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import streamlit as st

from kernel_core.printable import printable
from kernel_core.results.results import Results
from kernel_core.review.along_ranking import judged_along
from kernel_core.review.estimate import Total, estimate_total, plan_more
from kernel_core.review.judged import Judged
from kernel_core.review.stopping import ASSUMPTIONS, enough_negatives, run_of_negatives
from kernel_core.review.verdicts import DUPLICATES, VERDICTS
from pages.ui import paired, verdicts
from pages.ui.review_intake import standing
from pages.ui.review_queue import Queue
from pages.ui.wording import escape, plural


@dataclass(frozen=True)
class SoFar:
    """What one reviewer said of a queue. judged: items. counts, stop: plain text; stop is empty for none."""

    judged: int
    counts: str
    stop: str


def so_far(queue: Queue, judged: Judged, reviewer: str) -> SoFar:
    """Return what a reviewer's standing verdicts on a queue come to."""
    own = [standing(judged, candidate, queue.kind).get(reviewer) for candidate in queue.items]
    said = [verdict.verdict if verdict else "" for verdict in own]
    found = Counter(filter(None, said))
    counts = ", ".join(f"{found[word]:,} {word}" for word in VERDICTS[queue.kind] if found[word])
    return SoFar(found.total(), counts, _when_to_stop(queue, said) if queue.ranked and found else "")


def _when_to_stop(queue: Queue, said: list[str]) -> str:
    """Return the stopping rule in words. said: verdicts in the order of the list, empty for none."""
    reached = max(place for place, word in enumerate(said, 1) if word)
    left, run, enough = len(said) - reached, run_of_negatives(said[:reached]), enough_negatives()
    if not left:
        return ""
    positive = f"positive ({', '.join(DUPLICATES)})" if queue.kind == "pair" else "wrongly labeled"
    if run >= enough:
        return (
            f"You can stop: {run} negatives in a row. With 95% confidence fewer than 5% of the {left:,} that "
            f"follow are {positive}. {ASSUMPTIONS}"
        )
    return (
        f"When to stop: after {enough} negatives in a row ({run} so far), fewer than 5% of what follows are "
        f"{positive}, with 95% confidence."
    )


@st.fragment
def show_estimate(results: Results, queue: Queue) -> None:
    """Show how many positives the ranking of a sample has, and what more verdicts buy; other queues: nothing.

    All reviewers' verdicts count, by majority. results: those that the server shows.
    """
    if not queue.order:
        return
    st.header("How many are there in all?", anchor=False)
    name = f"estimate {queue.results.id} {queue.by} {queue.order}"
    total = verdicts.derived(results, name, lambda judged: _estimated(queue, judged))
    st.markdown(_in_words(total))
    plan = plan_more(total)
    if total.judged and len(plan):
        plan = plan.assign(low=plan["low"].map(math.floor), high=plan["high"].map(math.ceil))
        names = {"more": "more verdicts", "low": "interval from", "high": "to", "width": "width"}
        st.dataframe(plan.round(0).astype(int).rename(columns=names), hide_index=True, width="content")
        st.caption("The interval to expect after that many more verdicts of the sample, if it goes on so.")
    st.button("Count again", key="count_again", help="With the verdicts given since.")


def _estimated(queue: Queue, judged: Judged) -> Total:
    ranking = paired.ranking(queue.results, queue.by, queue.order)
    found = judged_along(ranking, judged, by=queue.by, order=queue.order)
    return estimate_total(len(ranking), found)


def _in_words(total: Total) -> str:
    """Return an estimate in Markdown."""
    pairs = plural(total.count, "pair")
    if not total.judged:
        return f"Nothing is judged yet: of {pairs}, none or all may be duplicates."
    text = (
        f"**About {total.estimate:,.0f}** of {pairs} are duplicates ({', '.join(DUPLICATES)}); 95% interval "
        f"**{math.floor(total.low):,} to {math.ceil(total.high):,}**. {total.found:,} were found in "
        f"{plural(total.judged, 'judged pair')}, {total.drawn:,} of these drawn at random."
    )
    if total.unknown:
        text += f" Of {total.unknown:,} pairs nothing was drawn yet: the upper limit counts them all."
    return text


def say_warnings(results: Results) -> None:
    """Say which lines of the file are no verdicts."""
    for text in verdicts.file(results).warnings:
        st.warning(escape(printable(text)), icon=":material/warning:")
