"""Methods judged: what held-out runs do, what they name first, votes; as a table, a panel and sentences."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kernel_core.findings.votes import knn_vote
from kernel_core.lab.all_pairs import nearest_of, shared
from kernel_core.lab.asked import Asked, Rows, SubsetRuns, Values
from kernel_core.lab.datamodels import VALIDATION, datamodels, effects, linear_datamodeling_scores
from kernel_core.lab.methods import KERNEL, Method
from kernel_core.results.answers import Curve, Panel, Table

REMOVED = 20  # training examples that are taken away, those of the largest weights
OVERLAP = 10
AT_A_TIME = 64_000_000  # bytes of weights held at a time


@dataclass(frozen=True, eq=False)
class Judged:
    """What is known of a method.

    scores: LDS of each query example, (n,). first: the training examples of its largest weights, (n, k), the
    largest first. vote: share of the query examples whose label is the majority vote of the first three.
    seconds: of the processor, all cores together.
    """

    method: Method
    scores: Values
    first: npt.NDArray[np.int64]
    vote: float
    seconds: float


def judge(method: Method, asked: Asked) -> Judged:
    """Find a method's weights, range by range of the query examples, and judge them."""
    start = time.process_time()
    rows = method.prepare(asked)
    seconds = time.process_time() - start
    scores, first = [], []
    for queries in ranges(asked.runs):
        start = time.process_time()
        weights = rows(queries)
        seconds += time.process_time() - start
        scores.append(_scores(weights, asked.runs, queries))
        first.append(nearest_of(weights, max(OVERLAP, REMOVED)))
    found = np.concatenate(first)
    of_query, of_train = asked.labels
    votes = knn_vote(of_train[found[:, :3]], int(max(of_query.max(), of_train.max())) + 1)
    return Judged(method, np.concatenate(scores), found, float((votes == of_query).mean()), seconds)


def ranges(runs: SubsetRuns) -> Iterator[slice]:
    """Yield ranges of the query examples whose weights take `AT_A_TIME` bytes."""
    n, size = runs.held.shape[1], max(1, AT_A_TIME // (8 * runs.held_masks.example_count))
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def _scores(weights: Values, runs: SubsetRuns, queries: slice) -> Values:
    masks = runs.held_masks.of_runs(slice(None))
    return linear_datamodeling_scores(weights, masks, runs.held[:, queries])


def panel_by_runs(runs: SubsetRuns, requested: Sequence[int] | None, seed: int) -> Panel:
    """Return the LDS of what is found from runs, by their number; the band is over the query examples."""
    most = len(runs.fitted)
    counts = [c for c in requested or (64, 128, 256, most) if 2 * VALIDATION <= c <= most]
    masks = runs.fitted_masks.of_runs(slice(None))
    methods: dict[str, Callable[..., Values]] = {"datamodels": datamodels, "effects": effects}
    curves = []
    for name, method in methods.items():
        points = []
        for count in counts:
            rows: Rows = method(masks[:count], runs.fitted[:count]).__getitem__
            scores = np.concatenate([_scores(rows(queries), runs, queries) for queries in ranges(runs)])
            points.append((count, *interval(scores, seed)))
        curves.append(Curve.through(name, points))
    return Panel("Linear datamodeling score by number of networks", "networks", tuple(curves), "number")


def interval(scores: Values, seed: int) -> tuple[float, float, float]:
    """Return the mean of scores, and its 95% interval by a bootstrap over the query examples."""
    drawn = np.random.default_rng(seed).integers(0, len(scores), (1_000, len(scores)))
    low, high = np.quantile(scores[drawn].mean(1), (0.025, 0.975))
    return float(scores.mean()), float(low), float(high)


def table_of(judged: Sequence[Judged], lost: Mapping[str, list[float]]) -> Table:
    """Return a row per method. lost: by name of a method, what the margin loses, per query example."""
    kernel = next(of.first for of in judged if of.method.name == KERNEL)[:, :OVERLAP]
    rows: list[tuple[str | float | None, ...]] = []
    for of in judged:
        value, low, high = interval(of.scores, 0)
        drops = lost[of.method.name]
        drop, error = np.mean(drops), np.std(drops, ddof=1) / len(drops) ** 0.5
        rows.append((of.method.title, f"{value:.3f} ({low:.3f}–{high:.3f})", f"{drop:.2f} ± {error:.2f}",
                     of.vote, shared(of.first[:, :OVERLAP], kernel), f"{of.seconds:.1f}"))  # fmt: skip
    columns = ("method", "LDS", f"margin lost without its top {REMOVED}", "3 nearest vote",
               f"shared {OVERLAP} with the kernel", "processor seconds")  # fmt: skip
    return Table("Each method", columns, tuple(rows))


def sentences(judged: Sequence[Judged], lost: Mapping[str, list[float]]) -> tuple[str, ...]:
    """Return what was seen."""
    titles = {of.method.name: of.method.title for of in judged}
    means = {of.method.name: float(of.scores.mean()) for of in judged}
    best, *_ = sorted(means, key=means.__getitem__, reverse=True)
    falls = {name: float(np.mean(values)) for name, values in lost.items()}
    hardest = max(falls, key=falls.__getitem__)
    predicting = (
        f"{titles[best]} predicts best what networks trained on held-out halves do (linear datamodeling "
        f"score {means[best]:.2f}); the kernel reaches {means[KERNEL]:.2f}, squared and "
        f"signed {means['kernel-signed']:.2f}, the cosine of the pixels in the same way "
        f"{means['pixels-signed']:.2f}, datamodels {means['datamodels']:.2f} and TRAK "
        f"{means['trak']:.2f}."
    )
    losing = (
        f"Without its top {REMOVED} training examples, the margin falls most for {titles[hardest]} "
        f"({falls[hardest]:.2f} more than without random ones; for the kernel {falls[KERNEL]:.2f}), on "
        f"average over {len(lost[hardest])} test examples."
    )
    return predicting, losing
