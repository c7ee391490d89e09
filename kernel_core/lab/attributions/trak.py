"""TRAK: what training examples do, from gradients of trained networks, after Park et al. 2023.

For each network, φ(x) is the gradient of the margin of x by all its trained weights, brought down to few
numbers by a random matrix; with Φ those of the training examples, the scores of a query example x are φ(x)ᵀ
(ΦᵀΦ)⁻¹ Φᵀ. They are averaged over the networks, and multiplied by each training example's mean 1 − p, p
the probability of its label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from kernel_core.networks.kept_networks import Networks
from kernel_core.recipes import run_seed
from kernel_core.spec import Split

GRADIENTS = 256_000_000  # bytes of gradients that are held at a time
ADDED = 4_096  # examples of which squares are added at a time, in float64
DRAWN = 65_536  # rows of a random matrix that are drawn at most at a time; it decides the matrix
Values = npt.NDArray[np.float32]
Labels = Mapping[Split, npt.NDArray[np.int64]]
Step = Callable[[], None]
Projection = Callable[[Sequence[Tensor]], Tensor]
"""What brings gradients, each weight's (b, p), down to (b, numbers)."""


def trak_scores(
    networks: Networks,
    labels: Labels,
    seed: int,
    *,
    numbers: int | None,
    step: Step = lambda: None,
) -> Values:
    """Return the attributions of test to training examples by all the networks, float32 (n, N).

    labels: of the examples that are asked about, or of the first of them, by split.
    numbers: of a projected gradient; None for whole gradients. step: called after each network.
    """
    return trak_scores_by(networks, labels, seed, (numbers,), step=step)[0]


def trak_scores_by(
    networks: Networks,
    labels: Labels,
    seed: int,
    numbers: Sequence[int | None],
    *,
    step: Step = lambda: None,
) -> list[Values]:
    """Return what `trak_scores` does for each of these numbers, rising, from one look at the gradients."""
    n, N = len(labels["test"]), len(labels["train"])
    found, doubt = [np.zeros((n, N), np.float32) for _ in numbers], np.zeros(N)
    for m, state in enumerate(networks.states.values()):
        project = projection(networks.module, numbers[-1], run_seed(seed, m))
        of_query, _ = _features(networks, state, "test", labels, project)
        of_train, probability = _features(networks, state, "train", labels, project)
        squares = torch.from_numpy(_squares(of_train))
        for scores, k in zip(found, numbers, strict=True):
            inverse = torch.linalg.pinv(squares[:k, :k], hermitian=True).numpy()
            scores += (of_query[:, :k] @ inverse).astype(np.float32) @ of_train[:, :k].T
        doubt += 1 - probability
        step()
    for scores in found:
        scores *= doubt / len(networks.states) ** 2
    return found


def _squares(features: Values) -> npt.NDArray[np.float64]:
    """Return ΦᵀΦ in float64, (k, k): its condition is the square of that of Φ."""
    found = np.zeros((features.shape[1], features.shape[1]))
    for start in range(0, len(features), ADDED):
        piece = features[start : start + ADDED].astype(np.float64)
        found += piece.T @ piece
    return found


def _features(
    networks: Networks, state: Mapping[str, Tensor], split: Split, labels: Labels, project: Projection
) -> tuple[Values, npt.NDArray[np.float64]]:
    """Return projected gradients (n, k) and the probability of each label (n,), for one network."""
    trained = {name: state[name] for name in trained_weights(networks.module)}
    others = {name: values for name, values in state.items() if name not in trained}

    def margin(weights: dict[str, Tensor], x: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        logits = functional_call(networks.module, {**others, **weights}, x[None])[0]
        own = logits.gather(0, label[None])[0]
        found = own - logits.scatter(0, label[None], -torch.inf).logsumexp(0)
        return found, torch.sigmoid(found)

    of_each = vmap(grad(margin, has_aux=True), in_dims=(None, 0, 0))
    features, probabilities = [], []
    size = max(1, GRADIENTS // (4 * sum(values.numel() for values in trained.values())))
    for start in range(0, len(labels[split]), size):
        rows = slice(start, min(start + size, len(labels[split])))
        gradients, probability = of_each(
            trained, networks.inputs(split, rows), torch.from_numpy(labels[split][rows])
        )
        features.append(project([gradients[name].flatten(1) for name in trained]).numpy())
        probabilities.append(probability.double().numpy())
    return np.concatenate(features), np.concatenate(probabilities)


def trained_weights(module: nn.Module) -> list[str]:
    """Return the names of a module's trained weights."""
    return [name for name, weight in module.named_parameters() if weight.requires_grad]


def projection(module: nn.Module, numbers: int | None, seed: int) -> Projection:
    """Return a projection of gradients by a module's trained weights.

    numbers: what they are brought down to; None for all as they are.
    """
    if numbers is None:
        return lambda parts: torch.cat(list(parts), 1)
    sizes = [module.get_parameter(name).numel() for name in trained_weights(module)]
    k = min(numbers, sum(sizes))
    blocks = [(part, slice(a, a + DRAWN)) for part, size in enumerate(sizes) for a in range(0, size, DRAWN)]

    def drawn(block: int) -> Tensor:
        part, of = blocks[block]
        generator = torch.Generator().manual_seed(run_seed(seed, block))
        rows: Tensor = torch.randn(min(sizes[part], of.stop) - of.start, k, generator=generator)
        return rows.mul_(k**-0.5)

    # The matrix of a large network is drawn anew each time.
    kept = [drawn(block) for block in range(len(blocks))] if sum(sizes) <= DRAWN else None

    def project(parts: Sequence[Tensor]) -> Tensor:
        found = torch.zeros(len(parts[0]), k)
        # Part by part: to put them side by side would copy them, a third of the time.
        for block, (part, of) in enumerate(blocks):
            found += parts[part][:, of] @ (drawn(block) if kept is None else kept[block])
        return found

    return project
