"""What training examples change on others: the probability of a label with them in training, and without.

    influence(j, i) = mean probability of i's label over the runs that trained on j
                    - the same over the runs that did not

Source: Feldman and Zhang, "What neural networks memorize and why: discovering the long tail via influence
estimation" (NeurIPS 2020, arXiv 2008.03703), equation 2, with probabilities in place of right and wrong. If i
is a training example itself, only runs that did not train on i count: to them, it is a new example.

Where each run's subset is drawn at random, the difference is caused by j: it is what leaving j out of a
random subset would change on average, not of the whole training set. The 95% interval is a bootstrap over the
runs (Efron and Tibshirani 1993, chapter 13: percentiles), which draws those with j and those without j
separately. It is for one pair: the largest of many influences are large by chance, too.

The table has one row per query example and candidate, its nearest training examples. In order of rank:

    rank                 1 for the largest influence, or for the smallest; equal ones by query, then position
    query_split          train or test
    query_index          index of the example whose label it is
    database_split       train
    database_index       index of the training example
    similarity           of the two examples; larger is nearer
    query_label          class number of the query example
    database_label       class number of the training example
    position             place of the training example among the query's nearest, from 1
    influence            -1 … 1
    low, high            ends of its 95% interval, if `with_intervals` added them
    probability_with     mean probability of the query's label over the runs with the training example, 0 … 1
    probability_without  the same over the runs without it
    runs_with            number of runs with it
    runs_without         number of runs without it
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.findings.memorization import LEAST_RUNS
from kernel_core.findings.votes import Labels
from kernel_core.records import Neighbors
from kernel_core.spec import Split
from kernel_core.training_masks import Unseen

CANDIDATES = 10  # nearest training examples of each example; those further away hardly ever matter
RESAMPLES = 1000
PERCENTILES = (2.5, 97.5)
BLOCK_BYTES = 64_000_000  # of float64 held at a time
ORDERS = ("helps", "hurts")
"""Which pairs come first: those whose training example raises the label's probability most, or lowers it."""

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Influence:
    """With and without training examples: mean probabilities float64, and numbers of runs int64, one shape.

    NaN where there is no such run.
    """

    probability_with: Floats
    probability_without: Floats
    runs_with: npt.NDArray[np.int64]
    runs_without: npt.NDArray[np.int64]

    @property
    def difference(self) -> Floats:
        """How much higher the probability is with the example."""
        return self.probability_with - self.probability_without


def counted_runs(unseen: Unseen, split: Split, index: Indices) -> npt.NDArray[np.bool_]:
    """Return which runs count for each example: all; for a training example, those not trained on it."""
    if split == "train":
        return ~unseen.seen_by(index)
    return np.ones((len(index), unseen.run_count), bool)


def influence_of(
    unseen: Unseen, probabilities: npt.NDArray[np.floating], counted: npt.NDArray[np.bool_], database: Indices
) -> Influence:
    """Return the influence of k training examples on each of n examples, (n, k).

    probabilities: (n, M), each run's probability of the label. counted: (n, M), the runs that count.
    database: (n, k), indices of training examples.
    """
    with_ = (unseen.seen_by(database) & counted[:, None]).astype(np.float64)  # (n, k, M)
    p = np.where(counted, probabilities, 0).astype(np.float64)
    runs_with, runs = with_.sum(2), counted.sum(1, dtype=np.float64)[:, None]
    sum_with = (with_ @ p[:, :, None])[:, :, 0]
    sum_without, runs_without = p.sum(1)[:, None] - sum_with, runs - runs_with
    with np.errstate(invalid="ignore", divide="ignore"):
        return Influence(
            sum_with / runs_with,
            np.where(runs_without > 0, np.clip(sum_without / runs_without, 0, 1), np.nan),
            runs_with.astype(np.int64),
            runs_without.astype(np.int64),
        )


def intervals(
    unseen: Unseen, probabilities: npt.NDArray[np.floating], counted: npt.NDArray[np.bool_], database: Indices
) -> tuple[Floats, Floats]:
    """Return the 95% interval of the influence of one training example on each of n: low and high, (n,).

    The parameters are those of `influence_of`, database (n,). NaN where there are no runs on one side.
    """
    low, high = np.empty((2, len(database)))
    for block in _blocks(len(database), RESAMPLES + 2 * unseen.run_count):
        p, counts = np.asarray(probabilities[block], np.float64), counted[block]
        seen = unseen.seen_by(database[block])
        drawn = _resampled_means(p, seen & counts, 0) - _resampled_means(p, ~seen & counts, 1)
        low[block], high[block] = np.percentile(drawn, PERCENTILES, axis=1)
    return low, high


