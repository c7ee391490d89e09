"""Plain convolutional networks, whose kernel at their start has a closed form.

Convolutions of 3 × 3 pixels with zeros around the image, each followed by ReLU; the mean over the pixels; one
dense layer. Weights are drawn after He et al. (arXiv 1502.01852), with variance 2 / fan-in; no biases.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from kernel_core.recipes import run_seed
from kernel_core.records import ExampleSet
from kernel_core.spec import Split

PIECE = 500  # images whose logits are computed at a time


@dataclass(frozen=True)
class PlainCnnRecipe:
    """How plain networks are trained: by Adam, on a rate that rises and falls once.

    side: of the images, in pixels; larger ones are reduced to it. widths: channels of the convolutions.
    """

    side: int
    widths: tuple[int, ...]
    epochs: int
    batch: int
    learning_rate: float
    label_smoothing: float


def images_of(examples: ExampleSet, train: ExampleSet, side: int) -> Tensor:
    """Return images (N, 3, h, w), float32 in -1 … 1, minus the mean image of the training set.

    side: sides longer than it are reduced to it, by means over areas.
    """

    def reduced(images: npt.NDArray[np.uint8]) -> Tensor:
        x = torch.from_numpy(images.astype(np.float32) / 255).permute(0, 3, 1, 2)
        return functional.adaptive_avg_pool2d(x, (min(side, x.shape[2]), min(side, x.shape[3])))

    return reduced(examples.images) - reduced(train.images).mean(0)


def logits_by_epoch(
    recipe: PlainCnnRecipe,
    examples: Mapping[Split, ExampleSet],
    run: int,
    seed: int,
    epochs: Collection[int],
) -> dict[int, dict[Split, npt.NDArray[np.float32]]]:
    """Train one network; return its logits (N, C) after some epochs, by epoch and split.

    epochs: 0 is the start; where it is alone, nothing is trained.
    """
    train = examples["train"]
    inputs = {split: images_of(of_split, train, recipe.side) for split, of_split in examples.items()}
    generator = torch.Generator().manual_seed(run_seed(seed, run))
    network = plain_network((3, *recipe.widths), len(train.class_names), generator)
    found: dict[int, dict[Split, npt.NDArray[np.float32]]] = {}

    def look(epoch: int) -> None:
        if epoch in epochs:
            found[epoch] = {split: _logits(network, x) for split, x in inputs.items()}

    recipe = recipe if any(epochs) else replace(recipe, epochs=0)
    _descend(recipe, network, (inputs["train"], torch.from_numpy(train.labels)), generator, look)
    return found


def plain_network(widths: tuple[int, ...], class_count: int, generator: torch.Generator) -> nn.Sequential:
    """Return a network at its start. widths: channels of the images, then of each convolution."""
    layers: list[nn.Module] = []
    for channels, more in itertools.pairwise(widths):
        layers += [nn.Conv2d(channels, more, 3, padding=1, bias=False), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], class_count, bias=False)]
    network = nn.Sequential(*layers)
    for weight in network.parameters():
        nn.init.normal_(weight, std=(2 / weight[0].numel()) ** 0.5, generator=generator)
    return network


def _descend(
    recipe: PlainCnnRecipe,
    network: nn.Module,
    labeled: tuple[Tensor, Tensor],
    generator: torch.Generator,
    look: Callable[[int], None],
) -> None:
    """Train a network in place. look: called with 0 at the start, and with each epoch's number after it."""
    look(0)
    if not recipe.epochs:
        return
    steps = recipe.epochs * -(-len(labeled[1]) // recipe.batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps)
    for epoch in range(recipe.epochs):
        for batch in torch.split(torch.randperm(len(labeled[1]), generator=generator), recipe.batch):
            x, labels = (part[batch] for part in labeled)
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(x), labels, label_smoothing=recipe.label_smoothing)
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
        look(epoch + 1)


@torch.no_grad()
def _logits(network: nn.Module, x: Tensor) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = torch.cat([network(piece) for piece in torch.split(x, PIECE)]).numpy()
    return found
