"""What reports on pairs and on labels both say in words: agreement, and what the numbers are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kernel_core.printable import CELL, printable
from kernel_core.report.document import Block, Section, Table
from kernel_core.report.shares import interval, percent
from kernel_core.review.stopping import ASSUMPTIONS
from kernel_core.spec import ADJECTIVES


def coverage_section(content: Mapping[str, Any], items: str, positive: str, ranking: str) -> Section:
    """Return how far a ranking was judged, and whether the stopping rule was met.

    content: of a report. items: noun for what it ranks. positive: word for what is looked for. ranking: what
    it is, in words.
    """
    rows = [
        (f"{row['first']:,}–{row['last']:,}", f"{row['judged']:,} of {row['size']:,}",
         f"{row['undecided']:,}", f"{row['found']:,}", percent(row["value"], 0),
         interval(row["low"], row["high"], 0))
        for row in content["coverage"]
    ]  # fmt: skip
    columns = "ranks", "judged", "unsure or open", positive, "share of judged", "95% interval"
    note = (
        f"The ranking: {ranking}. The share of {items} that were chosen, not drawn at random, holds for "
        "these alone."
    )
    stop = content["stopping"]
    met = (
        f"The stopping rule is {'met' if stop['met'] else 'not met'}: ranks 1 to {stop['judged_to']:,} are "
        f"judged without a gap and end with {stop['run']:,} negatives in a row. {stop['needed']:,} are "
        f"needed to say with 95% confidence that fewer than 5% of what follows are {positive}. {ASSUMPTIONS}"
    )
    if not stop["judged_to"]:
        met = "The stopping rule is not met: rank 1 is not judged."
    return Section("Along the ranking", (Table(columns, tuple(rows)), note, met))


def agreement_section(found: Mapping[str, Any] | None) -> Section:
    """Return the section on agreement. found: of `leak_review.agreement_of`."""
    title = "Agreement between reviewers"
    if found is None:
        return Section(
            title, ("Not known: no item was judged by two reviewers without sight of each other.",)
        )
    rows = [
        (row["title"], _number(row["value"]), _ends(row), f"{row['items']:,}") for row in found["measures"]
    ]
    note = (
        f"{found['reviewers']:,} reviewers, {found['items']:,} items with two verdicts or more, given "
        "without sight of others'. 95% intervals by a bootstrap over items. κ and α fall where one verdict "
        "is rare; Gwet's AC1 does not."
    )
    return Section(title, (Table(("measure", "value", "95% interval", "items"), tuple(rows)), note))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _ends(row: Mapping[str, Any]) -> str:
    """Return the interval, or why there is none."""
    if row["low"] is None or row["high"] is None:
        return row["why"] or "–"
    return f"{row['low']:.2f} to {row['high']:.2f}"


def provenance_section(found: Mapping[str, Any], asked: Mapping[str, str]) -> Section:
    """Return the section on what the numbers are of. found: of `leak_review.provenance`."""
    examples = [f"{count:,} {ADJECTIVES[split]}" for split, count in found["examples"].items()]
    reviewers = [f"{printable(row['reviewer'], CELL)} ({row['verdicts']:,})" for row in found["reviewers"]]
    words = {
        "Source": found["source"],
        "Results": found["fingerprint"],
        "Examples": f"{', '.join(examples)}, {found['classes']:,} classes",
        "Runs": f"{found['runs']:,}",
        "Made by": found["made_by"] or "not known",
        **asked,
        "Verdicts": f"{found['verdicts']:,}"
        + (f", the latest of {found['latest']}" if found["latest"] else ""),
        "Reviewers": ", ".join(reviewers) or "none",
        "Verdicts on other data": f"{found['unmatched']:,}",
        "Version": f"Kernel Explorer {found['version']}",
    }
    blocks: list[Block] = [Table(("what", "value"), tuple(words.items()), left=2)]
    if found["about"]:
        blocks.append(found["about"])
    return Section("What these numbers are of", tuple(blocks))
