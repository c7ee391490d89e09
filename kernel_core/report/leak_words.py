"""The leak report in words: its numbers as headings, sentences and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from kernel_core.printable import CELL, printable
from kernel_core.report.document import Block, Document, Pictures, Section, Table
from kernel_core.report.leak_accuracy_words import accuracy_section, caused_section
from kernel_core.report.leak_along_words import along_section, estimate_section
from kernel_core.report.leak_report import LeakReport
from kernel_core.report.review_words import agreement_section, provenance_section
from kernel_core.report.shares import interval, percent
from kernel_core.results.pair_orders import ORDERS
from kernel_core.review.consensus import RULES
from kernel_core.review.leaked import KIND_OPEN
from kernel_core.spec import ADJECTIVES, example_name

SHOWN = 120  # leaked pairs that are shown as pictures
Content = Mapping[str, Any]


def leak_document(report: LeakReport) -> Document:
    """Return the report as a document."""
    content = report.content
    own = f"Leak report: {printable(content['provenance']['source'], CELL)}"
    sections = [_machine(content), provenance_section(content["provenance"], _asked(content))]
    if content["judged"]["pairs"]:
        sections = [
            _rates(content),
            _splits(content),
            estimate_section(content),
            along_section(content),
            accuracy_section(content),
            caused_section(content),
            agreement_section(content["agreement"]),
            *sections,
            _pictures(report),
        ]
    return Document(own, _lead(content), tuple(section for section in sections if section.blocks))


def _lead(content: Content) -> tuple[str, ...]:
    judged, rate, asked = content["judged"], content["rate"], content["asked"]
    if not judged["pairs"]:
        text = (
            "No pair has been judged yet. Everything below was found by machine; nobody has looked at it. "
            "Judge pairs in the app, then make this report again."
        )
        return (text,)
    query, where = ADJECTIVES[asked["query"]], _where(content)
    have = "has" if rate["found"] == 1 else "have"
    first = (
        f"At least {rate['found']:,} of {rate['of']:,} {query} examples ({percent(rate['value'])}) {have} a "
        f"duplicate {where}, as judged by people. The 95% interval of the rate is "
        f"{interval(rate['low'], rate['high'])}%."
    )
    if rate["value"] is None:
        first = f"Nobody has judged yet whether {query} examples have a duplicate {where}."
    second = (
        f"{judged['pairs']:,} pairs were judged. The rule “{asked['rule']}” leaves {judged['undecided']:,} "
        f"of them open. These verdicts count as a duplicate: {', '.join(asked['leaked'])}. Pairs that nobody "
        "judged, and open ones, count as none, so the rate can only grow."
    )
    return first, second


def _where(content: Content) -> str:
    asked = content["asked"]
    if asked["query"] == asked["database"]:
        return f"within the {ADJECTIVES[asked['query']]} set"
    return f"in the {ADJECTIVES[asked['database']]} set"


def _rates(content: Content) -> Section:
    whose = f"{ADJECTIVES[content['asked']['query']]} examples"
    verdicts = [
        (row["verdict"], f"{row['pairs']:,}", *_share(row))
        if row["verdict"] in (*content["asked"]["leaked"], KIND_OPEN)
        else (row["verdict"], f"{row['pairs']:,}", "–", "–", "–")
        for row in content["by_verdict"]
    ]
    classes = [(row["class"], f"{row['of']:,}", *_share(row)) for row in content["by_class"] if row["found"]]
    without = len(content["by_class"]) - len(classes)
    note = (
        f"By verdict. {whose.capitalize()} with several duplicates count once, for the closest. Intervals "
        "are Wilson's: they take these examples as drawn from many more like them, and do not cover pairs "
        "that nobody judged."
    )
    blocks: list[Block] = [Table(("verdict", "pairs", whose, "rate", "95% interval"), tuple(verdicts)), note]
    if classes:
        rest = f" {without:,} classes have none." if without else ""
        blocks += [
            Table(("class", "examples", "leaked", "rate", "95% interval"), tuple(classes)),
            f"By the class of the {content['asked']['query']} example.{rest}",
        ]
    return Section("Rate", tuple(blocks))


def _share(row: Content) -> tuple[str, str, str]:
    return f"{row['found']:,}", percent(row["value"]), interval(row["low"], row["high"])


def _splits(content: Content) -> Section:
    rows = [
        (
            row["splits"],
            f"{row['judged']:,}",
            f"{row['duplicates']:,}",
            f"{row['labels_differ']:,}",
            *_share(row),
        )
        for row in content["by_splits"]
    ]
    columns = (
        "between", "judged pairs", "duplicates", "labels differ", "examples", "rate", "95% interval",
    )  # fmt: skip
    note = (
        "Duplicates: judged pairs whose verdict counts as one. Labels differ: those of them with two labels. "
        "Examples: of the first split, those in such a pair; within one split, both examples of a pair."
    )
    return Section("Between which splits", (Table(columns, tuple(rows)), note))


def _machine(content: Content) -> Section:
    machine = content["machine"]
    rows = [
        (row["rule"], f"{row['pairs']:,}", f"{row['of']:,}", f"{row['found']:,}", percent(row["value"], 0),
         interval(row["low"], row["high"], 0))
        for row in machine["rules"]
    ]  # fmt: skip
    columns = "found by machine", "pairs", "of these judged", "duplicates", "share", "95% interval"
    meanings = "; ".join(f"{row['rule']}: {row['about']}" for row in machine["rules"])
    note = (
        f"{meanings[:1].upper()}{meanings[1:]}. None of these counts as a leak above unless people judged it "
        "one. Those judged were chosen by a place in a list, so their share is not that of all."
    )
    blocks: list[Block] = [Table(columns, tuple(rows)), note]
    if machine["copies"]:
        blocks.append(machine["copies"]["sentence"])
    return Section("Found by machine, not judged", tuple(blocks))


def _asked(content: Content) -> dict[str, str]:
    asked = content["asked"]
    return {
        "Similarity": asked["similarity_title"],
        "Ranking": ORDERS[asked["order"]],
        "Rule": f"{asked['rule']}: {RULES[asked['rule']]}",
        "Duplicates": ", ".join(asked["leaked"]),
    }


def _pictures(report: LeakReport) -> Section:
    """Return the leaked pairs, in order of rank, those without one last."""
    pairs = report.leaked.pairs.sort_values(["rank", "a_index", "b_index"], na_position="last", kind="stable")
    rows = []
    for pair in pairs.head(SHOWN).itertuples():
        names = example_name(pair.a_split, pair.a_index), example_name(pair.b_split, pair.b_index)
        classes = [report.results.class_names[label] for label in (pair.a_label, pair.b_label)]
        labels = classes[0] if pair.a_label == pair.b_label else " ≠ ".join(classes)
        rank = "" if pd.isna(pair.rank) else f"#{pair.rank:,} · "
        rows.append((names, f"{rank}{pair.verdict} · {labels}"))
    if not rows:
        return Section("Leaked pairs", ())
    return Section("Leaked pairs", (Pictures(tuple(rows), len(pairs) - len(rows)),))
