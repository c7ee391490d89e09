"""Curves by number of runs, with bands over disjoint sets of runs, and differences with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from kernel_core.findings.votes import wilson_interval
from kernel_core.lab.run_sets import disjoint_sets
from kernel_core.lab.setting import Point, Setting
from kernel_core.results.answers import Curve, Panel, Table

BANDS = (
    "Bands: the lowest and the highest of up to {sets} sets of runs that have no run in common; where there "
    "is only one set, Wilson's 95% interval over the choice of examples. Lines: the mean of the sets."
)
MEASURES = {
    "knn3": "The 3 nearest vote",
    "weighted20": "The 20 nearest vote, weighted by value⁴",
    "twin_first": "A twin is the nearest",
}
"""Measure of a `Point` → title of its panel."""
SAME_NEAREST = "Two disjoint sets of runs have the same nearest"

Points = Mapping[int, Sequence[Point]]  # number of runs → one point per set


@dataclass(frozen=True)
class Answered:
    """What was seen: sentences, panels and tables.

    bands: what the bands are, where they are not those of `BANDS`. queries: how many examples were asked
    about, where it is not those of the setting.
    """

    seen: tuple[str, ...]
    panels: tuple[Panel, ...]
    tables: tuple[Table, ...]
    bands: str = ""
    queries: int | None = None


def counts_for(run_count: int, requested: Sequence[int] | None) -> list[int]:
    """Return the numbers of runs to compare: 5, 10, 20, 50, … and all, or those that were asked for.

    >>> counts_for(59, None), counts_for(59, [4, 100])
    ([5, 10, 20, 59], [4, 59])
    """
    steps = [digit * 10**power for power in range(6) for digit in (1, 2, 5)]
    wanted = requested or [count for count in steps if 5 <= count <= run_count / 2]
    return sorted({*(count for count in wanted if 2 <= count < run_count), run_count})


def points_by_count(
    setting: Setting, functions: Sequence[str], counts: Sequence[int]
) -> dict[str, dict[int, list[Point]]]:
    """Return function → number of runs → what each disjoint set of so many runs finds by it."""
    sets = {n: disjoint_sets(setting.ensemble.run_count, n, setting.sets, setting.seed) for n in counts}
    step = setting.counter("kernels of sets of runs", len(functions) * sum(map(len, sets.values())))
    found: dict[str, dict[int, list[Point]]] = {}
    for function in functions:
        found[function] = {count: [] for count in counts}
        for count, of_count in sets.items():
            for runs in of_count:
                found[function][count].append(setting.point(function, runs))
                step()
    return found


def curve(name: str, by_count: Points, measure: str, trials: int) -> Curve:
    """Return a measure by number of runs. trials: number of examples that a share is of."""
    values = {count: [point.share(measure) for point in points] for count, points in by_count.items()}
    return Curve.through(name, [(x, float(np.mean(of)), *band(of, trials)) for x, of in values.items()])


def curve_of_sets(name: str, by_x: Mapping[int, Sequence[float]]) -> Curve:
    """Return a curve of means, whose band is the lowest and the highest. by_x: x → a number per set."""
    return Curve.through(name, [(x, float(np.mean(of)), min(of), max(of)) for x, of in by_x.items()])


def band(values: Sequence[float], trials: int) -> tuple[float, float]:
    """Return the ends of the band of a share: of several sets, or of one. trials: examples it is of."""
    if len(values) > 1:
        return min(values), max(values)
    return wilson_interval(round(values[0] * trials), trials)


def same_nearest(name: str, by_count: Points) -> Curve | None:
    """Return how often two disjoint sets of runs have the same nearest; None if there are no two sets."""
    shares = {
        count: [float((a.nearest == b.nearest).mean()) for a, b in combinations(points, 2)]
        for count, points in by_count.items()
        if len(points) > 1
    }
    return curve_of_sets(name, shares) if shares else None


def panels(setting: Setting, by_name: Mapping[str, Points]) -> tuple[Panel, ...]:
    """Return a panel per measure, of curves by name."""
    trials = {"twin_first": twin_count(setting)}
    found = [
        Panel(
            title,
            "runs",
            tuple(
                curve(name, by_count, measure, trials.get(measure, len(setting.queries)))
                for name, by_count in by_name.items()
            ),
        )
        for measure, title in MEASURES.items()
        if trials.get(measure, 1)
    ]
    pairs = [same_nearest(name, by_count) for name, by_count in by_name.items()]
    curves = tuple(curve for curve in pairs if curve is not None)
    return (*found, Panel(SAME_NEAREST, "runs", curves)) if curves else tuple(found)


def twin_count(setting: Setting) -> int:
    """Return how many of the drawn query examples have a known twin."""
    return int(np.isin(setting.queries, setting.twins // len(setting.results.labels[1])).sum())


def passes_at(x: Sequence[float], lead: Sequence[float]) -> float | None:
    """Return where a lead rises above 0 for good, between two x by the logarithm of x; None if it does not.

    x: rising. lead: as long.

    >>> round(passes_at([10, 100, 1000], [-1, 1, 2]), 1), passes_at([10, 100], [1, -1])
    (31.6, None)
    """
    if lead[-1] <= 0:
        return None
    last = max((n for n, value in enumerate(lead) if value <= 0), default=None)
    if last is None:
        return float(x[0])
    share = lead[last] / (lead[last] - lead[last + 1])
    return float(np.exp(np.log(x[last]) + share * (np.log(x[last + 1]) - np.log(x[last]))))


@dataclass(frozen=True)
class Difference:
    """A difference of two shares of the same examples, -1 … 1, and the ends of its 95% interval."""

    value: float
    low: float
    high: float

    @property
    def words(self) -> str:
        """The difference in points of a hundred, with its interval."""
        low, high = 100 * self.low, 100 * self.high
        return f"{100 * self.value:+.1f} points, 95% interval {low:+.1f} to {high:+.1f}"


def difference(first: Sequence[Point], second: Sequence[Point], vote: str) -> Difference:
    """Return how much oftener the second points' vote is right than the first's, over the same examples.

    Of several points, an example counts as right as often as it is.
    """
    of_first, of_second = (np.mean([point.right[vote] for point in of], 0) for of in (first, second))
    return paired_difference(of_first, of_second)


def paired_difference(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> Difference:
    """Return the mean of second - first over the same examples, (n,) each.

    The interval is that of a mean of paired differences, over the choice of the examples.
    """
    paired = second - first
    value, error = float(paired.mean()), float(paired.std(ddof=1) / len(paired) ** 0.5)
    return Difference(value, value - 1.96 * error, value + 1.96 * error)


def share(points: Sequence[Point], measure: str) -> float:
    """Return the mean of a measure over points."""
    return float(np.mean([point.share(measure) for point in points]))
