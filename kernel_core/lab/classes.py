"""Why is one class not enough? One class, half of the classes and all, at equal length of the rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kernel_core.errors import RequestError
from kernel_core.lab.curves import Answered, band, difference, share
from kernel_core.lab.functions import FUNCTIONS
from kernel_core.lab.run_sets import disjoint_sets
from kernel_core.lab.setting import Point, Setting
from kernel_core.results.answers import Curve, Panel, Table

Found = dict[str, dict[str, list[Point]]]
"""Function → what is compared → its points."""
Chosen = list[tuple[tuple[int, ...], tuple[int, ...] | None]]  # runs and classes of each point
Plan = list[tuple[str, int, Chosen]]  # what is compared: its title, the length of its rows, its points
COMPARED = ("log_softmax", "none", "centred", "log_odds")
"""Keys of `FUNCTIONS` whose classes are taken apart."""
MOST_CLASSES = 10  # that are taken alone; of more, so many are drawn
HALVES = 4  # random halves of the classes


def answer(setting: Setting, requested: Sequence[int] | None = None) -> Answered:
    """Return sentences, panels and tables. requested: not used; the numbers of runs follow from the rows.

    Raises `RequestError` where there are too few runs to cut the rows of all classes to the length of one.
    """
    M, C = setting.ensemble.run_count, len(setting.results.class_names)
    if M // C < 2:
        raise RequestError(
            f"{setting.results.name} has {M:,} runs of {C:,} classes; rows of all classes with as many "
            f"numbers as those of one class would have {M // C} runs. Expected {2 * C:,} runs or more."
        )
    plan = _plan(setting)
    total = len(COMPARED) * sum(len(chosen) for _, _, chosen in plan)
    step = setting.counter("kernels of some classes", total)
    found: Found = {}
    for function in COMPARED:
        found[function] = {}
        for title, _length, chosen in plan:
            points = found[function].setdefault(title, [])
            for runs, classes in chosen:
                points.append(setting.point(function, runs, classes))
                step()
    tables = (_table(found, plan), _alone(found, plan, setting.results.class_names))
    return Answered(_sentences(found, M, C), _panels(setting, found, plan), tables)


def _plan(setting: Setting) -> Plan:
    """Return what is compared: its title, the length of its rows, and runs and classes of each point."""
    M, C = setting.ensemble.run_count, len(setting.results.class_names)
    random = np.random.default_rng(setting.seed)
    every = tuple(range(M))
    alone = sorted(random.choice(C, min(C, MOST_CLASSES), replace=False).tolist())
    halves = [tuple(sorted(random.choice(C, max(1, C // 2), replace=False).tolist())) for _ in range(HALVES)]
    half_runs = max(2, M // max(1, C // 2))

    def sets(size: int) -> list[tuple[int, ...]]:
        return disjoint_sets(M, size, setting.sets, setting.seed)

    return [
        (f"one class × {M:,} runs", M, [(every, (c,)) for c in alone]),
        (
            f"half of the classes × {half_runs:,} runs",
            len(halves[0]) * half_runs,
            [(runs, half) for runs, half in zip(sets(half_runs) * HALVES, halves, strict=False)],
        ),
        (f"all {C:,} classes × {M // C:,} runs", C * (M // C), [(runs, None) for runs in sets(M // C)]),
        (f"half of the classes × {M:,} runs", len(halves[0]) * M, [(every, half) for half in halves]),
        (f"all {C:,} classes × {M:,} runs", C * M, [(every, None)]),
    ]


def _panels(setting: Setting, found: Found, plan: Plan) -> tuple[Panel, ...]:
    """Return how often the 3 nearest are right by number of classes, at equal length and with all runs."""
    C = len(setting.results.class_names)
    x = (1.0, float(max(1, C // 2)), float(C))
    panels = []
    for title, compared in (
        ("The 3 nearest vote, at equal length of rows", plan[:3]),
        ("The 3 nearest vote, with all runs", [plan[0], *plan[3:]]),
    ):
        curves = []
        for function, by_title in found.items():
            points = [[point.share("knn3") for point in by_title[title]] for title, _, _ in compared]
            ends = [(float(np.mean(of)), *band(of, len(setting.queries))) for of in points]
            curves.append(
                Curve.through(FUNCTIONS[function].title, [(at, *of) for at, of in zip(x, ends, strict=True)])
            )
        panels.append(Panel(title, "classes", tuple(curves)))
    return tuple(panels)


def _table(found: Found, plan: Plan) -> Table:
    rows: list[tuple[str | float | None, ...]] = []
    for title, length, _ in plan:
        of_functions = [share(found[function][title], "knn3") for function in COMPARED]
        rows.append((title, f"{length:,}", *of_functions))
    columns = ("kernel of", "numbers per row", *(FUNCTIONS[function].title for function in COMPARED))
    return Table("The 3 nearest vote", columns, tuple(rows))


def _alone(found: Found, plan: Plan, class_names: Sequence[str]) -> Table:
    title, _, chosen = plan[0]
    rows: list[tuple[str | float | None, ...]] = [
        (class_names[classes[0]], *(found[function][title][n].share("knn3") for function in COMPARED))
        for n, (_, classes) in enumerate(chosen)
        if classes is not None
    ]
    columns = ("kernel of the class", *(FUNCTIONS[function].title for function in COMPARED))
    return Table("Each class alone, with all runs: the 3 nearest vote", columns, tuple(rows))


def _sentences(found: Found, M: int, C: int) -> tuple[str, ...]:
    one, every = (list(found["log_softmax"].values())[place] for place in (0, 2))
    raw_one, raw_every = (list(found["none"].values())[place] for place in (0, 2))
    centered = next(iter(found["centred"].values()))
    lack = difference(one, every, "knn3")
    why = (
        "the classes together know more than one, at the same number of numbers."
        if lack.low > 0
        else "the two cannot be told apart, so one class lacks nothing but numbers."
        if lack.high >= 0
        else "one class is even better."
    )
    gain, kept = difference(one, raw_one, "knn3"), difference(one, centered, "knn3")
    of_length = (
        f"At equal length of rows, by log-softmax, one class × {M:,} runs is right on "
        f"{share(one, 'knn3'):.1%}, and all {C:,} classes × {M // C:,} runs on {share(every, 'knn3'):.1%} "
        f"({lack.words}): {why}"
    )
    raw = (
        f"By raw logits it is {share(raw_one, 'knn3'):.1%} against {share(raw_every, 'knn3'):.1%} "
        f"({difference(raw_one, raw_every, 'knn3').words})."
    )
    shift = (
        f"One class of raw logits against one of log-softmax: {gain.words}; without the shift common to all "
        f"classes (centered logits): {kept.words}."
    )
    return of_length, raw, shift
