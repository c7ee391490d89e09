"""How sure a value and a rank are, given the runs at hand: a bootstrap over the runs, and lists of fewer runs.

A resample draws as many runs as there are, with replacement (Efron, "Bootstrap methods: another look at the
jackknife", 1979), and computes the kernel from them as if they were all: each class is standardized anew. Drawn so
often, a run has a weight, and what is computed is a weighted correlation

    sum of w x y - (sum of w x)(sum of w y),   divided by both weighted deviations,

for many weights at once two matrix products. The first n runs are such weights, too: 1/n, then 0.

Ranks in a resample are among the examples of the pool: the whole database where `WORK` allows it, as with 60 runs of
CIFAR-10, else those nearest by all runs. Values and lists are of the whole database always.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from kernel_core.explain.traces import ROUNDING, Traces, to_float32
from kernel_core.spec import run_count_steps

RESAMPLES = 200  # the ends of an interval differ from those of 2,000 by a twentieth of its width
LEVEL = 95  # percent
# Multiplications of one answer's resamples, at 45 a nanosecond and core. With 500 runs and 10 classes the pool is the
# 6,666 nearest; there, ranks among the 1,000 nearest were already those among all 12,000 (synthetic logits).
WORK = 20_000_000_000
BLOCK = 192  # examples at a time, whose numbers of one class fit a core's cache; a byte counts them
SPARE = 16  # examples beyond a list's end that are computed again in float64, which decides the order
SAME = 1e-6  # values nearer than this are equal, and ordered by index: float32's rounding
OPERANDS = 200_000_000  # bytes of weights at most; more are worked on in groups

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
T = TypeVar("T")
_one_at_a_time = threading.Lock()  # an answer uses every core; and the limit on BLAS is the process's


@dataclass(frozen=True, eq=False)
class Weights:
    """Ways to count the runs. values: float32 (B, M), each row of sum 1. draws: (B,), how many runs a row counts."""

    values: Singles
    draws: Floats

    def __getitem__(self, some: slice) -> Weights:
        """Some of the ways."""
        return Weights(self.values[some], self.draws[some])


def resamples(runs: int, count: int = RESAMPLES, seed: int = 0) -> Weights:
    """`count` draws of as many runs as there are, with replacement, by the seed alone."""
    drawn = np.random.default_rng(seed).multinomial(runs, np.full(runs, 1 / runs), size=count)
    return Weights((drawn / runs).astype(np.float32), np.full(count, float(runs)))


def first_runs(runs: int, steps: list[int]) -> Weights:
    """The first n runs alike, for every n of `steps`."""
    ns = np.array(steps, dtype=np.float64)
    return Weights(((np.arange(runs) < ns[:, None]) / ns[:, None]).astype(np.float32), ns)


@dataclass(frozen=True, eq=False)
class NeighborList:
    """The k nearest by the first `run_count` runs: indices int64 (k,), values float64 (k,) never increasing."""

    run_count: int
    indices: Indices
    values: Floats

    def shared_count(self, other: NeighborList) -> int:
        """How many examples both name."""
        return len(np.intersect1d(self.indices, other.indices))


@dataclass(frozen=True, eq=False)
class NeighborStability:
    """How much the k nearest of one example depend on which runs there are.

    lists: from 10, 20, 50, … runs, and last from all, whose neighbors the other fields describe.
    low, high: float64 (k,), the interval of each neighbor's value.
    rank_low, rank_high: int64 (k,), the interval of its rank, from 1, among `pool_size` examples.
    stay_shares: float64 (k,), the share of resamples in which it is among the k nearest.
    """

    lists: tuple[NeighborList, ...]
    low: Floats
    high: Floats
    rank_low: Indices
    rank_high: Indices
    stay_shares: Floats
    pool_size: int
    resample_count: int

    @property
    def nearest(self) -> NeighborList:
        """By all runs."""
        return self.lists[-1]


def neighbor_stability(
    query: Floats, rows: Traces, k: int, *, exclude: int | None = None
) -> NeighborStability:
    """How sure the k nearest of an example among `rows` are.

    query: (C, M), its row as kept. exclude: its own index, where it is among them. k: no more than the others.
    """
    weights = resamples(rows.run_count)
    groups = -(-8 * query.size * RESAMPLES // OPERANDS)
    # Threads of our own: what lies between the products takes as long as they do, and those of OpenBLAS wait for
    # each other, which on a busy machine makes it 2 to 4 times slower.
    with _one_at_a_time, threadpool_limits(1, user_api="blas"):
        lists, full = _lists(query, rows, k, exclude)
        nearest = lists[-1].indices
        pool = _pool(full, nearest, WORK // (3 * query.size * RESAMPLES), exclude)
        parts = [weights[g::groups] for g in range(groups)]
        found = [_resampled(query, rows, nearest, pool, part) for part in parts]
    values, ranks = (np.concatenate(arrays, axis=1) for arrays in zip(*found, strict=True))  # (k, B)
    low, high = interval(values)
    rank_low, rank_high = np.percentile(ranks, _ENDS, axis=1, method="nearest")
    return NeighborStability(
        lists, low, high, rank_low, rank_high, (ranks <= k).mean(1), len(pool), len(weights.values)
    )


def pair_interval(a: Floats, b: Floats) -> tuple[float, float]:
    """The interval of a pair's value over resamples of the runs. a, b: (C, M), rows as kept."""
    low, high = interval(exact_kernel(a, b[None], resamples(a.shape[1])))
    return float(low[0]), float(high[0])


