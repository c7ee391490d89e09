"""Where does the variation come from? Ensembles whose runs differ by one thing, and groups of a source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from kernel_core.errors import RequestError
from kernel_core.lab.all_pairs import Labels, Values, kernel_values
from kernel_core.lab.curves import BANDS as OF_SETS
from kernel_core.lab.curves import Answered, curve_of_sets
from kernel_core.lab.drawn import RECIPE, Most, examples_drawn
from kernel_core.lab.measured import MEASURES, measured
from kernel_core.lab.run_groups import compared, groups_of
from kernel_core.lab.setting import Setting
from kernel_core.lab.varied import DROPOUT, KINDS, RECIPES, REPEATS, RUNS, Examples, ordinary
from kernel_core.machine import one_thread
from kernel_core.recipes import as_json
from kernel_core.results.answers import Panel, Table
from kernel_core.results.keys import Content

MOST: Most = {"test": 500, "train": 2_000}  # examples that are compared; of more, so many are drawn
REFERENCE = 3  # ensembles of ordinary runs, which together make the reference kernel
COUNTS = (8, 16, 32, RUNS)
PIXELS = 16  # longest side of the images that networks are trained on
FORMAT = 1  # of an entry of numbers
BANDS = (
    f"Networks trained here are compared on at most {MOST['test']} test and {MOST['train']:,} training "
    f"images, reduced to {PIXELS} pixels; bands and brackets: the lowest and the highest of {REPEATS} "
    "ensembles that have no network in common."
)
INTERVALS = "Mixed sets against one group: 95% intervals over the examples and the sets of runs."
VOTE, NEAR, EFFECTIVE = "3 nearest", "correlation", "effective runs"
Numbers = npt.NDArray[np.float64]  # (repeats, counts, measures)


def answer(setting: Setting, requested: Sequence[int] | None = None) -> Answered:
    """Return sentences, panels and tables. requested: numbers of runs; of networks at most `RUNS`.

    Raises `RequestError` if the source has neither images of both sets nor groups of runs.
    """
    groups = groups_of(setting.ensemble)
    of_sets = f"{OF_SETS.format(sets=setting.sets)} {INTERVALS}"
    try:
        examples = examples_drawn(setting, MOST)
    except RequestError:
        if not groups:
            raise
        shown, said = compared(setting, groups, requested)
        return Answered(said, shown, (), of_sets)
    examples = {split: replace(of, images=reduced(of.images, PIXELS)) for split, of in examples.items()}
    labels = examples["test"].labels, examples["train"].labels
    counts = sorted({count for count in requested or COUNTS if 2 <= count < RUNS} | {RUNS})
    found = _numbers(setting, examples, labels, counts)
    of_networks = Answered(_sentences(found), _panels(found, counts), (_table(found),), BANDS, len(labels[0]))
    if not groups:
        return of_networks
    shown, said = compared(setting, groups, requested)
    bands = f"{of_networks.bands} Of this source's runs: {of_sets}"
    return Answered((*of_networks.seen, *said), (*of_networks.panels, *shown), of_networks.tables, bands)


def reduced(images: npt.NDArray[np.uint8], pixels: int) -> npt.NDArray[np.uint8]:
    """Return images (N, H, W, 3) whose longest side is at most `pixels`, as means of squares of pixels.

    What is left at the right and at the bottom is cut off.
    """
    side = -(-max(images.shape[1:3]) // pixels)
    N, H, W = len(images), images.shape[1] // side, images.shape[2] // side
    squares = images[:, : H * side, : W * side].reshape(N, H, side, W, side, 3)
    found: npt.NDArray[np.uint8] = squares.mean((2, 4)).round().astype(np.uint8)
    return found


def _numbers(
    setting: Setting, examples: Examples, labels: Labels, counts: Sequence[int]
) -> dict[str, Numbers]:
    """Return the numbers of each kind of ensemble, from the cache if they are known."""
    content: Content = {
        "format": FORMAT,
        "of": "where the variation comes from",
        "seed": setting.seed,
        "images": setting.keys.examples,
        "recipes": [as_json(recipe) for recipe in (RECIPE, *RECIPES)],
        "drawn": [len(of_split) for of_split in examples.values()],
        "sizes": [RUNS, REPEATS, REFERENCE, DROPOUT, PIXELS],
    }
    step = setting.counter("training networks that differ by one thing", 1 + len(KINDS))

    def kept(kind: str, compute: Callable[[], Values]) -> Values:
        about = f"networks that differ by {kind}"
        with one_thread():
            found = setting.kept({**content, "kind of runs": kind}, lambda: {"values": compute()}, about)
        step()
        return found["values"]

    reference = kept("start and order, for reference", lambda: _reference(examples, setting.seed))
    content["counts"] = list(counts)
    return {
        kind: kept(kind, partial(_of_kind, examples, labels, reference, counts, (setting.seed, kind)))
        for kind in KINDS
    }


def _reference(examples: Examples, seed: int) -> Values:
    """Return the kernel of ordinary runs, none of which is in another ensemble."""
    parts = [ordinary(examples, (seed, len(KINDS), repeat)) for repeat in range(REFERENCE)]
    every = {split: np.concatenate([of[split] for of in parts]) for split in examples}
    return kernel_values(every["test"], every["train"])


def _of_kind(
    examples: Examples, labels: Labels, reference: Values, counts: Sequence[int], of: tuple[int, str]
) -> Numbers:
    """Train the ensembles of a kind and return their numbers. of: seed and kind."""
    (seed, kind), found = of, []
    for repeat in range(REPEATS):
        logits = KINDS[kind](examples, (seed, list(KINDS).index(kind), repeat))
        chosen = [np.linspace(0, RUNS - 1, count).round().astype(int) for count in counts]
        found.append(
            [measured({split: x[of] for split, x in logits.items()}, labels, reference) for of in chosen]
        )
    return np.array(found)


def _panels(found: dict[str, Numbers], counts: Sequence[int]) -> tuple[Panel, ...]:
    """Return the vote and the nearness to the reference kernel by number of runs, a curve per kind."""
    panels = []
    for measure, title in (
        (VOTE, "Networks trained here: the 3 nearest vote"),
        (NEAR, "Networks trained here: correlation with the kernel of others"),
    ):
        place = list(MEASURES).index(measure)
        curves = tuple(
            curve_of_sets(kind, {count: of[:, n, place].tolist() for n, count in enumerate(counts)})
            for kind, of in found.items()
        )
        panels.append(Panel(title, "networks", curves, MEASURES[measure]))
    return tuple(panels)


def _table(found: dict[str, Numbers]) -> Table:
    rows = [
        (kind, *(_cell(of[:, -1, place], unit) for place, unit in enumerate(MEASURES.values())))
        for kind, of in found.items()
    ]
    return Table(f"{RUNS} networks that differ by …", ("they differ by", *MEASURES), tuple(rows))


def _cell(values: Values, unit: str) -> str:
    low, middle, high = (_number(value, unit) for value in (values.min(), values.mean(), values.max()))
    return f"{middle} ({low}–{high})"


def _sentences(found: dict[str, Numbers]) -> tuple[str, ...]:
    def of(kind: str, measure: str) -> Values:
        return found[kind][:, -1, list(MEASURES).index(measure)]

    def listed(kinds: Sequence[str], measure: str) -> str:
        return (
            ", ".join(f"{kind} {_number(of(kind, measure).mean(), MEASURES[measure])}" for kind in kinds)
            or "none"
        )

    usual, *others = found
    worse = [kind for kind in others if of(kind, VOTE).max() < of(usual, VOTE).min()]
    better = [kind for kind in others if of(kind, VOTE).min() > of(usual, VOTE).max()]
    alike = [kind for kind in others if kind not in (*worse, *better)]
    near, effective = (
        sorted(found, key=lambda kind: -of(kind, measure).mean()) for measure in (NEAR, EFFECTIVE)
    )
    ranks = spearmanr(*([of(kind, measure).mean() for kind in found] for measure in (NEAR, EFFECTIVE)))
    votes = (
        f"The 3 nearest of {RUNS} networks that differ by start and order are right on "
        f"{_cell(of(usual, VOTE), 'share')}. Clearly worse, with no overlap of {REPEATS} ensembles each, are "
        f"networks that differ by: {listed(worse, VOTE)}. Clearly better: {listed(better, VOTE)}. Not told "
        f"apart: {listed(alike, VOTE)}."
    )
    nearest = (
        f"The kernel of {REFERENCE * RUNS} other networks that differ by start and order correlates with "
        f"that of {RUNS} that differ by: {listed(near, NEAR)}."
    )
    independent = (
        f"Of {RUNS} networks, so many vary independently, by what they differ: "
        f"{listed(effective, EFFECTIVE)}. Correlation and this number order the {len(found)} kinds alike by "
        f"{ranks.statistic:.2f} (Spearman)."
    )
    return votes, nearest, independent


def _number(value: float, unit: str) -> str:
    return f"{value:.1%}" if unit == "share" else f"{value:.2f}" if abs(value) <= 1 else f"{value:.1f}"
