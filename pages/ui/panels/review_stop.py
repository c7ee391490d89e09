"""When to stop: after a run of negatives in a ranking, or when the estimate from a sample is sure enough."""

from __future__ import annotations

import streamlit as st

from kernel_core.results.results import Results
from kernel_core.review.stopping import ASSUMPTIONS, enough_negatives, run_of_negatives
from kernel_core.review.verdicts import DUPLICATES
from pages.ui import shell, verdicts
from pages.ui.review_intake import standing
from pages.ui.review_queue import Queue
from pages.ui.wording import plural


def show(results: Results, queue: Queue, reviewer: str) -> None:
    """Show what the verdicts on a queue come to so far; brought up to date at the next run of the page."""
    judged = verdicts.judged(results)
    own = [standing(judged, candidate, queue.kind).get(reviewer) for candidate in queue.items]
    given = [verdict.verdict for verdict in own if verdict]
    if not given:
        return
    st.header("So far", anchor=False)
    counts = {word: given.count(word) for word in dict.fromkeys(given)}
    words = ", ".join(f"{count:,} {word}" for word, count in counts.items())
    shell.say(f"{plural(len(given), 'verdict')} of yours on this queue: {words}.")
    if queue.ranked:
        first = next((place for place, verdict in enumerate(own) if verdict is None), len(own))
        in_order = [verdict.verdict for verdict in own[:first] if verdict]
        _say_run(run_of_negatives(in_order), len(queue.items) - first)


def _say_run(run: int, left: int) -> None:
    enough = enough_negatives()
    if run >= enough:
        shell.say(
            f"**You can stop:** {run} negatives in a row. With 95% confidence fewer than 5% of the {left:,} "
            f"that follow are positive ({', '.join(DUPLICATES)}). {ASSUMPTIONS}"
        )
    else:
        shell.say(
            f"{run} negatives in a row from the top; after {enough} you can stop: fewer than 5% of the "
            f"{left:,} that follow are then positive, with 95% confidence."
        )