def _resampled_means(p: Floats, chosen: npt.NDArray[np.bool_], side: int) -> Floats:
    """Return the means of resamples of the chosen numbers of each row, (n, `RESAMPLES`). p, chosen: (n, M).

    Rows with equally many chosen numbers share their resamples, which these counts and the side alone decide.
    """
    counts = chosen.sum(1)
    means = np.full((len(p), RESAMPLES), np.nan)
    for count in np.unique(counts[counts > 0]).tolist():
        rows = np.flatnonzero(counts == count)
        drawn = np.random.default_rng([side, count]).integers(count, size=(RESAMPLES, count))
        drawn += np.arange(RESAMPLES)[:, None] * count  # ten times as fast as drawing how often each comes
        weights = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape) / count
        means[rows] = p[rows][chosen[rows]].reshape(len(rows), count) @ weights.T
    return means


def most_influential(
    neighbors: Neighbors,
    labels: tuple[Labels, Labels],
    unseen: Unseen,
    *,
    k: int = CANDIDATES,
    order: str = ORDERS[0],
) -> pd.DataFrame:
    """Return the table of pairs by influence, with the columns above but for the intervals.

    neighbors: whose database is the training set. labels: of the query split and the training set. k: number
    of candidates per query example. Pairs with fewer than `LEAST_RUNS` runs on either side are left out.
    Raises `RequestError` for an unknown order.
    """
    if order not in ORDERS:
        raise RequestError(f"Found order {order!r}; expected {' or '.join(ORDERS)}.")
    spec, k = neighbors.spec, min(k, neighbors.k)
    nearest = neighbors.indices[:, :k]
    columns = _of_candidates(unseen, spec.query, nearest)
    query, database = np.repeat(np.arange(len(nearest)), k), nearest.ravel().astype(np.int64)
    table = pd.DataFrame(
        {
            "query_split": spec.query,
            "query_index": query,
            "database_split": spec.database,
            "database_index": database,
            "similarity": neighbors.values[:, :k].ravel(),
            "query_label": labels[0][query],
            "database_label": labels[1][database],
            "position": np.tile(np.arange(1, k + 1), len(nearest)),
            "influence": columns.pop("difference"),
            **columns,
        }
    )
    table = table[(table[["runs_with", "runs_without"]] >= LEAST_RUNS).all(axis=1)]
    ascending = order == "hurts"
    table = table.sort_values("influence", ascending=ascending, kind="stable", ignore_index=True)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table


def _of_candidates(unseen: Unseen, split: Split, nearest: Indices) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of the influence of each example's nearest, (n · k,) each. nearest: (n, k)."""
    parts = []
    for block in _blocks(len(nearest), nearest.shape[1] * unseen.run_count):
        counted = counted_runs(unseen, split, np.arange(block.start, block.stop))
        parts.append(influence_of(unseen, unseen.of_label[split][block], counted, nearest[block]))
    names = ("difference", "probability_with", "probability_without", "runs_with", "runs_without")
    return {name: np.concatenate([getattr(part, name) for part in parts]).ravel() for name in names}


def with_intervals(table: pd.DataFrame, unseen: Unseen) -> pd.DataFrame:
    """Return rows of the table with the ends of their intervals, low and high, after the influence."""
    table = table.copy()
    low = high = np.empty(0)
    if len(table):
        split, index = table["query_split"].iloc[0], table["query_index"].to_numpy()
        probabilities, counted = unseen.of_label[split][index], counted_runs(unseen, split, index)
        low, high = intervals(unseen, probabilities, counted, table["database_index"].to_numpy())
    place = table.columns.get_loc("influence")
    table.insert(place + 1, "low", low)
    table.insert(place + 2, "high", high)
    return table


def _blocks(count: int, width: int) -> Iterator[slice]:
    """Yield slices of `count` rows of `width` float64 numbers each, of which `BLOCK_BYTES` are held."""
    size = max(1, BLOCK_BYTES // (8 * width))
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
