"""How many leaked pairs the ranking has in all, and precision and recall along it, from judged samples."""

from __future__ import annotations

from typing import Any

import pandas as pd

from kernel_core.report.leak_pairs import Asked
from kernel_core.report.shares import rows_of
from kernel_core.review.along_ranking import judged_along, precision_and_recall
from kernel_core.review.estimate import estimate_total, plan_more
from kernel_core.review.judged import Judged

NUMBERS = ("count", "estimate", "low", "high", "found", "judged", "unsure", "drawn", "unknown")
"""Fields of `review.estimate.Total` that the report has."""


def estimated(ranking: pd.DataFrame, judged: Judged, asked: Asked) -> dict[str, Any]:
    """Return the estimate of leaked pairs in a ranking, its strata, precision and recall, and a plan.

    ranking: in the order that is asked for. total: `NUMBERS`. strata, along, plan: rows of the tables of
    `review.estimate` and `review.along_ranking`. Unless something was drawn at random there is no plan, and
    the interval goes from what was found to all that nobody judged.
    """

    along = judged_along(
        ranking, judged, by=asked.similarity, order=asked.order, leaked=asked.leaked, rule=asked.rule
    )
    total = estimate_total(len(ranking), along)
    return {
        "total": {name: getattr(total, name) for name in NUMBERS},
        "strata": rows_of(total.strata),
        "along": rows_of(precision_and_recall(len(ranking), along)),
        "plan": rows_of(plan_more(total)) if total.drawn else [],
    }
