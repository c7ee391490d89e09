"""How many verdicts there are on the source, by how many reviewers, and which are not on it."""

from __future__ import annotations

import streamlit as st

from kernel_core.printable import printable
from kernel_core.results.judged_rows import unmatched_words
from kernel_core.results.results import Results
from kernel_core.review.judged import Judged
from pages.ui import shell, verdicts
from pages.ui.wording import escape, plural


def count_verdicts(results: Results) -> None:
    """Show how much was judged, the way to the page of verdicts, and what to tell of their file."""
    pairs, labels, given, reviewers = verdicts.derived(results, "counts", _count)
    sentence = "**No verdicts yet.** Say which pairs are duplicates, and which labels are wrong."
    if given:
        judged = [plural(count, noun) for count, noun in ((pairs, "pair"), (labels, "label")) if count]
        by = plural(reviewers, "reviewer")
        sentence = f"**{plural(given, 'verdict')}** on {' and '.join(judged)}, by {by}."
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(sentence, width="content")
        if given and (shell.FOLDER / "verdicts.py").exists():
            st.page_link("pages/verdicts.py", label="See all →")
    for warning in _warnings(results):
        st.caption(f":material/warning: {escape(printable(warning))}")


def _count(judged: Judged) -> tuple[int, int, int, int]:
    """Return the numbers of judged pairs and labels, of standing verdicts on them, and of reviewers."""
    given = sum(map(len, judged.pairs.values())) + sum(map(len, judged.labels.values()))
    return len(judged.pairs), len(judged.labels), given, len(judged.reviewers)


def _warnings(results: Results) -> list[str]:
    """Return what to tell of the file: lines that are no verdicts, and verdicts on other examples."""
    stands = verdicts.standing(results)
    if stands is verdicts.NOTHING:
        return []
    return list(filter(None, [*verdicts.file(results).warnings, unmatched_words(stands, results.name)]))
