"""What fitted curves promise of more runs than there are, and how well they do where the answer is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kernel_core.lab.curves import Points
from kernel_core.lab.fit import LEAST, Curves, Spread, draw_curves, spread_of
from kernel_core.lab.resampled import resampled_shares, right_by_count
from kernel_core.results.answers import Curve, Panel, Table

TIMES = (2, 4, 10)  # the runs there are, to which curves are drawn on
RESAMPLES, EACH = 200, 20  # of the examples, and curves for each
SHOWN = 4  # a fitted curve is shown from this part of all runs on
NORMAL = ("twin_first",)  # measures that go from near 0 to near 1
Values = npt.NDArray[np.float64]
Further = tuple[tuple[Panel, ...], tuple[Table, ...], tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class Promise:
    """Curves through a measure with a title, and how much the share of a single set varies about them."""

    title: str
    curves: Curves
    spread: Spread

    def ends(self, n: float) -> tuple[float, float, float]:
        """Return low end, middle and high end of the 95% interval of the share of a set of n runs."""
        noise = np.random.default_rng(0).normal(size=len(self.curves.level))
        shares = self.curves.at(n) + self.spread.of_one(np.array(float(n))) * noise
        low, middle, high = np.quantile(shares.clip(0, 1), (0.025, 0.5, 0.975)).tolist()
        return low, middle, high

    def point(self, n: float) -> tuple[float, float, float, float]:
        """Return a point of a curve with its band: n, middle, low end and high end."""
        low, middle, high = self.ends(n)
        return n, middle, low, high

    def words(self, n: float) -> str:
        """Return the share of a set of n runs, with its interval."""
        low, middle, high = self.ends(n)
        return f"{middle:.1%} ({low:.1%} to {high:.1%})"

    @property
    def level(self) -> str:
        """What the curve approaches, with its interval."""
        low, middle, high = np.quantile(self.curves.at(np.inf), (0.025, 0.5, 0.975))
        return f"{middle:.1%} ({low:.1%} to {high:.1%})" if self.curves.known else "not known"


def promises(
    by_count: Points, measures: Mapping[str, str], seed: int, *, same_examples: bool = False
) -> list[Promise]:
    """Return the curves through each measure. measures: keys of `Point.right`, with titles.

    same_examples: promise for these examples; otherwise for others like them, by a bootstrap.
    """
    counts, found = list(by_count), []
    for measure, title in measures.items():
        right, normal = right_by_count(by_count, measure), measure in NORMAL
        curves = _through(counts, right, seed, same_examples=same_examples, normal=normal)
        found.append(Promise(title, *curves))
    return found


def _through(
    counts: Sequence[int],
    right: Sequence[Values],
    seed: int,
    *,
    same_examples: bool = False,
    normal: bool = False,
    bounds: tuple[float, float] = (0, 1),
) -> tuple[Curves, Spread]:
    """Return curves through means, and the spread of single sets. right: by number of runs, (sets, n).

    The others are those of `promises` and `draw_curves`.
    """
    n = np.array(counts, np.float64)
    values = [of.mean(1).tolist() for of in right]
    spread = spread_of(values, n, right[0].shape[1])
    shares = np.array([[np.mean(of) for of in values]])
    if not same_examples:
        shares = resampled_shares(right, RESAMPLES, seed, with_sets=False)
    if normal:  # half an example away from none and all, whose quantiles are not finite
        nearest = 0.5 / right[0].shape[1]
        shares = shares.clip(nearest, 1 - nearest)
    curves = draw_curves(
        n,
        shares,
        np.array([len(of) for of in values], np.float64),
        spread,
        np.random.default_rng(seed),
        each=EACH * RESAMPLES // len(shares),
        bounds=bounds,
        normal=normal,
    )
    return curves, spread


def further(by_count: Points, measures: Mapping[str, str], seed: int) -> Further:
    """Return what fitted curves promise of more runs, as panels, tables and sentences.

    measures: keys of `Point.right`, with titles; "ensemble" among them.
    """
    counts = list(by_count)
    if len(counts) < LEAST:
        return (), (), ("There are too few numbers of runs to fit a curve.",)
    found = promises(by_count, measures, seed)
    ahead = [counts[-1] * times for times in TIMES]
    shown = [count for count in counts if count >= counts[-1] / SHOWN]
    curves = [Curve.through(of.title, [of.point(n) for n in (*shown, *ahead)]) for of in found]
    votes = tuple(of for of, measure in zip(curves, measures, strict=True) if measure not in NORMAL)
    twins = tuple(of for of in curves if of not in votes)
    rows = tuple((of.title, *(of.words(n) for n in ahead), of.level) for of in found)
    columns = ("share", *(f"{n:,} runs" for n in ahead), "level that it approaches")
    table = Table("What fitted curves, level − drop·n^(−rate), promise for more runs", columns, rows)
    panels = [Panel("Fitted curves, drawn on to ten times the runs", "runs", votes)]
    panels += [Panel("A twin is the nearest: a fitted curve", "runs", twins)] if twins else []
    return (
        tuple(panels),
        (table,),
        (
            _checked(by_count, measures, seed),
            _ahead(by_count, dict(zip(measures, found, strict=True)), ahead[-1], seed),
        ),
    )


def _checked(by_count: Points, measures: Mapping[str, str], seed: int) -> str:
    """Return what curves through the sets of up to half of the runs promise for all, and what was seen."""
    last = max(by_count)
    few = {count: points for count, points in by_count.items() if count <= last / 2}
    if len(few) < LEAST:
        return "There are too few numbers of runs to check a fitted curve."
    (every,) = by_count[last]
    said, kept = [], 0
    for of, measure in zip(promises(few, measures, seed, same_examples=True), measures, strict=True):
        seen = every.share(measure)
        low, middle, high = of.ends(last)
        kept += low <= seen <= high
        said.append(f"{of.title} {middle:.1%} ({low:.1%} to {high:.1%}; measured {seen:.1%})")
    return (
        f"To check fitted curves, they are drawn through sets of up to {max(few):,} runs: for all {last:,}, "
        f"on the same examples, they promise {'; '.join(said)}. {kept} of these {len(said)} 95% intervals "
        f"hold what was measured."
    )


def _ahead(by_count: Points, found: Mapping[str, Promise], n: int, seed: int) -> str:
    """Return how far each vote leads the ensemble at n runs, and which curves do not tell where they end."""
    ensemble, said = right_by_count(by_count, "ensemble"), []
    for measure, of in found.items():
        if measure not in ("ensemble", *NORMAL):
            vote = right_by_count(by_count, measure)
            lead = [a - b for a, b in zip(vote, ensemble, strict=True)]
            curves, _ = _through(list(by_count), lead, seed, bounds=(-1, 1 - float(ensemble[-1].mean())))
            low, middle, high = 100 * np.quantile(curves.at(n), (0.025, 0.5, 0.975))
            said.append(f"that of {of.title} {middle:+.1f} points ({low:+.1f} to {high:+.1f})")
    unknown = [of.title for of in found.values() if not of.curves.known]
    return (
        f"With {n:,} runs, ten times as many, votes would lead the ensemble, by a curve through their leads: "
        f"{', '.join(said)}."
        + (f" The runs do not tell where these curves end: {', '.join(unknown)}." if unknown else "")
    )
