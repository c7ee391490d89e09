"""The pairs on which a rule decides whether they are duplicates, though it may leave open of which kind."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pandas as pd

from kernel_core.review.consensus import ITEM_COLUMNS, consensus, undecided
from kernel_core.review.judged import Judged
from kernel_core.review.verdicts import DUPLICATES

KIND_OPEN = "duplicate, kind open"
"""The verdict on a pair that counts as a leak by the rule, though the rule takes no one verdict."""


def decided_pairs(
    judged: Judged, rule: str = "majority", leaked: Collection[str] = DUPLICATES
) -> pd.DataFrame:
    """Return one row per pair that the rule decides, sorted by item, with the columns of `consensus`.

    A pair that it leaves open only because reviewers differ in the kind of duplicate has the verdict
    `KIND_OPEN`: there the rule is applied again, with all verdicts that count as a leak as one. One column
    more: leaked, whether the verdict counts as a leak. leaked: the verdicts that do.
    """
    again = Judged(judged.hashes)
    for row in undecided(judged, "pair", rule).itertuples():
        key = (row.a_split, row.a_index), (row.b_split, row.b_index)
        for stack in judged.history(key).values():
            again.take(
                replace(verdict, verdict=KIND_OPEN) if verdict.verdict in leaked else verdict
                for verdict in stack
            )
    decided, found = consensus(judged, "pair", rule), consensus(again, "pair", rule)
    found = found[found["verdict"] == KIND_OPEN]
    table = pd.concat([decided, found]) if len(found) else decided
    table["leaked"] = table["verdict"].isin([*leaked, KIND_OPEN])
    return table.sort_values(ITEM_COLUMNS, ignore_index=True)
