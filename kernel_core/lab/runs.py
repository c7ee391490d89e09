"""How many runs? From how many on a vote passes the ensemble, and what a fitted curve promises of more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kernel_core.lab.curves import (
    Answered,
    Points,
    counts_for,
    curve,
    panels,
    passes_at,
    points_by_count,
)
from kernel_core.lab.fit import Fit, fit_shares, fitted
from kernel_core.lab.setting import Setting
from kernel_core.results.answers import Panel, Table

VOTES = {"knn3": "the 3 nearest", "weighted20": "the 20 nearest by weight"}
REPEATS = 1_000  # bootstrap resamples of the query examples
FURTHER = (2, 4, 10)  # times the runs there are, to which the curve is drawn on
Values = npt.NDArray[np.float64]


def answer(setting: Setting, requested: Sequence[int] | None = None) -> Answered:
    """Return sentences, panels and tables. requested: numbers of runs; by default `counts_for`."""
    counts = counts_for(setting.ensemble.run_count, requested)
    (by_count,) = points_by_count(setting, ["log_softmax"], counts).values()
    n = len(setting.queries)
    drawn = np.random.default_rng(setting.seed).integers(0, n, (REPEATS, n))
    votes = Panel(
        "Votes and the ensemble",
        "runs",
        tuple(
            curve(title, by_count, name, n) for name, title in {**VOTES, "ensemble": "the ensemble"}.items()
        ),
    )
    of_kernel = panels(setting, {"the kernel": by_count})[2:]  # twins, same nearest
    passing = [_passing(by_count, name, drawn) for name in VOTES]
    sentences = [
        _passing_said(title, found, counts) for title, found in zip(VOTES.values(), passing, strict=True)
    ]
    table, said = _further(by_count, drawn)
    return Answered((*sentences, *said), (votes, *of_kernel), table)


def _right(by_count: Points, name: str) -> Values:
    """Return by number of runs and query example how many of the sets are right on it, 0 … 1: (counts, n)."""
    return np.stack([np.mean([point.right[name] for point in points], 0) for points in by_count.values()])


def _resampled(right: Values, drawn: npt.NDArray[np.int64]) -> Values:
    """Return the shares of each resample, (repeats, counts)."""
    return np.stack([right[:, chosen].mean(1) for chosen in drawn])


def _passing(by_count: Points, name: str, drawn: npt.NDArray[np.int64]) -> tuple[float | None, Values]:
    """Return where a vote passes the ensemble, and where in each resample; NaN where it does not."""
    counts = list(by_count)
    lead = _right(by_count, name) - _right(by_count, "ensemble")
    places = [passes_at(counts, row.tolist()) for row in _resampled(lead, drawn)]
    of_all = passes_at(counts, lead.mean(1).tolist())
    return of_all, np.array([np.nan if place is None else place for place in places])


def _passing_said(title: str, found: tuple[float | None, Values], counts: Sequence[int]) -> str:
    place, resampled = found
    never = float(np.isnan(resampled).mean())
    if place is None:
        return (
            f"The vote of {title} does not pass the ensemble with up to {counts[-1]:,} runs (nor does it in "
            f"{never:.0%} of the resamples of the examples)."
        )
    low, high = (np.quantile(np.where(np.isnan(resampled), np.inf, resampled), q) for q in (0.025, 0.975))
    end = f"{high:,.0f}" if np.isfinite(high) else f"beyond {counts[-1]:,}"
    return (
        f"The vote of {title} passes the ensemble at about {place:,.0f} runs (95% interval {low:,.0f} to "
        f"{end}, by a bootstrap over the examples; fewer than {counts[0]:,} runs are not tried)."
    )


def _further(by_count: Points, drawn: npt.NDArray[np.int64]) -> tuple[tuple[Table, ...], tuple[str, ...]]:
    """Return a table of what fitted curves promise of more runs, and how such a promise was kept before."""
    counts = np.array(list(by_count), np.float64)
    if len(counts) < 4:
        return (), ("There are too few numbers of runs to fit a curve.",)
    rows, kept = [], []
    for name, title in {**VOTES, "ensemble": "the ensemble"}.items():
        right = _right(by_count, name)
        of_all = fit_shares(counts, right.mean(1))
        resampled = [fit_shares(counts, shares) for shares in _resampled(right, drawn[:200])]
        cells: list[str | float | None] = [title, f"{of_all.level:.2%}"]
        for times in FURTHER:
            cells.append(_promised(of_all, resampled, counts[-1] * times))
        rows.append(tuple(cells))
        if len(counts) >= 5:
            before = fit_shares(counts[:-1], right.mean(1)[:-1])
            kept.append((title, fitted(before, counts[-1]), float(right.mean(1)[-1])))
    columns = ("vote", "level of the curve", *(f"{counts[-1] * times:,.0f} runs" for times in FURTHER))
    said = "; ".join(f"{title} {promised:.2%} (measured {seen:.2%})" for title, promised, seen in kept)
    checked = (
        f"Fitted to all but the largest number of runs, the curves predict for {counts[-1]:,.0f} runs: "
        f"{said}."
        if kept
        else "There are too few numbers of runs to check such a prediction."
    )
    title = "What a fitted curve, level − drop·n^(−rate), predicts for more runs"
    return (Table(title, columns, tuple(rows)),), (checked,)


def _promised(of_all: Fit, resampled: Sequence[Fit], n: float) -> str:
    low, high = np.quantile([fitted(fit, n) for fit in resampled], (0.025, 0.975))
    return f"{fitted(of_all, n):.2%} ({low:.1%}–{high:.1%})"
