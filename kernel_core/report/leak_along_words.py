"""The ranking in the leak report in words: how many in all, how far it was judged, precision and recall."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kernel_core.report.document import Block, Section, Table
from kernel_core.report.review_words import coverage_section
from kernel_core.report.shares import interval, percent
from kernel_core.results.pair_orders import ORDERS
from kernel_core.spec import ADJECTIVES

Content = Mapping[str, Any]


def estimate_section(content: Content) -> Section:
    """Return how many leaked pairs the ranking has in all, and what further verdicts buy."""
    title, found = "How many in all", content["estimate"]
    total = found["total"]
    unjudged = total["count"] - total["judged"]
    if not total["drawn"] and unjudged:
        text = (
            "Not estimated: that takes verdicts on a random sample along the ranking. Pairs chosen by their "
            f"place in a list say nothing of the {unjudged:,} others. So far {total['found']:,} of the "
            f"{total['count']:,} pairs are known to be leaked."
        )
        return Section(title, (text,))
    rows = [
        (row["stratum"], f"{row['size']:,}", f"{row['census_found']:,} of {row['census']:,}",
         f"{row['found']:,} of {row['drawn']:,}", f"{row['estimate']:,.0f}",
         f"{row['low']:,.0f}–{row['high']:,.0f}")
        for row in found["strata"]
    ]  # fmt: skip
    columns = "stratum", "pairs", "leaked of chosen", "leaked of drawn", "estimate", "95% interval"
    blocks: list[Block] = [_estimate(total), Table(columns, tuple(rows))]
    plans = [
        f"{row['more']:,} more verdicts of the sample: {row['low']:,.0f}–{row['high']:,.0f}"
        for row in found["plan"]
    ]
    if plans:
        blocks.append(f"The interval to expect if each stratum goes on as it began. {'; '.join(plans)}.")
    return Section(title, tuple(blocks))


def _estimate(total: Content) -> str:
    text = (
        f"An estimated {total['estimate']:,.0f} of the {total['count']:,} pairs of the ranking are leaked; "
        f"the 95% interval is {total['low']:,.0f}–{total['high']:,.0f}. {total['drawn']:,} pairs were drawn "
        f"at random; {total['judged'] - total['drawn']:,} others were chosen and count as they are."
    )
    if total["unsure"]:
        text += f" The upper limit counts the {total['unsure']:,} unsure ones as leaked."
    if total["unknown"]:
        text += f" Of {total['unknown']:,} pairs nothing was drawn: the upper limit counts them all."
    return text


def _depths(content: Content) -> list[Block]:
    """Return precision and recall of the first ranks, where a sample was drawn."""
    found = content["estimate"]
    if not found["total"]["drawn"]:
        return []
    rows = [
        (f"{row['k']:,}", f"{row['judged']:,}", f"{row['positives']:,.0f}",
         percent(row["precision"], 1), interval(row["precision_low"], row["precision_high"], 1),
         percent(row["recall"], 1), interval(row["recall_low"], row["recall_high"], 1))
        for row in found["along"]
    ]  # fmt: skip
    columns = "first k", "judged", "leaked", "precision", "95% interval", "recall", "95% interval"
    note = (
        "Precision: estimated share of leaked pairs among the first k. Recall: of all leaked pairs of the "
        "ranking, the share that is among the first k; leaked pairs that it does not list are not counted."
    )
    return [Table(columns, tuple(rows)), note]


def along_section(content: Content) -> Section:
    """Return how far the ranking was judged, precision and recall along it, and the stopping rule."""
    asked = content["asked"]
    ranking = f"{ORDERS[asked['order']]}; similarity: {asked['similarity_title']}"
    covered = coverage_section(content, "pairs", "duplicates", ranking)
    table, note, *rest = covered.blocks
    listed = (
        f"Each {ADJECTIVES[asked['query']]} example is in it with one neighbor; judged pairs that it does "
        "not list are not counted here."
    )
    return Section(covered.title, (table, f"{note} {listed}", *_depths(content), *rest))
