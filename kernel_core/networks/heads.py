"""Heads: small networks of two layers on fixed features, many trained at once by batched matrix products.

Each run is given its own random share of the features, so that runs differ more. Runs are always trained
together with the same others, so that a run is the same however many are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.block_array import unmap
from kernel_core.machine import give_back_memory, one_thread
from kernel_core.networks.mlp import loss_of_runs
from kernel_core.progress import Progress, no_progress
from kernel_core.recipes import Diverged, HeadsRecipe, TrainedRun, run_seed
from kernel_core.spec import Split

GROUP = 16  # runs per group
HELD = 400_000_000  # bytes of features held at a time: those of all examples, for each run that is trained
PIECE = 4096  # examples read at a time
SMALL_PIECE = 256  # of all features at once, in float64
LIMIT = 30.0  # largest standardized feature

Values = npt.NDArray[Any]


def train_runs(
    recipe: HeadsRecipe,
    features: Mapping[Split, Values],
    labels: Mapping[Split, npt.NDArray[np.int64]],
    class_count: int,
    run_numbers: Sequence[int],
    seed: int,
    *,
    device: torch.device | None = None,
    progress: Progress = no_progress,
) -> list[TrainedRun | Diverged]:
    """Train the heads of these runs, all of one group, on the train split; return the trained runs.

    features[split]: floating (N, D), finite, mapped or in memory, of any splits with train among them.
    labels[split]: (N,). The runs have logits for each split; run 0 also has its hidden layer as features.
    """
    group = run_numbers[0] // GROUP
    assert all(run // GROUP == group for run in run_numbers)
    size = together(recipe, *features["train"].shape)
    parts = sorted({run // size for run in run_numbers})
    trained: list[TrainedRun | Diverged] = []
    with one_thread():
        scale = Scale.of(features["train"])
        inputs = _Inputs(features, labels, class_count, scale, device or torch.device("cpu"))
        for i, part in enumerate(parts):
            runs = [_Run.drawn(recipe, inputs, run, seed) for run in range(part * size, (part + 1) * size)]
            layers, standard = _descend(recipe, inputs, runs, _part(progress, i, len(parts)))
            for m, run in enumerate(runs):
                if run.number in run_numbers:
                    own = [values[m] for values in layers]
                    trained.append(_trained_run(inputs, run, own, standard[m]))
            del standard  # before those of the next runs are made
    return trained


def together(recipe: HeadsRecipe, count: int, width: int) -> int:
    """Return how many runs are trained at once; count: of training examples; width: of all features."""
    size = GROUP // 2  # faster than the whole group
    while size > 1 and size * count * 2 * recipe.given(width) > HELD:
        size //= 2
    return size


def _part(progress: Progress, i: int, count: int) -> Progress:
    return lambda step, done, total: progress(step, i * total + done, count * total)


@dataclass(frozen=True, eq=False)
class Scale:
    """What standardizes features: mean and 1 / deviation over the training examples, float32 (D,).

    A feature that is the same in all of them has 0 for the latter.
    """

    mean: npt.NDArray[np.float32]
    factor: npt.NDArray[np.float32]

    @staticmethod
    def of(values: Values) -> Scale:
        """Compute it from the features of the training examples, (N, D)."""
        origin = np.asarray(values[0], np.float64)  # keeps the difference below precise
        total, squares = np.zeros((2, values.shape[1]))
        for start in range(0, len(values), SMALL_PIECE):
            piece = values[start : start + SMALL_PIECE] - origin
            total += piece.sum(0)
            squares += np.einsum("nd,nd->d", piece, piece)
            unmap(values)
        mean, square = total / len(values), squares / len(values)
        variance = square - mean**2
        varies = variance > 1e-12 * square
        factor = np.where(varies, 1 / np.sqrt(np.where(varies, variance, 1)), 0)
        return Scale((mean + origin).astype(np.float32), factor.astype(np.float32))

    def rows(self, values: Values, columns: npt.NDArray[np.int64]) -> Tensor:
        """Return standardized features of some columns, float16 (N, columns); values: (N, D)."""
        rows = torch.empty(len(values), len(columns), dtype=torch.float16)
        mean, factor = torch.from_numpy(self.mean[columns]), torch.from_numpy(self.factor[columns])
        for start in range(0, len(values), PIECE):
            taken = np.asarray(values[start : start + PIECE]).take(
                columns, 1
            )  # six times as fast as [:, columns]
            piece = torch.from_numpy(taken).float().sub_(mean).mul_(factor)
            rows[start : start + PIECE] = piece.clamp_(-LIMIT, LIMIT)
            unmap(values)
        return rows


@dataclass(frozen=True, eq=False)
class _Inputs:
    """What heads are trained on. features[split]: (N, D); labels[split]: (N,)."""

    features: Mapping[Split, Values]
    labels: Mapping[Split, npt.NDArray[np.int64]]
    class_count: int
    scale: Scale
    device: torch.device


@dataclass(frozen=True, eq=False)
class _Run:
    """What is random in a run.

    columns: the features it is given; examples: those it is trained on; layers: weights and biases at first.
    generator: of the order of its examples.
    """

    number: int
    columns: npt.NDArray[np.int64]
    examples: Tensor
    layers: list[Tensor]
    generator: torch.Generator
    whole: bool

    @staticmethod
    def drawn(recipe: HeadsRecipe, inputs: _Inputs, number: int, seed: int) -> _Run:
        """Draw all that is random in a run from its seed; weights after He et al. (arXiv 1502.01852)."""
        g = torch.Generator().manual_seed(run_seed(seed, number))
        width = inputs.features["train"].shape[1]
        count = recipe.given(width)
        columns = torch.randperm(width, generator=g)[:count].sort().values.numpy()
        examples = _subset(recipe.subset, inputs.labels["train"], g)
        first = torch.randn(count, recipe.hidden, generator=g) * (2 / count) ** 0.5
        last = torch.randn(recipe.hidden, inputs.class_count, generator=g) * (1 / recipe.hidden) ** 0.5
        layers = [first, torch.zeros(1, recipe.hidden), last, torch.zeros(1, inputs.class_count)]
        return _Run(number, columns, examples, layers, g, recipe.subset >= 1)

    def order(self) -> Tensor:
        """Return its examples in a new order."""
        return self.examples[torch.randperm(len(self.examples), generator=self.generator)]


def _subset(share: float, labels: npt.NDArray[np.int64], generator: torch.Generator) -> Tensor:
    """Return the numbers of a random share of the examples, with at least one of each class."""
    order = torch.randperm(len(labels), generator=generator)
    _, firsts = np.unique(labels[order.numpy()], return_index=True)  # the first of each class in this order
    places = np.concatenate([firsts, np.delete(np.arange(len(labels)), firsts)])
    return order[torch.from_numpy(places[: max(round(share * len(labels)), len(firsts))])]


def _descend(
    recipe: HeadsRecipe, inputs: _Inputs, runs: list[_Run], progress: Progress
) -> tuple[list[Tensor], list[Tensor]]:
    """Train the layers of runs; return these, and the standardized training features of each run."""
    device = inputs.device
    standard = [inputs.scale.rows(inputs.features["train"], run.columns).to(device) for run in runs]
    stacked = (torch.stack(values) for values in zip(*(run.layers for run in runs), strict=True))
    layers = [values.to(device).requires_grad_() for values in stacked]
    labels = torch.from_numpy(inputs.labels["train"])
    give_back_memory()
    in_epoch = -(-len(runs[0].examples) // recipe.batch)
    epochs, done = max(recipe.epochs, -(-recipe.steps // in_epoch)), 0
    steps = epochs * in_epoch
    rate = recipe.learning_rate
    optimizer = torch.optim.AdamW(layers, lr=rate, weight_decay=recipe.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in range(epochs):
        order = torch.stack([run.order() for run in runs])
        for batch in torch.split(order, recipe.batch, dim=1):  # (M, b)
            x = torch.empty(*batch.shape, standard[0].shape[1], device=device)
            for m, examples in enumerate(batch):
                x[m] = standard[m].index_select(0, examples.to(device))
            logits, _ = _forward(layers, x)  # (M, b, C)
            optimizer.zero_grad()
            torch.autograd.backward(loss_of_runs(logits, labels[batch].to(device), recipe.label_smoothing))
            optimizer.step()
            schedule.step()
            done += 1
            progress("training", done, steps)
    return [values.detach() for values in layers], standard


def _forward(layers: list[Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits (…, b, C) and the hidden layer (…, b, H) of inputs (…, b, d)."""
    hidden = (x @ layers[0] + layers[1]).relu()
    return hidden @ layers[2] + layers[3], hidden


