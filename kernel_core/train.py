"""Ensembles trained here: many small fully connected networks at once, by batched matrix products.

Every run has its own initialisation and its own order of the data; nothing else differs between them.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from kernel_core.descriptions import TrainingRecipe
from kernel_core.errors import DataError
from kernel_core.records import SPLITS, Ensemble, ExampleSet, Features, Progress, Split, no_progress


def train_ensemble(
    recipe: TrainingRecipe, examples: dict[Split, ExampleSet], progress: Progress = no_progress
) -> tuple[Ensemble, Features]:
    """Train `recipe.runs` networks on the train split.

    Returns their logits, float16 (M, N, C) a split, and run 0's activations before the last layer, float32 (N, D).
    Raises `DataError` if a loss goes to NaN.
    """
    train = examples["train"]
    inputs = {split: _inputs(examples[split], train) for split in SPLITS}
    labels = torch.from_numpy(train.labels)
    widths = (inputs["train"].shape[1], *recipe.hidden, len(train.class_names))
    generator = torch.Generator().manual_seed(recipe.seed)
    layers = _initial_layers(recipe.runs, widths, generator)
    parameters = [parameter for layer in layers for parameter in layer]
    steps = recipe.epochs * -(-len(labels) // recipe.batch)
    optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps)
    done = 0
    for _ in range(recipe.epochs):
        order = torch.rand(recipe.runs, len(labels), generator=generator).argsort(
            1
        )  # (M, N), each run its own
        for batch in torch.split(order, recipe.batch, dim=1):  # (M, b)
            logits, _features = _forward(layers, inputs["train"][batch])  # (M, b, C)
            loss = functional.cross_entropy(
                logits.flatten(0, 1),
                labels[batch].flatten(),
                label_smoothing=recipe.label_smoothing,
                reduction="sum",
            )  # summed over the runs, whose gradients are apart; Adam does not mind the scale of the sum over b
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            done += 1
            progress(f"training {recipe.runs} networks", done, steps)
    return _outputs(layers, inputs)


def _inputs(examples: ExampleSet, train: ExampleSet) -> Tensor:
    """Grey levels in 0 … 1, flattened to (N, D), the training set's mean image subtracted."""

    def flat(images: npt.NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(images.mean(axis=3, dtype=np.float32).reshape(len(images), -1) / 255)

    return flat(examples.images) - flat(train.images).mean(0)


def _initial_layers(
    runs: int, widths: tuple[int, ...], generator: torch.Generator
) -> list[tuple[Tensor, Tensor]]:
    """Weights (M, in, out) after He et al. (arXiv 1502.01852), biases (M, 1, out) of 0."""
    layers = []
    for fan_in, fan_out in itertools.pairwise(widths):
        weight = torch.randn(runs, fan_in, fan_out, generator=generator) * (2 / fan_in) ** 0.5
        layers.append((weight.requires_grad_(), torch.zeros(runs, 1, fan_out, requires_grad=True)))
    return layers


def _forward(layers: list[tuple[Tensor, Tensor]], x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (M, b, C) and penultimate features (M, b, D) of inputs (M, b, in)."""
    for weight, bias in layers[:-1]:
        x = torch.baddbmm(bias, x, weight).relu()
    return torch.baddbmm(layers[-1][1], x, layers[-1][0]), x


@torch.no_grad()
def _outputs(layers: list[tuple[Tensor, Tensor]], inputs: dict[Split, Tensor]) -> tuple[Ensemble, Features]:
    logits, features = {}, {}
    for split, x in inputs.items():
        out, hidden = _forward(layers, x.expand(len(layers[0][0]), -1, -1))
        if not torch.isfinite(out).all():
            raise DataError("A run's loss went to NaN in training; lower the learning rate of the recipe.")
        logits[split] = out.half().numpy()
        features[split] = hidden[0].clone().numpy()
    ensemble = Ensemble(("the ensemble trained here",), (logits,))
    return ensemble, Features(features, layer=f"hidden layer {len(layers) - 1}, after ReLU", run="0")
