"""Groups of a source's runs, by folder or by file, and sets of runs of one group or of all, mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from kernel_core.lab.curves import Difference, Points, difference, panels, share
from kernel_core.lab.run_sets import FEWEST, Runs, disjoint_sets, ladder
from kernel_core.lab.setting import Point, Setting
from kernel_core.records import Ensemble
from kernel_core.results.answers import Panel

MOST_GROUPS = 6  # those with most runs are compared
MIXED = "runs of all, mixed"
Groups = Mapping[str, Sequence[int]]  # name → numbers of runs, rising


def groups_of(ensemble: Ensemble) -> dict[str, list[int]]:
    """Return the runs by the folder that their files lie in; of one folder, by file. Names are paths.

    Groups of less than `FEWEST` runs are left out; fewer than two groups are none.
    """
    names = [
        PurePosixPath(ensemble.name_of(number, run))
        for number, part in enumerate(ensemble.parts)
        for run in range(len(next(iter(part.values()))))
    ]
    by_folder: dict[str, list[int]] = {}
    by_file: dict[str, list[int]] = {}
    for run, name in enumerate(names):
        by_folder.setdefault(str(name.parent), []).append(run)
        by_file.setdefault(str(name), []).append(run)
    found = by_folder if len(by_folder) > 1 else by_file
    large = sorted((name for name in found if len(found[name]) >= FEWEST), key=lambda name: -len(found[name]))
    kept = sorted(large[:MOST_GROUPS])
    return {name: found[path] for path, name in _shortened(kept).items()} if len(kept) > 1 else {}


def _shortened(paths: Sequence[str]) -> dict[str, str]:
    """Return what to call each path: without the first and the last parts that all have.

    >>> _shortened(["all/wide/runs", "all/deep/runs"])
    {'all/wide/runs': 'wide', 'all/deep/runs': 'deep'}
    """
    parts = [PurePosixPath(path).parts for path in paths]
    for _ in range(2):  # from the left, then from the right
        while all(parts) and len({of[0] for of in parts}) == 1:
            parts = [of[1:] for of in parts]
        parts = [of[::-1] for of in parts]
    names = ["/".join(of) for of in parts]
    return dict(zip(paths, names if all(names) else paths, strict=True))


def mixed_sets(groups: Groups, size: int, most: int, seed: int) -> list[Runs]:
    """Return up to `most` sets of `size` runs, as evenly of all groups as can be; no run is in two sets.

    The groups take turns in giving one more where the size is no multiple of their number.

    >>> mixed_sets({"a": range(4), "b": range(10, 14)}, 4, 9, seed=0)
    [(1, 3, 10, 11), (0, 2, 12, 13)]
    """
    random = np.random.default_rng(seed)
    left = [random.permutation(list(runs)).tolist() for runs in groups.values()]
    found: list[Runs] = []
    for turn in range(most):
        taken = [size // len(left) + ((n + turn) % len(left) < size % len(left)) for n in range(len(left))]
        if any(len(runs) < count for runs, count in zip(left, taken, strict=True)):
            break
        chosen = [runs.pop() for runs, count in zip(left, taken, strict=True) for _ in range(count)]
        found.append(tuple(sorted(chosen)))
    return found


def compared(
    setting: Setting, groups: Groups, requested: Sequence[int] | None
) -> tuple[tuple[Panel, ...], tuple[str, ...]]:
    """Return panels and sentences: sets of runs of one group against sets mixed of all, by their size."""
    smallest = min(map(len, groups.values()))
    counts = [n for n in requested or ladder(smallest)[::-2] if FEWEST <= n <= smallest] or [smallest]
    sets: dict[str, dict[int, list[Runs]]] = {name: {} for name in (*map("runs of {}".format, groups), MIXED)}
    for n in sorted(counts):
        for name, runs in groups.items():
            chosen = disjoint_sets(len(runs), n, setting.sets, setting.seed)
            sets[f"runs of {name}"][n] = [tuple(runs[place] for place in of) for of in chosen]
        sets[MIXED][n] = mixed_sets(groups, n, setting.sets, setting.seed)
    step = setting.counter(
        "kernels of groups of runs", sum(len(o) for of in sets.values() for o in of.values())
    )
    found: dict[str, dict[int, list[Point]]] = {}
    for name, of in sets.items():
        found[name] = {n: [] for n in of}
        for n, chosen in of.items():
            for runs in chosen:
                found[name][n].append(setting.point("log_softmax", runs))
                step()
    return panels(setting, found), _sentences(found)


def _sentences(found: Mapping[str, Points]) -> tuple[str, ...]:
    """Return what sets of one group and mixed ones find, by the fewest runs and the most of several sets."""
    mixed = found[MIXED]
    several = [n for n in mixed if all(len(of[n]) > 1 for of in found.values())]
    few, many = min(mixed), max(several or mixed)
    return tuple(_said(found, n) for n in sorted({few, many}))


def _said(found: Mapping[str, Points], n: int) -> str:
    """Return what sets of n runs of one group and mixed ones are right on."""
    *apart, mixed = found.values()
    each = ", ".join(f"{name} {share(of[n], 'knn3'):.1%}" for name, of in found.items())
    gains = [gain([of[n] for of in apart], mixed[n], vote) for vote in ("knn3", "weighted20", "ensemble")]
    verdict = (
        "mixing helps"
        if gains[0].low > 0
        else "mixing hurts"
        if gains[0].high < 0
        else "mixing cannot be told from not mixing"
    )
    return (
        f"With {n:,} runs the 3 nearest are right on, by where the runs are from: {each}. Mixed sets against "
        f"the mean of the groups: {gains[0].words}, so {verdict}. The weighted vote: {gains[1].words}; the "
        f"ensemble: {gains[2].words}."
    )


def gain(apart: Sequence[Sequence[Point]], mixed: Sequence[Point], vote: str) -> Difference:
    """Return how much oftener a vote of mixed sets is right than one of a group's, on average over groups.

    apart: the points of each group. The interval is over the examples and the sets, with the variance of the
    shares of sets added; where there is one set, that of runs is not known and left out.
    """
    own = [difference(of, mixed, vote) for of in apart]
    value = float(np.mean([of.value for of in own]))
    error = max((of.high - of.low) / 2 / 1.96 for of in own)
    sides = [(of, len(apart) ** -2) for of in apart] + [(mixed, 1.0)]
    spread = sum(
        weight * np.var([point.share(vote) for point in of], ddof=1) / len(of)
        for of, weight in sides
        if len(of) > 1
    )
    half = 1.96 * float(np.sqrt(error**2 + spread))
    return Difference(value, value - half, value + half)
