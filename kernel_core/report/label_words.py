"""The label report in words, and its files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kernel_core.printable import CELL, printable
from kernel_core.report.document import Block, Document, Pictures, Section, Table, markdown
from kernel_core.report.document_html import html
from kernel_core.report.label_report import LabelReport
from kernel_core.report.report_files import json_text
from kernel_core.report.review_words import agreement_section, coverage_section, provenance_section
from kernel_core.report.shares import between_points, interval, percent, points
from kernel_core.review.consensus import RULES
from kernel_core.spec import ADJECTIVES, example_name

SHOWN = 120  # corrections that are shown as pictures
LABEL_FILES = "corrections.md", "corrections.html", "corrections.json", "corrections.csv"
FAVORS = (
    "Labels are listed to be judged because ensemble and neighbors speak against them. Wrong labels that "
    "they agree with are hardly ever looked at, so these differences favor them; a random sample does not."
)
Content = Mapping[str, Any]


def label_texts(report: LabelReport, *, images: bool = True) -> dict[str, str]:
    """Return the report's files: name → text."""
    document = label_document(report)
    texts = (
        markdown(document),
        html(document, report.results, images=images),
        json_text(report.content),
        report.corrections.to_csv(index=False, lineterminator="\n"),
    )
    return dict(zip(LABEL_FILES, texts, strict=True))


def label_document(report: LabelReport) -> Document:
    """Return the report as a document."""
    content = report.content
    asked = content["asked"]
    words = {
        "Ranking": f"labels to check, neighbors by {asked['similarity_title']}",
        "Rule": f"{asked['rule']}: {RULES[asked['rule']]}",
    }
    sections = [_machine(content), provenance_section(content["provenance"], words)]
    if content["judged"]["labels"]:
        sections = [
            _rates(content),
            coverage_section(content, "labels", "wrong", "labels to check, the most doubtful first"),
            _accuracies(content),
            agreement_section(content["agreement"]),
            *sections,
            _pictures(report),
        ]
    title = f"Label report: {printable(content['provenance']['source'], CELL)}"
    return Document(title, _lead(content), tuple(section for section in sections if section.blocks))


def _lead(content: Content) -> tuple[str, ...]:
    judged = content["judged"]
    if not judged["labels"]:
        text = (
            "No label has been judged yet. Everything below was found by machine; nobody has looked at it. "
            "Judge labels in the app, then make this report again."
        )
        return (text,)
    parts = [
        f"{row['judged']['found']:,} of {row['judged']['of']:,} {ADJECTIVES[row['split']]} labels that were "
        f"judged are wrong ({percent(row['judged']['value'], 1)}, 95% interval "
        f"{interval(row['judged']['low'], row['judged']['high'], 1)}): at least "
        f"{percent(row['all']['value'])} of all {row['all']['of']:,}."
        for row in content["by_split"]
        if row["judged"]["of"]
    ]
    rule = (
        f"{judged['labels']:,} labels were judged. The rule “{content['asked']['rule']}” leaves "
        f"{judged['undecided']:,} of them open. Wrong: guessed or neither. Labels that were chosen by their "
        "place in a list are wrong more often than others, so their share is not that of all."
    )
    return (*parts, rule)


def _rates(content: Content) -> Section:
    verdicts = tuple((row["verdict"], f"{row['labels']:,}") for row in content["by_verdict"])
    splits = []
    for row in content["by_split"]:
        judged, drawn, whole = row["judged"], row["drawn"], row["all"]
        splits.append(
            (row["split"], f"{judged['of']:,}", f"{judged['found']:,}", percent(judged["value"], 1),
             interval(judged["low"], judged["high"], 1), f"{drawn['found']:,} of {drawn['of']:,}",
             percent(whole["value"]), interval(whole["low"], whole["high"]))
        )  # fmt: skip
    columns = (
        "split", "judged", "wrong", "share of judged", "95% interval", "wrong of drawn", "of all, at least",
        "95% interval",
    )  # fmt: skip
    classes = tuple(
        (row["class"], f"{row['of']:,}", f"{row['found']:,}", percent(row["value"], 0),
         interval(row["low"], row["high"], 0))
        for row in content["by_class"] if row["of"]
    )  # fmt: skip
    note = (
        "Intervals are Wilson's. Drawn: at random, as part of a sample. Of all: labels that nobody judged "
        "count as right, so the share can only grow."
    )
    blocks: list[Block] = [
        Table(("verdict", "labels"), verdicts),
        Table(columns, tuple(splits)),
        note,
        Table(("class", "judged", "wrong", "share", "95% interval"), classes),
        "By the class of the label, in all splits, of the labels that were judged.",
    ]
    return Section("Judged labels", tuple(blocks))


def _accuracies(content: Content) -> Section:
    rows = [
        (row["title"], *(f"{percent(row[part]['value'])} ({interval(row[part]['low'], row[part]['high'], 1)})"
                         for part in ("given", "corrected")),
         points(row["difference"]["value"]),
         between_points(row["difference"]["low"], row["difference"]["high"]))
        for row in content["accuracy"]
    ]  # fmt: skip
    counted = content["accuracy"][0]["given"]["of"]
    note = (
        f"On the {counted:,} {ADJECTIVES[content['asked']['query']]} examples that count. Corrected: where "
        "the verdict is guessed, the proposed class is right; where it is both, either class is; neither, "
        "and guessed without a class, are left out. All others count as given, unsure and open ones too. In "
        "brackets Wilson's 95% intervals; that of the difference, in percentage points, is a bootstrap over "
        "images. Neighbors vote with the labels as given."
    )
    columns = "accuracy", "labels as given", "corrected", "difference", "95% interval"
    return Section("Accuracy against corrected labels", (Table(columns, tuple(rows)), note, FAVORS))


def _machine(content: Content) -> Section:
    rows = [
        (row["rule"], f"{row['labels']:,}", f"{row['of']:,}", f"{row['found']:,}", percent(row["value"], 0),
         interval(row["low"], row["high"], 0))
        for row in content["machine"]
    ]  # fmt: skip
    columns = "found by machine", "labels", "of these judged", "wrong", "share", "95% interval"
    note = (
        "None of these counts as wrong above unless people judged it so. Those judged were chosen by their "
        "place in a list, so their share is not that of all."
    )
    return Section("Found by machine, not judged", (Table(columns, tuple(rows)), note))


def _pictures(report: LabelReport) -> Section:
    rows = []
    for row in report.corrections.head(SHOWN).itertuples():
        proposed = f" → {row.proposed}" if row.proposed else ""
        rows.append(((example_name(row.split, row.index),), f"{row.verdict} · {row.label}{proposed}"))
    pictures = (Pictures(tuple(rows), len(report.corrections) - len(rows)),) if rows else ()
    return Section("Corrections", pictures)