def _trained_run(inputs: _Inputs, run: _Run, layers: list[Tensor], train: Tensor) -> TrainedRun | Diverged:
    """Compute the outputs of one run for every example; train: its standardized training features."""
    logits: dict[Split, npt.NDArray[np.float16]] = {}
    hidden: dict[Split, Values] = {}
    for split, values in inputs.features.items():
        rows = train if split == "train" else inputs.scale.rows(values, run.columns).to(inputs.device)
        outputs = [_forward(layers, piece.float()) for piece in torch.split(rows, PIECE)]
        logits[split] = torch.cat([piece[0] for piece in outputs]).half().cpu().numpy()
        if run.number == 0:
            hidden[split] = torch.cat([piece[1] for piece in outputs]).cpu().numpy()
    if not all(np.isfinite(values).all() for values in logits.values()):
        return Diverged(run.number, "its loss went to NaN")
    judged: Split = "test" if "test" in logits else "train"
    accuracy = float((logits[judged].argmax(1) == inputs.labels[judged]).mean())
    trained_on = None
    if not run.whole:
        trained_on = np.zeros(len(inputs.labels["train"]), np.bool_)
        trained_on[run.examples] = True
    weights = _weights(inputs.scale, run.columns, layers)
    return TrainedRun(run.number, logits, hidden, accuracy, trained_on, weights)


def _weights(
    scale: Scale, columns: npt.NDArray[np.int64], layers: list[Tensor]
) -> dict[str, npt.NDArray[Any]]:
    """Return the weights of a run under the names of `modules.Head`."""
    w, b, last_w, last_b = (values.cpu().numpy() for values in layers)
    return {
        "columns": columns, "mean": scale.mean[columns], "factor": scale.factor[columns],
        "layers.0.weight": np.ascontiguousarray(w.T), "layers.0.bias": b[0],
        "layers.2.weight": np.ascontiguousarray(last_w.T), "layers.2.bias": last_b[0],
    }  # fmt: skip
