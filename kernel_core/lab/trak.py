"""TRAK for the small networks of `networks.mlp`: attributions from gradients, after Park et al. 2023.

For each network, φ(x) is the gradient of the margin of x by all its weights, brought down to few numbers
by a random matrix; with Φ those of the training examples, the scores of a query example x are φ(x)ᵀ
(ΦᵀΦ)⁻¹ Φᵀ. They are averaged over the networks, and multiplied by each training example's mean 1 − p, p
the probability of its label.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.func import grad, vmap

from kernel_core.networks.mlp import Layers

NUMBERS = 512  # of a projected gradient
PIECE = 64  # examples whose gradients are held at a time
Values = npt.NDArray[np.float64]
Labeled = tuple[Tensor, Tensor]  # inputs (n, D) and labels int64 (n,)


def trak_scores(layers: Layers, query: Labeled, train: Labeled, networks: int, seed: int) -> Values:
    """Return the attributions (n, N) by the first networks of a group."""
    scores, doubt = [], []
    for m in range(networks):
        weights = [part[m].detach() for layer in layers for part in layer]
        projection = _projection(sum(part.numel() for part in weights), seed + m)
        of_query, _ = _features(weights, query, projection)
        of_train, probability = _features(weights, train, projection)
        inverse = np.linalg.pinv(of_train.T @ of_train, hermitian=True)
        scores.append(of_query @ inverse @ of_train.T)
        doubt.append(1 - probability)
    found: Values = np.mean(scores, 0) * np.mean(doubt, 0)
    return found


def _projection(numbers: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn: Tensor = torch.randn(numbers, min(NUMBERS, numbers), generator=generator) / NUMBERS**0.5
    return drawn


def _features(weights: list[Tensor], examples: Labeled, projection: Tensor) -> tuple[Values, Values]:
    """Return projected gradients (n, k) and the probability of each label (n,)."""

    def margin(parts: list[Tensor], x: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        for weight, bias in zip(parts[:-2:2], parts[1:-2:2], strict=True):
            x = (x @ weight + bias[0]).relu()
        logits = x @ parts[-2] + parts[-1][0]
        own = logits.gather(0, label[None])[0]
        others = logits.scatter(0, label[None], -torch.inf).logsumexp(0)
        return own - others, torch.sigmoid(own - others)

    of_each = vmap(grad(margin, has_aux=True), in_dims=(None, 0, 0))
    features, probabilities = [], []
    for x, labels in zip(*(torch.split(part, PIECE) for part in examples), strict=True):
        gradients, probability = of_each(weights, x, labels)
        flat = torch.cat([part.flatten(1) for part in gradients], 1)
        features.append((flat @ projection).double().numpy())
        probabilities.append(probability.double().numpy())
    return np.concatenate(features), np.concatenate(probabilities)
