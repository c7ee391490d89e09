"""The leak report: every number of it, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from kernel_core.report import leak_counts
from kernel_core.report.leak_accuracy import accuracies_of
from kernel_core.report.leak_causal import caused
from kernel_core.report.leak_estimate import estimated
from kernel_core.report.leak_machine import machine_found
from kernel_core.report.leak_pairs import Asked, Leaked, by_item, judged_pairs, leaked_of, open_pairs
from kernel_core.report.leak_review import agreement_of, provenance, stopping
from kernel_core.results.pair_orders import ordered_pairs
from kernel_core.results.results import Results
from kernel_core.review.consensus import ITEM_COLUMNS
from kernel_core.review.judged import Judged

FORMAT = 1


@dataclass(frozen=True, eq=False)
class LeakReport:
    """A leak report.

    content: its numbers, as they go to `leak.json`; docs/leaks.md says what each means. pairs: of
    `judged_pairs`. leaked: the examples that are leaked. drop: by split, the indices to drop.
    """

    results: Results
    asked: Asked
    content: dict[str, Any]
    pairs: pd.DataFrame
    leaked: Leaked
    drop: dict[str, list[int]]


def leak_report(
    results: Results, judged: Judged, asked: Asked, *, anonymous: bool = False, made_by: str | None = None
) -> LeakReport:
    """Return the report on what was judged of a source.

    made_by: how the runs were made, where that is known. Raises as `judged_pairs` does.
    """
    pairs = judged_pairs(results, judged, asked)
    leaked = leaked_of(results, pairs)
    ranking = ordered_pairs(results, asked.similarity, asked.order)
    still_open = open_pairs(judged, asked, pairs)
    open_ranks = still_open.merge(by_item(ranking), on=ITEM_COLUMNS)["rank"]
    content = {
        "format": FORMAT,
        "asked": _asked(results, asked),
        "provenance": {**provenance(results, judged, "pair", anonymous=anonymous), "made_by": made_by},
        "judged": {
            "pairs": len(pairs) + len(still_open),
            "decided": len(pairs),
            "undecided": len(still_open),
            "ranked": len(ranking),
        },
        "rate": leak_counts.rate(results, pairs, leaked),
        "by_verdict": leak_counts.by_verdict(results, pairs, leaked),
        "by_class": leak_counts.by_class(results, pairs, leaked),
        "by_splits": leak_counts.by_splits(results, pairs),
        "accuracy": accuracies_of(results, leaked),
        "groups": len(set(leaked.groups[leaked.mask].tolist())),
        "caused": caused(results, leaked),
        "machine": machine_found(results, pairs, asked),
        "estimate": estimated(ranking, judged, asked),
        "coverage": leak_counts.coverage(pairs, open_ranks, len(ranking)),
        "stopping": stopping(pairs, open_ranks),
        "agreement": agreement_of(judged, "pair"),
    }
    return LeakReport(results, asked, content, pairs, leaked, leak_counts.to_drop(results, leaked))


def _asked(results: Results, asked: Asked) -> dict[str, Any]:
    return {
        "similarity": asked.similarity,
        "similarity_title": results.title_of(asked.similarity),
        "order": asked.order,
        "rule": asked.rule,
        "leaked": list(asked.leaked),
        "query": results.query,
        "database": results.database,
    }
