"""How sure a kernel value and a rank are: a bootstrap over the runs, and lists of neighbors from fewer runs.

A resample draws as many runs as there are, with replacement (Efron, "Bootstrap methods: another look at the
jackknife", 1979), and computes the kernel from them as if they were all; each class is standardized anew. So
how often a run is drawn is its weight. The first n runs are weights too: 1/n each, then 0.

Ranks in a resample are among the examples of a pool: the whole database if `WORK` allows it, as with 60 runs
of CIFAR-10, otherwise those nearest by all runs. Values and lists are from the whole database too, unless it
is so large that everything is about a shortlist (`shortlist`): the list by all runs is then the same, but an
example that only few runs find near can be missing from a list by few runs.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from kernel_core.explain.in_parallel import in_blocks
from kernel_core.explain.shortlist import shortlist, shortlist_length
from kernel_core.explain.traces import Traces
from kernel_core.explain.weighted_kernel import Floats, RunWeights, Singles, WeightedKernel, exact_kernel
from kernel_core.spec import run_count_steps

RESAMPLES = 200  # the ends of an interval differ from those of 2,000 by a twentieth of its width
LEVEL = 95  # percent
PERCENTILES = ((100 - LEVEL) / 2, (100 + LEVEL) / 2)
# Multiplications for the resamples of one answer, at 45 per nanosecond and core. With 500 runs and 10
# classes, the pool is the 6,666 nearest; ranks among the 1,000 nearest were already those among all 12,000
# (synthetic logits).
WORK = 20_000_000_000
FIRST_POOL = 4_000  # examples that a first answer ranks among
BLOCK = 192  # examples at a time: their numbers of one class fit a core's cache, and a byte can count them
NUMBERS = 40_000  # of one class that lists look at at a time; with few runs, more examples than a `BLOCK`
SPARE = 16  # examples beyond a list's end that are computed again in float64, which decides the order
TIE = 1e-6  # values that differ by less, by float32's rounding, are equal and ordered by index
OPERAND_BYTES = 200_000_000  # of weights at most; more are processed in groups

Indices = npt.NDArray[np.int64]
_one_at_a_time = threading.Lock()  # an answer uses every core, and the limit on BLAS is the whole process's


def resamples(run_count: int, count: int = RESAMPLES, seed: int = 0) -> RunWeights:
    """Return the weights of `count` resamples of the runs, drawn by the seed alone."""
    drawn = np.random.default_rng(seed).multinomial(run_count, np.full(run_count, 1 / run_count), size=count)
    return RunWeights((drawn / run_count).astype(np.float32), np.full(count, float(run_count)))


def first_runs(run_count: int, steps: list[int]) -> RunWeights:
    """Return weights that count only the first n of the runs, for every n of `steps`."""
    ns = np.array(steps, dtype=np.float64)
    return RunWeights(((np.arange(run_count) < ns[:, None]) / ns[:, None]).astype(np.float32), ns)


@dataclass(frozen=True, eq=False)
class NeighborList:
    """The k nearest by the first `run_count` runs.

    indices: int64 (k,). values: float64 (k,), never increasing.
    """

    run_count: int
    indices: Indices
    values: Floats

    def shared_count(self, other: NeighborList) -> int:
        """Return the number of examples in both lists."""
        return len(np.intersect1d(self.indices, other.indices))


@dataclass(frozen=True, eq=False)
class NeighborStability:
    """How much the k nearest of one example depend on which runs there are.

    lists: from 10, 20, 50, … runs, and last from all; the other fields describe the neighbors in the last.
    low, high: float64 (k,), the interval of each neighbor's value.
    rank_low, rank_high: int64 (k,), the interval of its rank, from 1, among `pool_size` examples.
    stay_shares: float64 (k,), the share of resamples in which it is among the k nearest.
    shortlisted: number of examples that all of this is about, the nearest by all runs; 0 for all there are.
    """

    lists: tuple[NeighborList, ...]
    low: Floats
    high: Floats
    rank_low: Indices
    rank_high: Indices
    stay_shares: Floats
    pool_size: int
    resample_count: int
    shortlisted: int = 0

    @property
    def nearest(self) -> NeighborList:
        """The list from all runs."""
        return self.lists[-1]


def neighbor_stability(
    query: Floats, database: Traces, k: int, *, exclude: int | None = None
) -> NeighborStability:
    """Return how stable the k nearest of an example in a database are.

    query: (C, M), the example's raw trace. k: at most the number of other examples. exclude: the example's
    index, if it is in the database itself.
    """
    *_, stability = stabilities(query, database, k, exclude=exclude, firsts=())
    return stability


def stabilities(
    query: Floats,
    database: Traces,
    k: int,
    *,
    exclude: int | None = None,
    firsts: tuple[int, ...] = (FIRST_POOL,),
) -> Iterator[NeighborStability]:
    """Yield how stable the k nearest are: soon from small pools, and last what `neighbor_stability` returns.

    firsts: sizes of those pools, which cost a fraction of the whole. Lists and intervals of values do not
    depend on the pool; ranks and the shares that stay hardly do, as few examples from far away come near.
    """
    length = shortlist_length(len(database), database.class_count, k)
    if length == len(database):
        yield from _stabilities(query, database, k, exclude, firsts)
        return
    with _alone():
        indices = shortlist(query, database, length, exclude)
        traces = np.array(database.values[indices])
    yield from _of_shortlist(query, Traces(database.split, traces), indices, k, firsts)


def stability_among(
    query: Floats, database: Traces, indices: npt.NDArray[np.integer], k: int
) -> NeighborStability:
    """Return how stable the k nearest of an example are among some examples alone, the nearest by all runs.

    query: (C, M), the example's raw trace. database: the traces of those examples. indices: (n,), which they
    are. k: at most n.
    """
    rising = np.argsort(indices)
    ordered = Traces(database.split, database.values[rising])
    (stability,) = _of_shortlist(query, ordered, indices[rising].astype(np.int64), k, ())
    return stability


def _of_shortlist(
    query: Floats, traces: Traces, indices: Indices, k: int, firsts: tuple[int, ...]
) -> Iterator[NeighborStability]:
    """Yield what `stabilities` does, of some examples of a database alone. indices: (n,), rising."""
    for stability in _stabilities(query, traces, k, None, firsts):
        lists = tuple(replace(listed, indices=indices[listed.indices]) for listed in stability.lists)
        yield replace(stability, lists=lists, shortlisted=len(indices))


def _stabilities(
    query: Floats, database: Traces, k: int, exclude: int | None, firsts: tuple[int, ...]
) -> Iterator[NeighborStability]:
    """Yield what `stabilities` does of a database that is looked at as a whole."""
    weights, place = resamples(database.run_count).distinct()
    groups = -(-4 * query.size * len(weights.draws) // OPERAND_BYTES)
    with _alone():
        lists, full = _lists(query, database, k, exclude)
    most = WORK // (3 * query.size * RESAMPLES)
    others = len(full) - (exclude is not None)
    for size in (*(first for first in firsts if first < min(most, others)), most):
        with _alone():
            nearest = lists[-1].indices
            pool = _pool(full, nearest, size, exclude)
            parts = [_resample(query, database, nearest, pool, weights[g::groups]) for g in range(groups)]
        values, ranks = (np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))
        order = np.concatenate([np.arange(g, len(weights.draws), groups) for g in range(groups)])
        back = np.argsort(order)[place]
        yield _stability(lists, values[:, back], ranks[:, back], len(pool))


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep other answers waiting, and BLAS from threads of its own.

    Our threads have one BLAS thread each: what lies between the products takes as long as they do, and
    OpenBLAS's threads wait for each other, which on a busy machine is 2 to 4 times slower.
    """
    with _one_at_a_time, threadpool_limits(1, user_api="blas"):
        yield


