"""How many runs are enough? What the first 10, 20, 50, … runs find, beside what all of them find."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from kernel_core.findings.pairs import WINDOW, count_shared_pairs, nearest_pairs
from kernel_core.findings.votes import wilson_interval
from kernel_core.results.accuracy import accuracies
from kernel_core.results.results import Results

BY_RUNS = ("runs", "single", "ensemble", "kernel_knn3", "kernel_weighted20")  # accuracies by number of runs
SHARES = (*BY_RUNS[1:], "agreement", "pairs_kept")
"""Columns of `table_by_runs` that are shares, each with its interval."""


def row_by_runs(by_these: Results, by_all: Results) -> dict[str, float | int | None]:
    """Return the accuracies that some runs reach, and how far their nearest are those found by all runs.

    The names are `BY_RUNS` and agreement, the share of query examples whose nearest is the same (0 … 1).
    """
    accuracy = accuracies(by_these)
    nearest, nearest_by_all = (of.neighbors_by("kernel").indices[:, 0] for of in (by_these, by_all))
    return {
        **{name: accuracy[name] for name in BY_RUNS},
        "agreement": float((nearest == nearest_by_all).mean()),
    }


def table_by_runs(by_count: Mapping[int, Results], by_all: Results) -> pd.DataFrame:
    """Return one row per number of runs, in the order of `by_count`.

    by_count: number of runs → results by the kernel of so many runs. Columns: those of `row_by_runs`; pairs,
    the number of first pairs by all runs that are looked for; pairs_kept, the share of them that are among
    as many first pairs by these runs; and for each of `SHARES` the ends of its 95% interval, as single_low
    and single_high.

    The intervals are Wilson's. They cover the choice of the query examples, or of the first pairs; not which
    runs come first.
    """
    ranking = nearest_pairs(by_all.neighbors_by("kernel"), *by_all.labels)
    top, example_count = pairs_compared(len(ranking)), len(by_all.labels[0])
    rows = []
    for by_these in by_count.values():
        pairs = nearest_pairs(by_these.neighbors_by("kernel"), *by_these.labels)
        kept = count_shared_pairs(ranking, pairs, top) / top
        row = row_by_runs(by_these, by_all) | {"pairs": top, "pairs_kept": kept}
        for name in SHARES:
            trials = top if name == "pairs_kept" else example_count
            low, high = wilson_interval(round((row[name] or 0) * trials), trials)
            row |= {f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def pairs_compared(count: int) -> int:
    """Return how many of a ranking's first pairs are looked for: 5% of them, and a window at least.

    >>> pairs_compared(10_000), pairs_compared(500), pairs_compared(9)
    (500, 48, 9)
    """
    return min(count, max(WINDOW, count // 20))


def sentences(table: pd.DataFrame, neighbor: str) -> str:
    """Return what a table of `table_by_runs` says: of a number of runs in the middle, and how many do.

    neighbor: noun for a neighbor. The last row is that of all runs, and there is another.
    """
    fewer, whole = table.iloc[(len(table) - 1) // 2], table.iloc[-1]
    level = table.loc[table["kernel_knn3"] >= whole["kernel_knn3_low"], "runs"].iloc[0]
    return (
        f"With {fewer['runs']:,.0f} of {whole['runs']:,.0f} runs, {fewer['agreement']:.0%} of the nearest "
        f"{neighbor}s are the same as with all, and {fewer['pairs_kept']:.0%} of the first "
        f"{whole['pairs']:,.0f} pairs; the ensemble is right on {fewer['ensemble']:.1%} "
        f"(all: {whole['ensemble']:.1%}). The kernel's 3 nearest vote as well as with all runs, within the "
        f"95% interval, from {level:,.0f} runs on."
    )
