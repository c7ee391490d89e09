"""Why log-softmax? The kernel of the same runs by other functions of their logits, from few runs to all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kernel_core.lab.curves import (
    Answered,
    Points,
    counts_for,
    difference,
    panels,
    passes_at,
    points_by_count,
    share,
    twin_count,
)
from kernel_core.lab.functions import FUNCTIONS
from kernel_core.lab.run_sets import logits_of
from kernel_core.lab.setting import Setting
from kernel_core.results.answers import Table

SAMPLE = 500  # query examples of which the shift's share of the variance is taken


def answer(setting: Setting, requested: Sequence[int] | None = None) -> Answered:
    """Return sentences, panels and tables. requested: numbers of runs; by default `counts_for`."""
    counts = counts_for(setting.ensemble.run_count, requested)
    found = points_by_count(setting, list(FUNCTIONS), counts)
    by_name = {FUNCTIONS[name].title: by_count for name, by_count in found.items()}
    return Answered(_sentences(setting, by_name), panels(setting, by_name), (_table(setting, by_name),))


def _table(setting: Setting, by_name: Mapping[str, Points]) -> Table:
    """Return the means with the fewest runs and with all."""
    measures = {"knn3": "3 nearest", "weighted20": "20 weighted"}
    if twin_count(setting):
        measures["twin_first"] = "twin first"
    rows: list[tuple[str | float | None, ...]] = []
    for name, by_count in by_name.items():
        few, *_, every = by_count.values()
        rows.append((name, *(share(points, measure) for measure in measures for points in (few, every))))
    first, *_, last = next(iter(by_name.values()))
    columns = (f"{title}, {count:,} runs" for title in measures.values() for count in (first, last))
    return Table("With the fewest runs and with all", ("made of", *columns), tuple(rows))


def _sentences(setting: Setting, by_name: Mapping[str, Points]) -> tuple[str, ...]:
    own, raw, shift = (by_name[FUNCTIONS[name].title] for name in ("log_softmax", "none", "shift"))
    counts = list(own)
    first, last = counts[0], counts[-1]
    few = (
        f"With {first:,} runs the 3 nearest are right on {share(own[first], 'knn3'):.1%} by log-softmax and "
        f"on {share(raw[first], 'knn3'):.1%} by raw logits; with all {last:,}, on "
        f"{share(own[last], 'knn3'):.1%} and {share(raw[last], 'knn3'):.1%}."
    )
    alone = (
        "The mean of the logits over the classes, a shift common to all of them, has "
        f"{shift_share(setting):.1%} of their variance over the runs; alone, one number per run, it is right "
        f"on {share(shift[last], 'knn3'):.1%}."
    )
    both = by_name[FUNCTIONS["with-shift"].title]
    gains = (difference(own[count], both[count], "knn3").words for count in (first, last))
    added = (
        "Weighed 4 to 1, log-softmax and the shift together against log-softmax alone: "
        f"{next(gains)}, with {first:,} runs; {next(gains)}, with all."
    )
    found = [few, _overtaking(own, raw), alone, added]
    if twin_count(setting):
        found.append(
            f"A known twin is the nearest for {share(own[last], 'twin_first'):.0%} by log-softmax, "
            f"{share(raw[last], 'twin_first'):.0%} by raw logits and {share(shift[last], 'twin_first'):.0%} "
            "by the shift alone, with all runs."
        )
    return tuple(found)


def _overtaking(own: Points, raw: Points) -> str:
    """Return where raw logits overtake log-softmax, if they do beyond noise."""
    counts = list(own)
    at_end = difference(own[counts[-1]], raw[counts[-1]], "knn3")
    if at_end.low <= 0 <= at_end.high:
        return f"With all runs the two cannot be told apart (raw logits {at_end.words})."
    if at_end.high < 0:
        return f"Raw logits do not overtake log-softmax with up to {counts[-1]:,} runs ({at_end.words})."
    point = passes_at(counts, [difference(own[count], raw[count], "knn3").value for count in counts])
    return f"Raw logits overtake log-softmax at about {point:,.0f} runs (with all, {at_end.words})."


def shift_share(setting: Setting) -> float:
    """Return the share of the raw logits' variance over the runs that the mean over the classes has, 0 … 1.

    The variance is summed over the classes, and averaged over at most `SAMPLE` query examples.
    """
    runs = range(setting.ensemble.run_count)
    logits = logits_of(setting.ensemble, setting.results.query, runs, setting.queries[:SAMPLE])
    x = logits.astype(np.float64)
    C = x.shape[2]
    return float(C * x.mean(2).var(0, ddof=1).sum() / x.var(0, ddof=1).sum())
