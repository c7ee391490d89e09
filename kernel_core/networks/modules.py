"""Networks trained here as modules of torch, one at a time: what their kept weights are loaded into.

Training itself works on many at once. A state_dict of a module is all that a run's network consists of.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from kernel_core.networks.cnn import SmallCnn
from kernel_core.networks.heads import LIMIT
from kernel_core.recipes import CnnRecipe, MlpRecipe, Recipe

Weights = Mapping[str, npt.NDArray[Any]]


class Mlp(nn.Module):
    """A network of `networks.mlp`: gray levels in 0 … 1 (b, D), as of `mlp.gray`, → logits (b, C)."""

    mean: Tensor

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(widths[0]))
        self.layers = _layers(widths)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x - self.mean)
        return logits


class Head(nn.Module):
    """A network of `networks.heads`: all fixed features (b, D) → logits (b, C).

    It takes its own columns of them, and standardizes these as training did, rounded to float16.
    """

    columns: Tensor
    mean: Tensor
    factor: Tensor

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.register_buffer("columns", torch.zeros(widths[0], dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(widths[0]))
        self.register_buffer("factor", torch.zeros(widths[0]))
        self.layers = _layers(widths)

    def forward(self, x: Tensor) -> Tensor:
        standard = (x.index_select(1, self.columns).float() - self.mean) * self.factor
        logits: Tensor = self.layers(standard.clamp(-LIMIT, LIMIT).half().to(self.mean.dtype))
        return logits


class Cnn(nn.Module):
    """A network of `networks.cnn`: pixels in 0 … 255, floating (b, 3, h, w), → logits (b, C)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, recipe: CnnRecipe, size: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("deviation", torch.ones(3))
        self.network = SmallCnn(recipe, size, classes)

    def forward(self, x: Tensor) -> Tensor:
        mean, deviation = (values[:, None, None] for values in (self.mean, self.deviation))
        logits: Tensor = self.network((x - mean) / deviation)
        return logits


def _layers(widths: list[int]) -> nn.Sequential:
    """Return linear layers between these widths, with ReLU in between."""
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(itertools.pairwise(widths)):
        layers += [nn.ReLU()] if number else []
        layers.append(nn.Linear(before, after))
    return nn.Sequential(*layers)


def module_of(recipe: Recipe, weights: Weights, size: int) -> nn.Module:
    """Return a network of a recipe with a run's weights, in float32 and evaluation mode.

    size: longer side of the images in pixels; of weight for CNNs alone.
    Raises `KeyError` or `RuntimeError` for weights of another network.
    """
    if isinstance(recipe, CnnRecipe):
        module: nn.Module = Cnn(recipe, size, len(weights["network.head.weight"]))
    else:
        hidden = recipe.hidden if isinstance(recipe, MlpRecipe) else (recipe.hidden,)
        widths = [len(weights["mean"]), *hidden, len(weights[f"layers.{2 * len(hidden)}.bias"])]
        module = Mlp(widths) if isinstance(recipe, MlpRecipe) else Head(widths)
    load_into(module, weights)
    return module.eval()


def load_into(module: nn.Module, weights: Weights) -> None:
    """Load a run's weights into a module of `module_of`, as float32. Raises `RuntimeError` if they misfit."""
    module.load_state_dict(state_of(weights))


def state_of(weights: Weights) -> dict[str, Tensor]:
    """Return a run's weights as a state_dict, floats as float32."""
    tensors = {name: torch.from_numpy(np.array(values)) for name, values in weights.items()}
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
