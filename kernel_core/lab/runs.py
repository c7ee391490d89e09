"""How many runs? From how many on a vote passes the ensemble, and what fitted curves promise of more."""

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
    twin_count,
)
from kernel_core.lab.further import further
from kernel_core.lab.resampled import resampled_shares, right_by_count
from kernel_core.lab.run_sets import ladder
from kernel_core.lab.setting import Setting
from kernel_core.results.answers import Panel

VOTES = {"knn3": "the 3 nearest", "weighted20": "the 20 nearest by weight"}
ENSEMBLE, TWIN = {"ensemble": "the ensemble"}, {"twin_first": "a twin first"}
REPEATS = 1_000  # bootstrap resamples of the query examples and of the sets of runs
BANDS = (
    "Bands: the lowest and the highest of up to {sets} sets of runs that have no run in common; where there "
    "is only one set, as of more than half of the runs, Wilson's 95% interval over the choice of examples. "
    "Lines: the mean of the sets. Fitted curves: the middle and the 95% interval of what one set of so many "
    "runs would show on other examples."
)
Values = npt.NDArray[np.float64]


def answer(setting: Setting, requested: Sequence[int] | None = None) -> Answered:
    """Return sentences, panels and tables. requested: numbers of runs; by default `ladder`."""
    counts = counts_for(setting.ensemble.run_count, requested or ladder(setting.ensemble.run_count))
    (by_count,) = points_by_count(setting, ["log_softmax"], counts).values()
    n = len(setting.queries)
    votes = Panel(
        "Votes and the ensemble",
        "runs",
        tuple(curve(title, by_count, name, n) for name, title in {**VOTES, **ENSEMBLE}.items()),
    )
    of_kernel = panels(setting, {"the kernel": by_count})[2:]  # twins, same nearest
    sentences = [
        _passing_said(title, _passing(by_count, name, setting.seed), counts) for name, title in VOTES.items()
    ]
    measures = {**VOTES, **ENSEMBLE, **(TWIN if twin_count(setting) else {})}
    fitted, tables, said = further(by_count, measures, setting.seed)
    if measures.keys() & TWIN and not setting.known:
        said = (*said, "The twins were found with all runs, which favors what is measured with all.")
    bands = BANDS.format(sets=setting.sets)
    return Answered((*sentences, *said), (votes, *fitted, *of_kernel), tables, bands)


def _passing(by_count: Points, name: str, seed: int) -> tuple[float | None, Values]:
    """Return where a vote passes the ensemble, and where in each resample; NaN where it does not."""
    counts = list(by_count)
    vote, ensemble = (right_by_count(by_count, measure) for measure in (name, "ensemble"))
    lead = [float(a.mean() - b.mean()) for a, b in zip(vote, ensemble, strict=True)]
    resampled = resampled_shares(vote, REPEATS, seed) - resampled_shares(ensemble, REPEATS, seed)
    places = [passes_at(counts, row.tolist()) for row in resampled]
    return passes_at(counts, lead), np.array([np.nan if place is None else place for place in places])


def _passing_said(title: str, found: tuple[float | None, Values], counts: Sequence[int]) -> str:
    place, resampled = found
    never = float(np.isnan(resampled).mean())
    if place is None:
        return (
            f"The vote of {title} does not pass the ensemble with up to {counts[-1]:,} runs (nor does it in "
            f"{never:.0%} of the resamples of examples and runs)."
        )
    low, high = (np.quantile(np.where(np.isnan(resampled), np.inf, resampled), q) for q in (0.025, 0.975))
    end = f"{high:,.0f}" if np.isfinite(high) else f"beyond {counts[-1]:,}"
    return (
        f"The vote of {title} passes the ensemble at about {place:,.0f} runs (95% interval {low:,.0f} to "
        f"{end}, by a bootstrap over the examples and, where there are several sets, over the runs; fewer "
        f"than {counts[0]:,} runs are not tried)."
    )
