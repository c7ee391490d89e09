"""The files of a leak report."""

from __future__ import annotations

import pandas as pd

from kernel_core.report.document import markdown
from kernel_core.report.document_html import html
from kernel_core.report.leak_report import LeakReport
from kernel_core.report.leak_words import leak_document
from kernel_core.report.report_files import indices_text, json_text

PAIR_COLUMNS = [
    "a_split", "a_index", "b_split", "b_index", "a_class", "b_class", "verdict", "leaked", "votes", "agree",
    "design", "stratum", "rank", "similarity", "aligned", "twin", "band", "at",
]  # fmt: skip


def pairs_table(report: LeakReport) -> pd.DataFrame:
    """Return the table of judged pairs as people get it, in order of rank, those without one last."""
    names = report.results.class_names
    named = report.pairs.assign(
        **{f"{side}_class": [names[label] for label in report.pairs[f"{side}_label"]] for side in ("a", "b")}
    )
    ordered = named.sort_values("rank", kind="stable", na_position="last")
    return ordered[[column for column in PAIR_COLUMNS if column in ordered]]


def leak_names(report: LeakReport) -> tuple[str, ...]:
    """Return the names of the report's files."""
    return "leak.md", "leak.html", "leak.json", "pairs.csv", *(f"drop_{split}.txt" for split in report.drop)


def leak_texts(report: LeakReport, *, images: bool = True) -> dict[str, str]:
    """Return the report's files: name → text."""
    document = leak_document(report)
    texts = (
        markdown(document),
        html(document, report.results, images=images),
        json_text(report.content),
        pairs_table(report).to_csv(index=False, lineterminator="\n"),
        *map(indices_text, report.drop.values()),
    )
    return dict(zip(leak_names(report), texts, strict=True))
