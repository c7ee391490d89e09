"""What does a training example do? The kernel beside attributions, judged by networks on random halves."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from kernel_core.lab.all_pairs import Labels, Values, kernel_values, nearest_of, shared, vote_accuracy
from kernel_core.lab.curves import Answered
from kernel_core.lab.datamodels import VALIDATION, datamodels, effects, linear_datamodeling_scores, margins_of
from kernel_core.lab.drawn import RECIPE, Most, examples_drawn, places_drawn
from kernel_core.lab.nngp import nngp_correlation
from kernel_core.lab.run_sets import logits_of as logits_of_runs
from kernel_core.lab.setting import Setting
from kernel_core.lab.trak import trak_scores
from kernel_core.machine import one_thread
from kernel_core.networks.mlp import GROUP, Layers, inputs_of, layers_trained_on, logits_of
from kernel_core.recipes import as_json
from kernel_core.records import ExampleSet
from kernel_core.results.answers import Curve, Panel, Table
from kernel_core.spec import Split

MOST: Most = {"test": 200, "train": 1_500}  # examples that are looked at; of more, so many are drawn
FITTED, HELD = 512, 64  # sets whose networks weights are found from, and held-out sets
EACH = 4  # networks per held-out set, whose margins are averaged
TRAK_NETWORKS = 16
REMOVED, REMOVED_FOR = 20, 6  # training examples taken away, and query examples for which they are
OVERLAP = 10
BANDS = (
    "Bands and brackets: 95% intervals by a bootstrap over the query examples; ±: the "
    f"standard error over {REMOVED_FOR} of them."
)
FORMAT = 1  # of an entry of margins


@dataclass(frozen=True, eq=False)
class Runs:
    """Networks on random halves: masks bool (M, N) and margins (M, n), to find weights from, and held out."""

    fitted_masks: npt.NDArray[np.bool_]
    fitted: Values
    held_masks: npt.NDArray[np.bool_]
    held: Values


def answer(setting: Setting, requested: Sequence[int] | None = None) -> Answered:
    """Return sentences, panels and tables. requested: numbers of networks that datamodels are found from.

    Raises `RequestError` if the source has no images, or no training examples.
    """
    examples = examples_drawn(setting, MOST)
    labels = examples["test"].labels, examples["train"].labels
    runs = _runs(setting, examples)
    found: dict[str, Values] = {}
    seconds: dict[str, float] = {}
    for name, compute in _methods(setting, examples, runs).items():
        setting.progress(f"attributions: {name}", len(found), len(_METHODS))
        start = time.process_time()
        found[name] = compute()
        seconds[name] = time.process_time() - start
    scores = {name: linear_datamodeling_scores(w, runs.held_masks, runs.held) for name, w in found.items()}
    drops = _drops(setting, examples, found)
    table = _table(found, scores, labels, drops, seconds)
    counts = [c for c in requested or (64, 128, 256, FITTED) if 2 * VALIDATION <= c <= FITTED]
    panel = _panel(runs, counts, setting.seed)
    return Answered(_sentences(scores, drops), (panel,), (table,), BANDS, len(labels[0]))


_METHODS = (
    "kernel", "kernel², signed by label", "pixel cosine², signed", "closed form⁴, signed", "effects",
    "datamodels", "TRAK",
)  # fmt: skip


def _methods(
    setting: Setting, examples: dict[Split, ExampleSet], runs: Runs
) -> dict[str, Callable[[], Values]]:
    """Return what computes the weights of each method, (n, N)."""
    query, train = examples["test"], examples["train"]
    sign = np.where(query.labels[:, None] == train.labels, 1.0, -1.0)
    inputs = [inputs_of(of, train).numpy().astype(np.float64) for of in (query, train)]

    def kernel() -> Values:
        every = range(setting.ensemble.run_count)
        places = places_drawn(setting, MOST)
        logits = [logits_of_runs(setting.ensemble, split, every, of) for split, of in places.items()]
        return kernel_values(logits[0], logits[1])

    def trak() -> Values:
        layers = _train(setting, examples, np.tile(np.arange(len(train)), (GROUP, 1)), group=1000)
        pairs = [(inputs_of(of, train), torch.from_numpy(of.labels)) for of in (query, train)]
        return trak_scores(layers, pairs[0], pairs[1], TRAK_NETWORKS, setting.seed)

    ways = (
        kernel,
        lambda: kernel() ** 2 * sign,
        lambda: nngp_correlation(inputs[0], inputs[1], 0) ** 2 * sign,
        lambda: nngp_correlation(inputs[0], inputs[1], len(RECIPE.hidden)) ** 4 * sign,
        lambda: effects(runs.fitted_masks, runs.fitted),
        lambda: datamodels(runs.fitted_masks, runs.fitted),
        trak,
    )
    return dict(zip(_METHODS, ways, strict=True))


def _train(
    setting: Setting, examples: dict[Split, ExampleSet], subsets: npt.NDArray[np.int64], group: int
) -> Layers:
    with one_thread():
        return layers_trained_on(RECIPE, examples, subsets, group, setting.seed)


def _runs(setting: Setting, examples: dict[Split, ExampleSet]) -> Runs:
    """Return networks on random halves of the training examples, from the cache if they are known."""
    content = {
        "format": FORMAT, "of": "margins of runs on halves", "seed": setting.seed,
        "images": setting.keys.examples, "recipe": as_json(RECIPE), "sizes": [FITTED, HELD, EACH],
        "drawn": [len(of_split) for of_split in examples.values()],
    }  # fmt: skip
    about = f"margins of {FITTED + HELD * EACH} networks on halves"
    arrays = setting.kept(content, lambda: _on_halves(setting, examples), about)
    masks = arrays["masks"]
    return Runs(masks[:FITTED], arrays["fitted"], masks[FITTED:], arrays["held"])


def _on_halves(setting: Setting, examples: dict[Split, ExampleSet]) -> dict[str, npt.NDArray[Any]]:
    """Train networks on random halves; return the masks of the halves, and margins as in `Runs`."""
    N, random = len(examples["train"]), np.random.default_rng(setting.seed)
    halves = np.stack([np.sort(random.permutation(N)[: N // 2]) for _ in range(FITTED + HELD)])
    order = np.concatenate([np.arange(FITTED), np.repeat(np.arange(FITTED, FITTED + HELD), EACH)])
    margins = _margins(setting, examples, halves[order])
    masks = np.zeros((len(halves), N), bool)
    np.put_along_axis(masks, halves, values=True, axis=1)
    held = margins[FITTED:].reshape(HELD, EACH, -1).mean(1)
    return {"masks": masks, "fitted": margins[:FITTED], "held": held}


def _margins(
    setting: Setting, examples: dict[Split, ExampleSet], subsets: npt.NDArray[np.int64], first_group: int = 0
) -> Values:
    """Return the margins on the query examples of a network per subset, (M, n), in groups of `GROUP`."""
    query, found, groups = examples["test"], [], len(subsets) // GROUP
    inputs = inputs_of(query, examples["train"])
    for group in range(groups):
        setting.progress("training networks on parts of the training set", group, groups)
        chosen = subsets[group * GROUP : (group + 1) * GROUP]
        layers = _train(setting, examples, chosen, first_group + group)
        found.append(margins_of(logits_of(layers, inputs).numpy(), query.labels))
    setting.progress("training networks on parts of the training set", groups, groups)
    return np.concatenate(found)


def _drops(
    setting: Setting, examples: dict[Split, ExampleSet], found: dict[str, Values]
) -> dict[str, list[float]]:
    """Return how much the margin falls without the examples of the largest weights, by method.

    Of some query examples each: the mean of `GROUP` networks trained without `REMOVED` training examples,
    below that of as many trained without as many random ones.
    """
    N, random = len(examples["train"]), np.random.default_rng(setting.seed)
    queries = np.sort(random.permutation(len(examples["test"]))[:REMOVED_FOR])
    every, group = np.arange(N), 2_000
    taken: list[tuple[tuple[str, int] | None, npt.NDArray[np.int64]]] = [
        (None, random.permutation(N)[:REMOVED])
    ]
    for name, weights in found.items():
        taken += [((name, query), np.argsort(-weights[query])[:REMOVED]) for query in queries.tolist()]
    subsets = [np.setdiff1d(every, of) for _, of in taken]
    margins = _margins(setting, examples, np.repeat(np.stack(subsets), GROUP, axis=0), group)
    means = margins.reshape(len(taken), GROUP, -1).mean(1)  # (1 + methods · queries, n)
    drops: dict[str, list[float]] = {name: [] for name in found}
    for (who, _), of in zip(taken[1:], means[1:], strict=True):
        assert who is not None
        name, query = who
        drops[name].append(float(means[0][query] - of[query]))
    return drops


def _panel(runs: Runs, counts: Sequence[int], seed: int) -> Panel:
    """Return the LDS of what is found from runs, by their number; the band is over the query examples."""
    curves = []
    for name, method in (("datamodels", datamodels), ("effects", effects)):
        ends = []
        for count in counts:
            weights = method(runs.fitted_masks[:count], runs.fitted[:count])
            ends.append(_interval(linear_datamodeling_scores(weights, runs.held_masks, runs.held), seed))
        curves.append(Curve.through(name, [(x, *of) for x, of in zip(counts, ends, strict=True)]))
    return Panel("Linear datamodeling score by number of networks", "networks", tuple(curves), "number")


def _interval(scores: Values, seed: int) -> tuple[float, float, float]:
    """Return the mean of scores, and its 95% interval by a bootstrap over the query examples."""
    drawn = np.random.default_rng(seed).integers(0, len(scores), (1_000, len(scores)))
    low, high = np.quantile(scores[drawn].mean(1), (0.025, 0.975))
    return float(scores.mean()), float(low), float(high)


def _table(
    found: dict[str, Values],
    scores: dict[str, Values],
    labels: Labels,
    drops: dict[str, list[float]],
    seconds: dict[str, float],
) -> Table:
    kernel = nearest_of(found["kernel"], OVERLAP)
    rows: list[tuple[str | float | None, ...]] = []
    for name, weights in found.items():
        value, low, high = _interval(scores[name], 0)
        drop, error = np.mean(drops[name]), np.std(drops[name], ddof=1) / len(drops[name]) ** 0.5
        rows.append((name, f"{value:.3f} ({low:.3f}–{high:.3f})", f"{drop:.2f} ± {error:.2f}",
                     vote_accuracy(weights, labels), shared(nearest_of(weights, OVERLAP), kernel),
                     f"{seconds[name]:.1f}"))  # fmt: skip
    columns = ("method", "LDS", f"margin lost without its top {REMOVED}", "3 nearest vote",
               f"shared {OVERLAP} with the kernel", "processor seconds")  # fmt: skip
    return Table("Each method", columns, tuple(rows))


def _sentences(scores: dict[str, Values], drops: dict[str, list[float]]) -> tuple[str, ...]:
    means = {name: float(values.mean()) for name, values in scores.items()}
    best, *_ = sorted(means, key=means.__getitem__, reverse=True)
    falls = {name: float(np.mean(values)) for name, values in drops.items()}
    hardest = max(falls, key=falls.__getitem__)
    predicting = (
        f"{best} predicts best what networks trained on held-out halves do (linear datamodeling score "
        f"{means[best]:.2f}); the kernel reaches {means['kernel']:.2f}, squared and "
        f"signed {means['kernel², signed by label']:.2f}, the cosine of the pixels in the same way "
        f"{means['pixel cosine², signed']:.2f}, datamodels {means['datamodels']:.2f} and TRAK "
        f"{means['TRAK']:.2f}."
    )
    losing = (
        f"Without its top {REMOVED} training examples, the margin falls most for {hardest} "
        f"({falls[hardest]:.2f} more than without random ones; for the kernel {falls['kernel']:.2f}), on "
        f"average over {REMOVED_FOR} test examples."
    )
    return predicting, losing
