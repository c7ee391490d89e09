"""Small fully connected networks, many trained at once by batched matrix products.

Runs are always trained in whole groups, so that a run is the same however many are asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from kernel_core.progress import Progress, no_progress
from kernel_core.recipes import Diverged, MlpRecipe, TrainedRun, run_seed
from kernel_core.records import ExampleSet
from kernel_core.spec import SPLITS, Split

GROUP = 64  # runs per group: faster than all 256 at once, and a kill costs little

Layers = list[tuple[Tensor, Tensor]]


def _whole(x: Tensor) -> Tensor:
    """Return all hidden units as they are: no dropout."""
    return x


def train_runs(
    recipe: MlpRecipe,
    examples: Mapping[Split, ExampleSet],
    run_numbers: Sequence[int],
    seed: int,
    *,
    device: torch.device | None = None,
    progress: Progress = no_progress,
) -> list[TrainedRun | Diverged]:
    """Train the networks of these runs, all of one group, on the train split; return the trained runs."""
    group = run_numbers[0] // GROUP
    assert all(run // GROUP == group for run in run_numbers)
    device = device or torch.device("cpu")
    inputs = {split: inputs_of(examples[split], examples["train"]).to(device) for split in SPLITS}
    layers = _train_group(recipe, inputs["train"], examples["train"], (group, seed), progress)
    return _trained_runs(layers, inputs, examples, run_numbers)


def logits_by_epoch(
    recipe: MlpRecipe,
    examples: Mapping[Split, ExampleSet],
    group: int,
    seed: int,
    epochs: Collection[int],
) -> dict[int, dict[Split, npt.NDArray[np.float32]]]:
    """Train the runs of a group as `train_runs` does; return their logits after some epochs.

    They are (GROUP, N, C) by epoch and split. epochs: 0 is the start; where it is alone, nothing is trained.
    """
    inputs = {split: inputs_of(of_split, examples["train"]) for split, of_split in examples.items()}
    found = {}
    number = itertools.count()

    def look(layers: Layers) -> None:
        epoch = next(number)
        if epoch in epochs:
            found[epoch] = {split: logits_of(layers, x).numpy() for split, x in inputs.items()}

    recipe = recipe if any(epochs) else replace(recipe, epochs=0)
    _train_group(recipe, inputs["train"], examples["train"], (group, seed), no_progress, look)
    return found


def layers_trained_on(
    recipe: MlpRecipe,
    examples: Mapping[Split, ExampleSet],
    subsets: npt.NDArray[np.int64],
    group: int,
    seed: int,
) -> Layers:
    """Train the runs of a group, each on its own subset of the training examples; return their layers.

    subsets: (GROUP, n), the indices of each run's examples. The inputs are those of all training examples.
    """
    inputs = inputs_of(examples["train"], examples["train"])
    chosen = torch.from_numpy(subsets)
    return _train_group(recipe, inputs, examples["train"], (group, seed), no_progress, subsets=chosen)


def logits_of(layers: Layers, inputs: Tensor) -> Tensor:
    """Return the logits of every run, (M, n, C). inputs: (n, D), as of `inputs_of`."""
    with torch.no_grad():
        return _forward(layers, inputs.expand(len(layers[0][0]), -1, -1))[0]


def train_apart(
    recipe: MlpRecipe,
    examples: Mapping[Split, ExampleSet],
    starts: Sequence[int],
    orders: Sequence[int],
    *,
    subsets: npt.NDArray[np.int64] | None = None,
    dropout: float = 0.0,
    look: Callable[[Layers], None] = lambda _: None,
) -> Layers:
    """Train runs whose start and order of the examples come from seeds of their own; return their layers.

    starts, orders: a seed per run, 0 … 2^63-1. subsets: (M, n), the examples of each run; None for all.
    dropout: share of the hidden units that each step sets to 0, for each example anew. look: called after
    each step.
    """
    inputs, train = inputs_of(examples["train"], examples["train"]), examples["train"]
    widths = (inputs.shape[1], *recipe.hidden, len(train.class_names))
    of_start, of_order = ([torch.Generator().manual_seed(seed) for seed in of] for of in (starts, orders))
    layers = [(w.requires_grad_(), b.requires_grad_()) for w, b in _initial(widths, of_start)]
    labels, chosen = torch.from_numpy(train.labels), None if subsets is None else torch.from_numpy(subsets)
    random = torch.Generator().manual_seed(orders[0])

    def drop(x: Tensor) -> Tensor:
        return x * (torch.rand(x.shape, generator=random) >= dropout) / (1 - dropout)

    _descend(recipe, layers, inputs, labels, of_order, lambda *_: look(layers), lambda _: None, chosen,
             drop if dropout else _whole)  # fmt: skip
    return layers


def thinned(layers: Layers, run: int, samples: int, dropout: float, seed: int) -> Layers:
    """Return a run with other hidden units set to 0 in each of `samples` copies, the same for all examples.

    The others are scaled up by 1 / (1 − dropout), so that a unit's mean over the samples is what it was.
    """
    random = torch.Generator().manual_seed(seed)
    found = []
    for number, (weight, bias) in enumerate(layers):
        of_run = weight[run].detach().expand(samples, -1, -1)
        if number:  # its inputs are hidden units
            of_run = of_run * (torch.rand(samples, weight.shape[1], 1, generator=random) >= dropout)
            of_run = of_run / (1 - dropout)
        found.append((of_run, bias[run].detach().expand(samples, -1, -1)))
    return found


def _train_group(
    recipe: MlpRecipe,
    inputs: Tensor,
    train: ExampleSet,
    group_and_seed: tuple[int, int],
    progress: Progress,
    look: Callable[[Layers], None] = lambda _: None,
    *,
    subsets: Tensor | None = None,
) -> Layers:
    """Return the layers of a group of runs, trained. look: called at their start and after each epoch.

    subsets: int64 (GROUP, n), the training examples of each run; None for all.
    """
    group, seed = group_and_seed
    labels = torch.from_numpy(train.labels).to(inputs.device)
    widths = (inputs.shape[1], *recipe.hidden, len(train.class_names))
    generators = [
        torch.Generator().manual_seed(run_seed(seed, run))
        for run in range(group * GROUP, (group + 1) * GROUP)
    ]
    layers = [
        (w.to(inputs.device).requires_grad_(), b.to(inputs.device).requires_grad_())
        for w, b in _initial(widths, generators)
    ]
    look(layers)
    if recipe.epochs:
        _descend(recipe, layers, inputs, labels, generators, progress, look, subsets)
    return layers


def inputs_of(examples: ExampleSet, train: ExampleSet) -> Tensor:
    """Return gray levels in 0 … 1, flattened to (N, D), minus the mean image of the training set."""
    return gray(examples) - gray(train).mean(0)


def gray(examples: ExampleSet) -> Tensor:
    """Return the images' gray levels in 0 … 1, flattened to (N, D)."""
    levels = examples.images.mean(axis=3, dtype=np.float32)
    return torch.from_numpy(levels.reshape(len(levels), -1) / 255)


