"""The verdicts along a ranking of pairs, and its precision and recall at each depth, with 95% bands."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from kernel_core.review.consensus import GOLD, SAMPLE
from kernel_core.review.estimate import estimate_total
from kernel_core.review.judged import Judged, Pair, pair_of
from kernel_core.review.leaked import decided_pairs
from kernel_core.review.sampling import Stratum, default_strata
from kernel_core.review.verdicts import DUPLICATES, UNSURE

JUDGED_COLUMNS = ["rank", "verdict", "positive", "sampled", "stratum"]
ALONG_COLUMNS = [
    "k", "judged", "found", "positives", "positives_low", "positives_high", "precision", "precision_low",
    "precision_high", "recall", "recall_low", "recall_high",
]  # fmt: skip


def pairs_of(ranking: pd.DataFrame) -> list[Pair]:
    """Return the pairs of a ranking as verdicts know them. ranking: a table of `findings.pairs`."""
    columns = "query_split", "query_index", "database_split", "database_index"
    return [pair_of((q, i), (d, j)) for q, i, d, j in zip(*(ranking[name] for name in columns), strict=True)]


def judged_along(
    ranking: pd.DataFrame,
    judged: Judged,
    *,
    by: str,
    order: str,
    leaked: Collection[str] = DUPLICATES,
    rule: str = "majority",
) -> pd.DataFrame:
    """Return one row per pair of a ranking that a rule decides, by rank, with `JUDGED_COLUMNS`.

    ranking: a table of `findings.pairs`, all of it, by the similarity `by` in an `order` of `pair_orders`.
    leaked: the verdicts that count as positive. rule: of `consensus.RULES`. positive: 1.0 or 0.0, nan for
    unsure. sampled: whether chance alone chose it, from the stratum of this ranking that it is in. What was
    drawn along another ranking, or judged in a list as well, was not: it belongs to the census.
    """
    rank_of = dict(zip(pairs_of(ranking), range(1, len(ranking) + 1), strict=True))
    strata = default_strata(len(ranking))
    lasts = [stratum.last for stratum in strata]
    rows = []
    for row in decided_pairs(judged, rule, leaked).itertuples():
        pair = (row.a_split, row.a_index), (row.b_split, row.b_index)
        rank = rank_of.get(pair)
        if rank is None:
            continue
        stratum = strata[int(np.searchsorted(lasts, rank))].name
        sampled = (
            row.design in (SAMPLE, GOLD)
            and row.stratum == stratum
            and _was_drawn_along(judged, pair, rank, by, order)
        )
        positive = np.nan if row.verdict == UNSURE else float(row.leaked)
        rows.append((rank, row.verdict, positive, sampled, stratum))
    return pd.DataFrame(rows, columns=JUDGED_COLUMNS).sort_values("rank", ignore_index=True)


def _was_drawn_along(judged: Judged, pair: Pair, rank: int, by: str, order: str) -> bool:
    """Return whether a pair was shown at this rank in a sample along this ranking.

    Such a list is sample:by:order:size:seed, or, within a split, sample@split:by:order:size:seed. At another
    rank, it was drawn along a ranking by other runs, where its chance was another.
    """
    drawn = [v.shown for of in judged.history(pair).values() for v in of if v.design == SAMPLE]
    lists = [shown.filter.split(":") for shown in drawn if shown.rank in (None, rank)]
    return any(
        of[0].partition("@")[0] == "sample" and of[1:2] == [by] and (of[2:3] or [""])[0] in (order, "")
        for of in lists
    )


def precision_and_recall(
    count: int, judged: pd.DataFrame, depths: Sequence[int] | None = None
) -> pd.DataFrame:
    """Return precision and recall of the first k items of a ranking, one row per k, with `ALONG_COLUMNS`.

    count: items in the ranking. judged: as in `estimate_total`. depths: the values of k, 1 … count; by
    default the last rank of each stratum. judged, found: verdicts among the first k, and positives of them.
    positives: estimated among the first k. precision: positives / k. recall: positives / those estimated in
    the whole ranking, nan if that is 0; positives that are in no pair of the ranking are not counted. All
    with 95% limits; those of recall are from the limits before and after k, which makes them too wide rather
    than too narrow. A stratum that k cuts is two strata, each with the draws that fell into it.
    """
    strata = default_strata(count)
    rows = []
    for k in depths if depths is not None else [stratum.last for stratum in strata]:
        first, rest = _cut(strata, k)
        head, tail = (estimate_total(count, judged, part) for part in (first, rest))
        rows.append((
            k, head.judged, head.found, head.estimate, head.low, head.high,
            head.estimate / k, head.low / k, head.high / k,
            _share(head.estimate, tail.estimate, np.nan),
            _share(head.low, tail.high, 0.0), _share(head.high, tail.low, 1.0),
        ))  # fmt: skip
    return pd.DataFrame(rows, columns=ALONG_COLUMNS)


def _cut(strata: Sequence[Stratum], k: int) -> tuple[list[Stratum], list[Stratum]]:
    """Return the strata of the first k ranks, and those of the ranks after k."""
    first = [Stratum(s.name, s.first, min(s.last, k)) for s in strata if s.first <= k]
    return first, [Stratum(s.name, max(s.first, k + 1), s.last) for s in strata if s.last > k]


def _share(part: float, rest: float, unknown: float) -> float:
    """Return the share of a part of the whole; `unknown` if there is nothing."""
    return part / (part + rest) if part + rest else unknown