def _stability(
    lists: tuple[NeighborList, ...], values: Singles, ranks: Indices, pool_size: int
) -> NeighborStability:
    """Return what the resamples say. values, ranks: (k, B)."""
    low, high = interval(values)
    rank_low, rank_high = np.percentile(ranks, PERCENTILES, axis=1, method="nearest")
    return NeighborStability(
        lists,
        low,
        high,
        rank_low,
        rank_high,
        stay_shares=(ranks <= len(values)).mean(1),
        pool_size=pool_size,
        resample_count=values.shape[1],
    )


def pair_interval(a: Floats, b: Floats) -> tuple[float, float]:
    """Return the bootstrap interval of a pair's value, low and high. a, b: (C, M), raw traces."""
    weights, place = resamples(a.shape[1]).distinct()
    low, high = interval(exact_kernel(a, b[None], weights)[:, place])
    return float(low[0]), float(high[0])


def interval(values: npt.NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Return the ends of the middle `LEVEL` percent of each row: low and high, (n,). values: (n, B)."""
    low, high = np.percentile(values.astype(np.float64), PERCENTILES, axis=1)
    return low, high


# Lists from fewer runs, and ranks in resamples.


def _lists(
    query: Floats, database: Traces, k: int, exclude: int | None
) -> tuple[tuple[NeighborList, ...], Singles]:
    """Return the k nearest from every step of runs, and the values from all runs, (N,)."""
    steps = run_count_steps(database.run_count)
    weights = first_runs(database.run_count, steps)
    weighted = WeightedKernel.of(query, weights)
    size = max(BLOCK, NUMBERS // max(len(steps), database.run_count))
    blocks = in_blocks(
        len(database), size, lambda start, stop: weighted.with_traces(database.values[start:stop])
    )
    values = np.concatenate(blocks)  # (N, steps)
    if exclude is not None:
        values[exclude] = -np.inf
    lists = []
    for s, run_count in enumerate(steps):
        few = min(k + SPARE, len(database) - (exclude is not None))
        candidates = np.sort(np.argpartition(-values[:, s], few - 1)[:few])
        traces = database.values[candidates].astype(np.float64)
        exact = exact_kernel(query, traces, weights[s : s + 1])[:, 0]
        order = np.argsort(-exact, kind="stable")[:k]
        lists.append(NeighborList(run_count, candidates[order], exact[order]))
    return tuple(lists), values[:, -1]


def _pool(full: Singles, nearest: Indices, size: int, exclude: int | None) -> Indices:
    """Return the examples that ranks are among: rising indices of about `size` nearest by all runs.

    full: (N,), the values from all runs. nearest: indices that are in the pool in any case.
    """
    others = len(full) - (exclude is not None)
    size = min(others, max(4 * len(nearest), size))
    return np.union1d(np.argpartition(-full, size - 1)[:size], nearest)


def _resample(
    query: Floats, database: Traces, nearest: Indices, pool: Indices, weights: RunWeights
) -> tuple[Singles, Indices]:
    """Return value and rank of each of the nearest in each resample, float32 and int64 (k, B).

    pool: rising indices, those of `nearest` included. Of equal values, the lower index comes first.
    """
    weighted = WeightedKernel.of(query, weights)
    values = weighted.with_traces(database.values[nearest])

    def count_nearer(start: int, stop: int) -> Indices:
        """Return how many of a block of the pool are nearer than each of the nearest, (k, B)."""
        block = pool[start:stop]
        is_adjacent = (
            block[-1] - block[0] == len(block) - 1
        )  # then a slice of the mapped file does, not a copy
        traces = database.values[block[0] : block[-1] + 1] if is_adjacent else database.values[block]
        kernel = weighted.with_traces(traces)
        counts = np.empty(values.shape, np.int64)
        for j, value in enumerate(values):
            place = int(np.searchsorted(block, nearest[j]))
            lower, higher = kernel[:place] > value - np.float32(TIE), kernel[place:] > value + np.float32(TIE)
            counts[j] = lower.view(np.uint8).sum(0, dtype=np.uint8)
            counts[j] += higher.view(np.uint8).sum(0, dtype=np.uint8)
        return counts

    nearer: Indices = np.sum(in_blocks(len(pool), BLOCK, count_nearer), axis=0)
    return values, 1 + nearer
