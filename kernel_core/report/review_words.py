"""What reports on pairs and on labels both say in words: agreement, and what the numbers are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kernel_core.printable import CELL, printable
from kernel_core.report.document import Block, Section, Table
from kernel_core.spec import ADJECTIVES


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
