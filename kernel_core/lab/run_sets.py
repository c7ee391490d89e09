"""Sets of runs that have no run in common, and ensembles of such sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kernel_core.records import Ensemble
from kernel_core.spec import Split

Runs = tuple[int, ...]
FEWEST = 4  # runs of a set


def ladder(run_count: int) -> list[int]:
    """Return numbers of runs, rising, down from all by a factor of √2: half of one that fits is one again.

    >>> ladder(59), ladder(5)
    ([5, 7, 10, 14, 20, 29, 41, 59], [5])
    """
    steps = (int(run_count / 2 ** (half / 2)) for half in range(64))
    return sorted({count for count in steps if count >= FEWEST} | {run_count})


def disjoint_sets(run_count: int, size: int, most: int, seed: int) -> list[Runs]:
    """Return up to `most` sets of `size` of the runs 0 … run_count-1, none of which is in two sets.

    The same seed orders the runs alike for every size, so that a smaller set is the beginning of a larger.

    >>> [len(runs) for runs in disjoint_sets(10, 3, 4, seed=0)], disjoint_sets(3, 3, 4, seed=0)
    ([3, 3, 3], [(0, 1, 2)])
    """
    order = np.random.default_rng(seed).permutation(run_count).tolist()
    count = min(most, run_count // size)
    return [tuple(sorted(order[n * size : (n + 1) * size])) for n in range(count)]


def logits_of(
    ensemble: Ensemble, split: Split, runs: Sequence[int], examples: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.floating]:
    """Return the logits of some runs and examples of a split, in memory: (m, n, C), in the files' precision.

    runs: rising. examples: indices; None for all of them.
    """
    found = []
    first = 0  # number of the part's first run
    for part in (part[split] for part in ensemble.parts):
        for run in runs:
            if first <= run < first + len(part):
                of_run = np.asarray(part[run - first : run - first + 1])[0]
                found.append(of_run if examples is None else of_run[examples])
        first += len(part)
    ensemble.check_unchanged()
    return np.stack(found)


def runs_of(ensemble: Ensemble, split: Split, runs: Sequence[int]) -> Ensemble:
    """Return the ensemble of some runs and one split, of which nothing is read yet. runs: rising."""
    chosen = []
    first = 0  # number of the part's first run
    for part in (part[split] for part in ensemble.parts):
        own = [run - first for run in runs if first <= run < first + len(part)]
        chosen += [{split: part[run : run + 1]} for run in own] if len(own) < len(part) else [{split: part}]
        first += len(part)
    return Ensemble(("the runs of a question",) * len(chosen), tuple(chosen))
