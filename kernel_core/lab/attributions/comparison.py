"""Methods beside each other: how well each predicts held-out sets, and what it names first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kernel_core.findings.votes import knn_vote
from kernel_core.lab.all_pairs import shared
from kernel_core.lab.attributions.asked import Asked, Rows, Values
from kernel_core.lab.attributions.blocks_of_train import kernel_of
from kernel_core.lab.attributions.ceiling import share_explained
from kernel_core.lab.attributions.datamodels import VALIDATION, datamodels, effects, ranks
from kernel_core.lab.attributions.intervals import Drawn, Estimate, Resampled
from kernel_core.lab.attributions.judged import FIRST, Judged, predictions
from kernel_core.lab.attributions.methods import KERNEL, SIGNED, kernel_runs, signed
from kernel_core.results.answers import Curve, Panel, Table
from kernel_core.training_masks import TrainingMasks

OVERLAP = 10
Column = Mapping[str, Estimate]  # by name of a method


class Comparison:
    """What was found of each method, the kernel first, and what held-out runs say of it."""

    def __init__(self, asked: Asked, judged: Sequence[Judged]) -> None:
        self.asked, self.judged = asked, judged
        runs = asked.runs
        sets, queries = runs.held.shape
        self.resampled = Resampled(sets, queries, asked.setting.seed)
        self.held_ranks = ranks(runs.held)

    @cached_property
    def scores(self) -> dict[str, Drawn]:
        """The linear datamodeling score of each method."""
        return {of.method.name: self.score_of(of.predicted) for of in self.judged}

    def score_of(self, predicted: npt.NDArray[np.floating]) -> Drawn:
        """Return the score of what is predicted for each held-out set and query example, (m, n)."""
        return self.resampled.correlation(ranks(predicted), self.held_ranks)

    @cached_property
    def lost_in_held(self) -> dict[str, Estimate]:
        """By method, how much the margin loses with all examples that it names first, by the held-out sets.

        It is the slope of the margin on how many of them a set has, times their number.
        """
        masks, held = self.asked.runs.held_masks, self.asked.runs.held
        by_set = masks.of_runs(slice(None))
        lost = {}
        for of in self.judged:
            had = np.stack([by_set[:, first].sum(1) for first in of.first], axis=1).astype(np.float64)
            slope = self.resampled.slope(had, held)
            count = of.first.shape[1]
            lost[of.method.name] = Drawn(count * slope.value, count * slope.again).estimate()
        return lost

    @cached_property
    def explained(self) -> Estimate:
        """The share of the variance of held-out margins that sums of weights could explain."""
        return share_explained(self.asked.runs)

    @property
    def most_there_could_be(self) -> Estimate:
        """The score that no method can exceed on average, but for chance."""
        ends = (self.explained.value, self.explained.low, self.explained.high)
        return Estimate(*(max(0.0, min(1.0, share)) ** 0.5 for share in ends))

    def vote(self, judged: Judged) -> float | None:
        """Return the share of query examples whose label is the majority vote of the first 3."""
        if judged.method.knows_label:
            return None
        of_query, of_train = self.asked.labels
        votes = knn_vote(of_train[judged.first[:, :3]], int(max(of_query.max(), of_train.max())) + 1)
        return float((votes == of_query).mean())

    def twin_first(self, judged: Judged) -> float:
        """Return the share of query examples with a known twin whose first is one; NaN where none has."""
        query, train = (self.asked.places[split] for split in ("test", "train"))
        twins, N = self.asked.setting.twins, len(self.asked.setting.results.labels[1])
        known = twins[np.isin(twins % N, train)]
        has_twin = np.isin(query, known // N)
        is_twin = np.isin(query * N + train[judged.first[:, 0]], known)
        return float(is_twin[has_twin].mean()) if has_twin.any() else math.nan

    def table(self, lost: Column) -> Table:
        """Return a row per method. lost: how much the margin loses without what it names first."""
        kernel = next(of.first for of in self.judged if of.method.name == KERNEL)[:, :OVERLAP]
        twins = [self.twin_first(of) for of in self.judged]
        has_twins = not math.isnan(twins[0])
        rows: list[tuple[str | float | None, ...]] = []
        for of, twin in zip(self.judged, twins, strict=True):
            memory = None if math.isnan(of.memory) else f"{of.memory / 1e6:,.0f}"
            rows.append((
                of.method.title, self.scores[of.method.name].estimate().words(3),
                lost[of.method.name].words(2), self.vote(of), *([twin] if has_twins else []),
                shared(of.first[:, :OVERLAP], kernel), f"{of.seconds:.1f}", memory,
            ))  # fmt: skip
        columns = ("method", "LDS", f"margin lost without its top {FIRST}", "3 nearest vote",
                   *(["twin first"] if has_twins else []), f"shared {OVERLAP} with the kernel",
                   "processor seconds", "memory, MB")  # fmt: skip
        return Table("Each method", columns, tuple(rows))

    def panel(self, requested: Sequence[int] | None) -> Panel:
        """Return the LDS by number of runs that weights are found from, or by the numbers asked for.

        Beside it, the most that there could be.
        """
        runs, setting = self.asked.runs, self.asked.setting
        kernel, N = kernel_runs(self.asked), runs.fitted_masks.example_count

        def first(count: int) -> tuple[TrainingMasks, Values]:
            return TrainingMasks(runs.fitted_masks.packed[:count], N), runs.fitted[:count]

        ways: dict[str, tuple[int, Callable[[int], Rows]]] = {
            SIGNED: (
                len(kernel), lambda count: signed(self.asked, kernel_of(self.asked, kernel[:count]), 2)
            ),
            "datamodels": (len(runs.fitted), lambda count: datamodels(*first(count))),
            "effects": (len(runs.fitted), lambda count: effects(*first(count))),
        }  # fmt: skip
        curves = []
        for name, (most, rows_of) in ways.items():
            points = []
            for count in _counts(requested, most):
                setting.progress(f"{name} by number of runs", count, most)
                found = self.score_of(predictions(name, count, rows_of, self.asked)).estimate()
                points.append((count, found.value, found.low, found.high))
            curves.append(Curve.through(name, points))
        most_of_all = self.most_there_could_be
        ends = (most_of_all.value, most_of_all.low, most_of_all.high)
        every = sorted({x for curve in curves for x in curve.x})
        curves.append(Curve.through("the most there could be", [(x, *ends) for x in every]))
        return Panel("Linear datamodeling score by number of networks", "networks", tuple(curves), "number")


def _counts(requested: Sequence[int] | None, most: int) -> list[int]:
    wanted = requested or [*(count for count in (64, 128, 256, 512, 1024) if count < most), most]
    return [count for count in wanted if 2 * VALIDATION <= count <= most] or [most]