_ENDS = ((100 - LEVEL) / 2, (100 + LEVEL) / 2)


def interval(values: npt.NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Between which two of the resampled values (n, B) the middle `LEVEL` percent lie: low and high (n,)."""
    low, high = np.percentile(values.astype(np.float64), _ENDS, axis=1)
    return low, high


def exact_kernel(query: Floats, rows: Floats, weights: Weights) -> Floats:
    """The kernel of an example (C, M) with each of some (n, C, M) by each way to count the runs: (n, B), in float64.

    Equal rows give equal numbers. A class that does not vary contributes 0.
    """
    W = weights.values.astype(np.float64)
    W /= W.sum(1, keepdims=True)
    total = np.zeros((len(rows), len(W)))
    for c, (q, q_deviation) in enumerate(zip(*_centered(query, W), strict=True)):
        x = rows[:, c, None, :]  # (n, 1, M)
        x = x - (x * W).sum(-1, keepdims=True)  # (n, B, M)
        deviation = np.sqrt((W * x**2).sum(-1))
        size = np.sqrt((W * rows[:, c, None, :] ** 2).sum(-1))
        total += (W * q * x).sum(-1) / q_deviation / np.where(deviation > ROUNDING * size, deviation, np.inf)
    return total * ((weights.draws - 1) / weights.draws / len(query))


def _centered(query: Floats, W: Floats) -> tuple[Floats, Floats]:
    """An example (C, M) around its weighted mean (C, B, M), and its weighted deviation (C, B), infinite for none."""
    around = query[:, None, :] - (query @ W.T)[:, :, None]
    deviation = np.sqrt((W * around**2).sum(-1))
    varies = deviation > ROUNDING * np.sqrt(query**2 @ W.T)
    return around, np.where(varies, deviation, np.inf)


@dataclass(frozen=True, eq=False)
class _Operands:
    """What rows are multiplied with. products: float32 (C, M, 2B): the weights, then the weighted example, standardized
    in each resample, whose sum is 0. squares: float32 (M, B), the weights. factor: float32 (B,).
    """

    products: Singles
    squares: Singles
    factor: Singles

    @classmethod
    def of(cls, query: Floats, weights: Weights) -> _Operands:
        """query: (C, M)."""
        (C, M), B = query.shape, len(weights.draws)
        products = np.empty((C, M, 2 * B), np.float32)
        for c in range(C):
            around, deviation = _centered(query[c : c + 1], weights.values.astype(np.float64))
            products[c, :, :B] = weights.values.T
            products[c, :, B:] = (weights.values * around[0] / deviation[0][:, None]).T
        factor = (weights.draws - 1) / weights.draws / C
        return cls(products, np.ascontiguousarray(weights.values.T), factor.astype(np.float32))

    def kernel(self, rows: npt.NDArray[np.float16]) -> Singles:
        """The kernel of the example with each of some (n, C, M) by each way to count the runs: (n, B)."""
        n, C, M = rows.shape
        B = len(self.factor)
        total = np.zeros((n, B), np.float32)
        x, both, squares = (np.empty((n, width), np.float32) for width in (M, 2 * B, B))
        for c in range(C):
            to_float32(np.asarray(rows[:, c]), x)
            np.matmul(x, self.products[c], out=both)
            np.matmul(np.multiply(x, x, out=x), self.squares, out=squares)
            mean, product = both[:, :B], both[:, B:]
            variance = np.subtract(squares, np.multiply(mean, mean, out=mean), out=mean)
            squares *= np.float32(
                ROUNDING**2
            )  # a variance below is none: what rounding makes of it becomes small
            np.maximum(variance, squares, out=variance)
            variance += np.float32(1e-30)
            total += np.divide(product, np.sqrt(variance, out=variance), out=product)
        return np.multiply(total, self.factor, out=total)


def _lists(
    query: Floats, rows: Traces, k: int, exclude: int | None
) -> tuple[tuple[NeighborList, ...], Singles]:
    """The k nearest by every step of runs, and the values by all (N,)."""
    steps = run_count_steps(rows.run_count)
    weights = first_runs(rows.run_count, steps)
    operands = _Operands.of(query, weights)
    blocks = _in_blocks(len(rows), lambda start, stop: operands.kernel(rows.values[start:stop]))
    values = np.concatenate(blocks)  # (N, steps)
    if exclude is not None:
        values[exclude] = -np.inf
    found = []
    for s, n in enumerate(steps):
        few = min(k + SPARE, len(rows) - (exclude is not None))
        candidates = np.sort(np.argpartition(-values[:, s], few - 1)[:few])
        exact = exact_kernel(query, rows.values[candidates].astype(np.float64), weights[s : s + 1])[:, 0]
        order = np.argsort(-exact, kind="stable")[:k]
        found.append(NeighborList(n, candidates[order], exact[order]))
    return tuple(found), values[:, -1]


def _pool(full: Singles, nearest: Indices, size: int, exclude: int | None) -> Indices:
    """Whose values a resample's ranks are among: rising indices of the nearest by all runs, `nearest` among them."""
    others = len(full) - (exclude is not None)
    size = min(others, max(4 * len(nearest), size))
    return np.union1d(np.argpartition(-full, size - 1)[:size], nearest)


def _resampled(
    query: Floats, rows: Traces, nearest: Indices, pool: Indices, weights: Weights
) -> tuple[Singles, Indices]:
    """Value and rank among the pool of each of `nearest` in each resample: float32 and int64 (k, B).

    pool: rising indices with `nearest` among them. Of equal values the lower index comes first.
    """
    operands = _Operands.of(query, weights)
    values = operands.kernel(rows.values[nearest])

    def nearer(start: int, stop: int) -> Indices:
        some = pool[start:stop]
        adjoining = some[-1] - some[0] == len(some) - 1  # then a part of the map will do, not a copy
        found = operands.kernel(rows.values[some[0] : some[-1] + 1] if adjoining else rows.values[some])
        count = np.empty(values.shape, np.int64)
        for j, value in enumerate(values):
            before = int(np.searchsorted(some, nearest[j]))
            count[j] = (found[:before] > value - np.float32(SAME)).view(np.uint8).sum(0, dtype=np.uint8)
            count[j] += (found[before:] > value + np.float32(SAME)).view(np.uint8).sum(0, dtype=np.uint8)
        return count

    total: Indices = np.sum(_in_blocks(len(pool), nearer), axis=0)
    return values, 1 + total


def _in_blocks(total: int, work: Callable[[int, int], T]) -> list[T]:
    """What `work` makes of every block of `BLOCK` out of `total`, in order, by as many threads as there are cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ThreadPoolExecutor(cores) as threads:
        starts = range(0, total, BLOCK)
        return list(threads.map(lambda start: work(start, min(start + BLOCK, total)), starts))
