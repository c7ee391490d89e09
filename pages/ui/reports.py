"""The reports on what was judged, kept until the verdicts change."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import streamlit as st

from kernel_core.report.document import Document
from kernel_core.report.label_report import label_report
from kernel_core.report.label_words import LABEL_FILES, label_document, label_texts
from kernel_core.report.leak_files import leak_names, leak_texts
from kernel_core.report.leak_pairs import Asked
from kernel_core.report.leak_report import leak_report
from kernel_core.report.leak_review import architecture
from kernel_core.report.leak_words import leak_document
from kernel_core.results.results import Results
from kernel_core.review.judged import Judged
from pages.ui import load, verdicts

KEPT = 8  # reports on the same verdicts


@dataclass(frozen=True)
class Made:
    """A report: the document that shows it, the names of its files, and what makes their texts."""

    document: Document
    names: tuple[str, ...]
    texts: Callable[[], dict[str, str]]


def leaks(results: Results, asked: Asked, *, anonymous: bool) -> Made:
    """Return the leak report. Raises as `leak_report` does."""
    return _made(results, "pair", asked, anonymous=anonymous)


def labels(results: Results, similarity: str, rule: str, *, anonymous: bool) -> Made:
    """Return the label report. Raises as `label_report` does."""
    return _made(results, "label", Asked(similarity, rule=rule), anonymous=anonymous)


def _made(results: Results, kind: str, asked: Asked, *, anonymous: bool) -> Made:
    reports = verdicts.derived(results, "reports", lambda judged: _reports_on(results.id, judged))
    with reports.lock:
        key = results.id, kind, asked, anonymous
        if key not in reports.made:
            if len(reports.made) >= KEPT:
                reports.made.pop(next(iter(reports.made)))
            with st.spinner("Counting"):
                reports.made[key] = _make(results, reports.judged, kind, asked, anonymous=anonymous)
        return reports.made[key]


@dataclass(eq=False)
class _Reports:
    """Reports on the verdicts of one moment; `judged` changes no more."""

    judged: Judged
    lock: threading.Lock = field(default_factory=threading.Lock)
    made: dict[tuple[object, ...], Made] = field(default_factory=dict)


def _reports_on(results_id: str, judged: Judged) -> _Reports:
    return _reports_on_nothing(results_id) if judged is verdicts.NOTHING else _Reports(_copy(judged))


@st.cache_resource(max_entries=2, show_spinner=False)
def _reports_on_nothing(results_id: str) -> _Reports:
    return _Reports(verdicts.NOTHING)


def _copy(judged: Judged) -> Judged:
    """Return the verdicts that stand now, to which nothing is added while a report is made."""
    copy = Judged(judged.hashes)
    copy.take(list(judged.by_id.values()))
    return copy


def _make(results: Results, judged: Judged, kind: str, asked: Asked, *, anonymous: bool) -> Made:
    if asked.similarity not in results.neighbors:  # a variant of the kernel: its votes count, too
        own = {asked.similarity: results.neighbors_by(asked.similarity)}
        results = replace(results, neighbors={**results.neighbors, **own})
    made_by = architecture(load.request())
    if kind == "pair":
        leak = leak_report(results, judged, asked, anonymous=anonymous, made_by=made_by)
        return Made(leak_document(leak), leak_names(leak), lambda: leak_texts(leak))
    label = label_report(
        results, judged, similarity=asked.similarity, rule=asked.rule, anonymous=anonymous, made_by=made_by
    )
    return Made(label_document(label), LABEL_FILES, lambda: label_texts(label))
