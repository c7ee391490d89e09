"""Small networks whose runs differ by one thing each: what the variation of an ensemble may come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from kernel_core.lab.drawn import RECIPE
from kernel_core.networks.mlp import Layers, inputs_of, logits_of, thinned, train_apart
from kernel_core.recipes import MlpRecipe, run_seed
from kernel_core.records import ExampleSet
from kernel_core.spec import Split

RUNS = 64  # of each ensemble
REPEATS = 3  # ensembles of each kind
DROPOUT = 0.2
RECIPES = tuple(
    replace(RECIPE, hidden=hidden, learning_rate=rate, label_smoothing=smoothing, epochs=epochs)
    for hidden, rate, smoothing, epochs in (
        ((96, 48), 3e-3, 0.1, 6),
        ((48, 24), 3e-3, 0.1, 6),
        ((192,), 3e-3, 0.0, 6),
        ((96,), 1e-2, 0.2, 3),
        ((64, 64, 64), 3e-3, 0.1, 6),
        ((192, 96), 1e-3, 0.0, 9),
        ((96, 48), 1e-2, 0.3, 3),
        ((48, 48), 3e-3, 0.0, 12),
    )
)  # as many runs of each: a divisor of `RUNS`

Examples = Mapping[Split, ExampleSet]
Logits = dict[Split, npt.NDArray[np.float32]]  # (M, n, C) by split
Which = tuple[int, int, int]  # seed, number of the kind, and number of the ensemble among its repeats


@dataclass(frozen=True)
class Chance:
    """What the chance of each run is drawn from, a seed each: of its start, and of its order of examples."""

    starts: tuple[int, ...]
    orders: tuple[int, ...]


def chance(which: Which, runs: int, same: str = "") -> Chance:
    """Return the seeds of an ensemble. same: "start" or "order", which all runs share."""
    seed, kind, repeat = which
    first = 10_000 * 2 * (kind * REPEATS + repeat)
    starts, orders = ([run_seed(seed, first + part + run) for run in range(runs)] for part in (0, 10_000))
    starts = starts[:1] * runs if same == "start" else starts
    orders = orders[:1] * runs if same == "order" else orders
    return Chance(tuple(starts), tuple(orders))


def outputs(layers: Layers, examples: Examples) -> Logits:
    """Return the logits of all runs for all examples."""
    train = examples["train"]
    return {split: logits_of(layers, inputs_of(of, train)).numpy() for split, of in examples.items()}


def ordinary(examples: Examples, which: Which) -> Logits:
    """Return runs that differ by start and order, as those of `train` do."""
    return _trained(examples, chance(which, RUNS))


def _trained(examples: Examples, of: Chance, recipe: MlpRecipe = RECIPE) -> Logits:
    return outputs(train_apart(recipe, examples, of.starts, of.orders), examples)


def by_start(examples: Examples, which: Which) -> Logits:
    """Return runs that differ by their start alone: all see the examples in one order."""
    return _trained(examples, chance(which, RUNS, same="order"))


def by_order(examples: Examples, which: Which) -> Logits:
    """Return runs that differ by the order of the examples alone: all start from the same weights."""
    return _trained(examples, chance(which, RUNS, same="start"))


def by_recipe(examples: Examples, which: Which) -> Logits:
    """Return runs of `RECIPES`, as many of each, one recipe after the other."""
    every, each = chance(which, RUNS), RUNS // len(RECIPES)
    found = [
        _trained(examples, Chance(every.starts[n : n + each], every.orders[n : n + each]), recipe)
        for n, recipe in zip(range(0, RUNS, each), RECIPES, strict=True)
    ]
    return {split: np.concatenate([of[split] for of in found]) for split in examples}


def by_half(examples: Examples, which: Which) -> Logits:
    """Return runs on random halves of the training examples, which differ by start and order too."""
    N, of, random = len(examples["train"]), chance(which, RUNS), np.random.default_rng(which)
    halves = np.stack([np.sort(random.permutation(N)[: max(1, N // 2)]) for _ in range(RUNS)])
    return outputs(train_apart(RECIPE, examples, of.starts, of.orders, subsets=halves), examples)


def by_dropout(examples: Examples, which: Which) -> Logits:
    """Return one network, trained with dropout, with other hidden units set to 0 in each copy."""
    of = chance(which, 1)
    layers = train_apart(RECIPE, examples, of.starts, of.orders, dropout=DROPOUT)
    return outputs(thinned(layers, 0, RUNS, DROPOUT, run_seed(*which[:2])), examples)


def along_training(examples: Examples, which: Which) -> Logits:
    """Return one network at `RUNS` steps from its first to its last, equally far apart."""
    return _snapshots(examples, which, 0.0)


def at_the_end(examples: Examples, which: Which) -> Logits:
    """Return one network at `RUNS` steps of the last third of its training."""
    return _snapshots(examples, which, 2 / 3)


def _snapshots(examples: Examples, which: Which, first: float) -> Logits:
    """Return one network at steps from a share of its training on; of a short one, some steps twice."""
    of, seen = chance(which, 1), []

    def look(layers: Layers) -> None:
        seen.append([(weight.detach()[0].clone(), bias.detach()[0].clone()) for weight, bias in layers])

    train_apart(RECIPE, examples, of.starts, of.orders, look=look)
    steps = np.linspace(first * len(seen), len(seen) - 1, RUNS).round().astype(int)
    layers = [
        (torch.stack([seen[step][n][0] for step in steps]), torch.stack([seen[step][n][1] for step in steps]))
        for n in range(len(seen[0]))
    ]
    return outputs(layers, examples)


KINDS: dict[str, Callable[[Examples, Which], Logits]] = {
    "start and order": ordinary,
    "start alone": by_start,
    "order alone": by_order,
    f"{len(RECIPES)} recipes": by_recipe,
    "random halves": by_half,
    "dropout": by_dropout,
    "steps of one training": along_training,
    "its last steps": at_the_end,
}
"""By what the runs of an ensemble differ → what gives their logits."""