def weights_of(layers: Layers, m: int, mean: Tensor) -> dict[str, npt.NDArray[np.float32]]:
    """Return the weights of run m of a group under the names of `modules.Mlp`; mean: of the inputs."""
    weights = {"mean": mean}
    for number, (weight, bias) in enumerate(layers):
        weights[f"layers.{2 * number}.weight"] = weight[m].detach().T
        weights[f"layers.{2 * number}.bias"] = bias[m, 0].detach()
    return {name: np.ascontiguousarray(values.cpu().numpy()) for name, values in weights.items()}


def _initial(widths: tuple[int, ...], generators: list[torch.Generator]) -> Layers:
    """Draw weights (M, in, out) after He et al. (arXiv 1502.01852), with biases (M, 1, out) of 0."""
    layers = []
    for fan_in, fan_out in itertools.pairwise(widths):
        weights = [torch.randn(fan_in, fan_out, generator=g) * (2 / fan_in) ** 0.5 for g in generators]
        layers.append((torch.stack(weights), torch.zeros(len(generators), 1, fan_out)))
    return layers


def _descend(
    recipe: MlpRecipe,
    layers: Layers,
    inputs: Tensor,
    labels: Tensor,
    generators: list[torch.Generator],
    progress: Progress,
    look: Callable[[Layers], None],
    subsets: Tensor | None,
    drop: Callable[[Tensor], Tensor] = _whole,
) -> None:
    """Train the layers in place, each run with its own order of its own data. drop: of `_forward`."""
    count = len(labels) if subsets is None else subsets.shape[1]
    steps = recipe.epochs * -(-count // recipe.batch)
    parameters = [parameter for layer in layers for parameter in layer]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps)
    done = 0
    for _ in range(recipe.epochs):
        order = torch.stack([torch.randperm(count, generator=g) for g in generators])  # (M, N)
        order = order if subsets is None else subsets.gather(1, order)
        for batch in torch.split(order.to(inputs.device), recipe.batch, dim=1):  # (M, b)
            logits, _features = _forward(layers, inputs[batch], drop)  # (M, b, C)
            optimizer.zero_grad()
            torch.autograd.backward(loss_of_runs(logits, labels[batch], recipe.label_smoothing))
            optimizer.step()
            schedule.step()
            done += 1
            progress("training", done, steps)
        look(layers)


def loss_of_runs(logits: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    """Return the loss of runs that are trained together; logits: (M, b, C), labels: (M, b).

    It is a sum over the runs, whose gradients are independent. Adam is indifferent to the scale over b.
    """
    return functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), label_smoothing=label_smoothing, reduction="sum"
    )


def _forward(layers: Layers, x: Tensor, drop: Callable[[Tensor], Tensor] = _whole) -> tuple[Tensor, Tensor]:
    """Return logits (M, b, C) and penultimate features (M, b, D) of inputs (M, b, in).

    drop: what is done to the units of each hidden layer.
    """
    for weight, bias in layers[:-1]:
        x = drop(torch.baddbmm(bias, x, weight).relu())
    return torch.baddbmm(layers[-1][1], x, layers[-1][0]), x


@torch.no_grad()
def _trained_runs(
    layers: Layers,
    inputs: Mapping[Split, Tensor],
    examples: Mapping[Split, ExampleSet],
    run_numbers: Sequence[int],
) -> list[TrainedRun | Diverged]:
    """Compute the outputs of some runs of the group for every example, and take their weights."""
    mean = gray(examples["train"]).mean(0)
    outputs = {split: _forward(layers, x.expand(GROUP, -1, -1)) for split, x in inputs.items()}
    trained: list[TrainedRun | Diverged] = []
    for run in run_numbers:
        m = run % GROUP
        logits = {split: of_group[m].half().cpu().numpy() for split, (of_group, _) in outputs.items()}
        if not all(np.isfinite(values).all() for values in logits.values()):
            trained.append(Diverged(run, "its loss went to NaN"))
            continue
        features = {split: of_group[m].clone().cpu().numpy() for split, (_, of_group) in outputs.items()}
        accuracy = float((logits["test"].argmax(1) == examples["test"].labels).mean())
        trained.append(TrainedRun(run, logits, features, accuracy, weights=weights_of(layers, m, mean)))
    return trained
