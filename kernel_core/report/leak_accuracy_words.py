"""Accuracies of the leak report in words: with and without leaked examples, and what the twins cause."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kernel_core.report.document import Block, Section, Table
from kernel_core.report.shares import between_points, interval, percent, points

LEGEND = (
    "Accuracy on all examples, on the clean and on the leaked ones, with 95% intervals (Wilson; of one run's "
    "mean, those of a single share, which are rather too wide). Clean: not known to be leaked."
)
GAP_LEGEND = (
    "Accuracy on clean examples minus that on all, and on leaked ones; matched by class: clean examples "
    "count as often as their class is among the leaked ones. In percentage points, with 95% intervals by a "
    "bootstrap over images that keeps groups of near-duplicates whole; with fewer than 10 there is none."
)
NOT_MEMORIZATION = (
    "A gap is not memorization: examples with a twin may be easier than others, whether or not the twin is "
    "in the training set. Matching by class takes one such difference away, not all."
)
NO_MASKS = (
    "Not known: that takes runs that trained on random parts of the training set, with their training masks, "
    "so that some trained on the twin and some did not."
)
Content = Mapping[str, Any]


def accuracy_section(content: Content) -> Section:
    """Return the accuracies, and how far those on clean examples differ."""
    rows, differences = [], []
    for row in content["accuracy"]:
        cells = [f"{percent(row[part]['value'])} ({interval(row[part]['low'], row[part]['high'], 1)})"
                 if row[part]["of"] else "–" for part in ("all", "clean", "leaked")]  # fmt: skip
        rows.append((row["title"], *cells))
        gaps = [row[name] for name in ("gap_all", "gap_leaked", "gap_matched")]
        words = [f"{points(gap['value'])} ({between_points(gap['low'], gap['high'])})" for gap in gaps]
        differences.append((row["title"], *words))
    first = content["accuracy"][0]
    counts = [f"{part} {first[part]['of']:,}" for part in ("all", "clean", "leaked")]
    columns = "difference, points", "clean − all", "clean − leaked", "matched by class"
    blocks: list[Block] = [Table(("accuracy", *counts), tuple(rows)), LEGEND]
    if first["leaked"]["of"]:
        own = f"{content['groups']:,} groups are leaked. {GAP_LEGEND}"
        blocks += [Table(columns, tuple(differences)), own, NOT_MEMORIZATION]
    return Section("Accuracy with and without leaked examples", tuple(blocks))


def caused_section(content: Content) -> Section:
    """Return what twins cause, or why it is not known; empty where nothing is leaked."""
    title, found = "What the twins in training cause", content["caused"]
    if not content["rate"]["found"] or content["asked"]["database"] != "train":
        return Section(title, ())
    if found is None:
        return Section(title, (NO_MASKS,))
    names = {"accuracy": "Accuracy of one run", "probability": "Probability of the label"}
    rows = [
        (names[key], percent(row["with"]), percent(row["without"]), points(row["value"]),
         between_points(row["low"], row["high"]), f"{row['examples']:,}", f"{row['runs']:,}")
        for key, row in found.items()
    ]  # fmt: skip
    columns = (
        "on leaked examples", "with a twin", "without", "difference", "95% interval", "examples", "runs",
    )  # fmt: skip
    note = (
        "Runs that trained on a judged twin of the example, and runs that trained on none (Feldman and Zhang "
        "2020). Which runs have the twin is random, so the difference, in percentage points, is caused by "
        "it, for runs on such parts of the training set. The interval is a bootstrap over runs and images."
    )
    return Section(title, (Table(columns, tuple(rows)), note))
