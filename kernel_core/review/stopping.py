"""When to stop judging a list: after a run of negatives, little of what follows is positive."""

from __future__ import annotations

import math
from collections.abc import Iterable

NEGATIVES = frozenset({"different", "given"})
"""The verdicts that find nothing: no duplicate, no wrong label."""
ASSUMPTIONS = (
    "The list is judged in order, none left out, and positives do not become more frequent further down. "
    "The rule was chosen before judging: the chance holds for one look, not for the best run of many."
)
"""What the rule takes for granted, in words."""


def enough_negatives(q: float = 0.05, p: float = 0.05) -> int:
    """Return the number of negatives in a row after which to stop: ⌊ln p / ln(1 − q)⌋, at least 1.

    q: share of positives among what follows that would be too many, between 0 and 1. p: chance of stopping
    although there are q, between 0 and 1. If a share q of what follows were positive, n negatives in a row
    would have the probability (1 − q)^n, which for this n is p or, because it is rounded down, just above
    (0.051 for 58). See `ASSUMPTIONS`. Raises `ValueError` for shares outside their range.

    >>> enough_negatives(), enough_negatives(q=0.01)
    (58, 298)
    """
    if not (0 < q < 1 and 0 < p < 1):
        raise ValueError(f"q is {q} and p is {p}; expected both between 0 and 1")
    return max(1, math.floor(math.log(p) / math.log1p(-q)))


def run_of_negatives(verdicts: Iterable[str]) -> int:
    """Return how many of the last verdicts are negative without a break. verdicts: in the list's order.

    Unsure breaks the run: it may be a positive.

    >>> run_of_negatives(["different", "exact", "different", "different"])
    2
    """
    run = 0
    for verdict in verdicts:
        run = run + 1 if verdict in NEGATIVES else 0
    return run
