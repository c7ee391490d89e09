"""A small convolutional network, trained on small images on a CPU core or a GPU.

Sources of the recipe: K. Jordan, arXiv 2404.00498 (whitening first layer, convolutions initialized to the
identity, alternating flip, scaled head, lookahead); K. Jordan et al., "Muon", 2024 (orthogonalized updates).
Our own code.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from kernel_core.errors import DataError
from kernel_core.networks.batches import Batches, channel_scale
from kernel_core.networks.outputs import outputs
from kernel_core.progress import Progress, no_progress
from kernel_core.recipes import CnnRecipe, Diverged, TrainedRun, run_seed
from kernel_core.records import ExampleSet
from kernel_core.spec import Split

WHITENED = 500_000  # largest number of patches from which the whitening layer is computed
WHITENED_IMAGES = 5000  # largest number of images that they come from
WHITENING_EPOCHS = 3  # during which the bias of the whitening layer is trained
LOOKAHEAD = 5  # steps between two averages of the weights
HEAD_SCALE = 1 / 9  # factor on the logits, so that label smoothing is gentle at the start
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": functional.gelu, "relu": functional.relu}


class _Block(nn.Module):
    """Two normalized convolutions with pooling in between: (b, in, h, w) → (b, out, h/2, w/2)."""

    def __init__(self, channels_in: int, channels_out: int, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels_out, momentum=0.4) for _ in range(2))
        for convolution in (self.first, self.second):
            # The first channels start as the identity, so that a deep stack passes its input on.
            nn.init.dirac_(convolution.weight[: convolution.in_channels])
        for norm in self.norms:
            norm.weight.requires_grad_(False)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if min(x.shape[2:]) > 1:  # the smallest images cannot be halved further
            x = functional.max_pool2d(x, 2)
        x = self.activation(self.norms[0](x))
        return self.activation(self.norms[1](self.second(x)))


class SmallCnn(nn.Module):
    """The network: images (b, 3, h, w), each channel of mean 0 and deviation 1 → logits (b, classes).

    The layer `head:input` gives the penultimate features.
    """

    def __init__(self, recipe: CnnRecipe, size: int, classes: int) -> None:
        super().__init__()
        times = max(1, size // 32)
        stride, side = recipe.stride * times, max(recipe.whitening, recipe.stride * times)
        self.filters = min(recipe.filters, 3 * side * side)
        self.whitening = nn.Conv2d(3, 2 * self.filters, side, stride=stride, padding=(side - 1) // 2)
        self.whitening.weight.requires_grad_(False)
        self.activation = ACTIVATIONS[recipe.activation]
        widths = (2 * self.filters, *recipe.widths)
        blocks = (_Block(a, b, self.activation) for a, b in itertools.pairwise(widths))
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(widths[-1], classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.activation(self.whitening(x)))
        logits: Tensor = self.head(x.amax((2, 3))) * HEAD_SCALE
        return logits

    @torch.no_grad()
    def whiten(self, x: Tensor) -> None:
        """Set the first layer so that its outputs on patches of these images (n, 3, h, w) are white.

        Its filters are the eigenvectors of the covariance of the patches, divided by the square roots of the
        eigenvalues, in order of decreasing eigenvalue, each with both signs.
        """
        side, stride = self.whitening.kernel_size[0], self.whitening.stride[0]
        patches_per_image = functional.unfold(x[:1].float(), side, stride=stride).shape[2]
        x = x[: 1 + WHITENED // patches_per_image]
        patches = functional.unfold(x.float(), side, stride=stride)  # (n, 3 side², patches per image)
        patches = patches.transpose(1, 2).flatten(0, 1).double()  # (patches, 3 side²)
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))  # ascending eigenvalues
        filters = (vectors / (values + 5e-4).sqrt()).flip(1).T[: self.filters]
        both = torch.cat([filters, -filters]).view_as(self.whitening.weight)
        self.whitening.weight.copy_(both)
        if self.whitening.bias is not None:
            self.whitening.bias.zero_()


class _Descent:
    """Nesterov SGD on a triangular schedule, with a larger learning rate for biases, and lookahead."""

    def __init__(self, recipe: CnnRecipe, network: SmallCnn, steps: int, batch: int) -> None:
        self.recipe, self.network, self.steps, self.step = recipe, network, steps, 0
        # As in arXiv 2404.00498, rates are per 1,024 examples and do not include the effect of momentum.
        scale = 1024 * (1 + 1 / (1 - recipe.momentum))
        rate, decay = recipe.learning_rate / scale, recipe.weight_decay * batch / scale
        trained = [p for p in network.parameters() if p.requires_grad]
        self.filters = [p for p in trained if p.ndim == 4] if recipe.orthogonal else []
        weights = [p for p in trained if p.ndim > 1 and not any(p is f for f in self.filters)]
        biases, bias_rate = [p for p in trained if p.ndim == 1], rate * recipe.bias_learning_rate
        self.sgd = torch.optim.SGD(
            [
                {"params": biases, "lr": bias_rate, "weight_decay": decay / bias_rate},
                {"params": weights, "lr": rate, "weight_decay": decay / rate},
            ],
            momentum=recipe.momentum, nesterov=True,
        )  # fmt: skip
        self.rates = [group["lr"] for group in self.sgd.param_groups]
        self.momenta = [torch.zeros_like(p) for p in self.filters]
        self.slow_weights = [value.clone() for value in self._weights()]

    def _weights(self) -> list[Tensor]:
        return [value for value in self.network.state_dict().values() if value.is_floating_point()]

    def advance(self, loss: Tensor) -> None:
        """Take one step down the gradient of the loss."""
        for p in self.network.parameters():
            p.grad = None
        torch.autograd.backward(loss)
        share, warm_up = self.step / self.steps, self.recipe.warm_up
        if share < warm_up:
            height = 0.2 + 0.8 * share / warm_up
        else:
            height = 1 - 0.93 * (share - warm_up) / (1 - warm_up)
        for group, rate in zip(self.sgd.param_groups, self.rates, strict=True):
            group["lr"] = rate * height
        self.sgd.step()
        for p, momentum in zip(self.filters, self.momenta, strict=True):
            orthogonal_step(p, momentum, self.recipe.orthogonal * height)
        self.step += 1
        if self.step % LOOKAHEAD == 0:
            self.look_ahead(0.95**LOOKAHEAD * (self.step / self.steps) ** 3)

    @torch.no_grad()
    def look_ahead(self, kept: float) -> None:
        """Set the weights and their slow copy to an average, in which the copy has the share `kept`."""
        for slow, value in zip(self.slow_weights, self._weights(), strict=True):
            slow.lerp_(value, 1 - kept)
            value.copy_(slow)


@torch.no_grad()
def orthogonal_step(weights: Tensor, momentum: Tensor, rate: float) -> None:
    """Take a step of equal size in every direction of the gradient (Muon), keeping the weights' norm."""
    assert weights.grad is not None
    momentum.mul_(0.6).add_(weights.grad)
    x = weights.grad.add(momentum, alpha=0.6).flatten(1)
    x = x / (x.norm() + 1e-7)
    wide = x if len(x) <= x.shape[1] else x.T
    # Newton-Schulz iteration toward U V' of the singular value decomposition, with K. Jordan's coefficients.
    for _ in range(3):
        square = wide @ wide.T
        wide = 3.4445 * wide + (-4.7750 * square + 2.0315 * square @ square) @ wide
    step = wide if len(x) <= x.shape[1] else wide.T
    weights.mul_(len(weights) ** 0.5 / weights.norm()).sub_(step.reshape(weights.shape), alpha=rate)


def train_runs(
    recipe: CnnRecipe,
    examples: Mapping[Split, ExampleSet],
    run_numbers: Sequence[int],
    seed: int,
    *,
    device: torch.device | None = None,
    progress: Progress = no_progress,
) -> list[TrainedRun | Diverged]:
    """Train each run's network in turn on the train split; return their outputs for both splits."""
    device = device or torch.device("cpu")
    torch.backends.cudnn.deterministic = True  # on a GPU too, one seed is one run
    return [_train(recipe, examples, run, seed, device, progress) for run in run_numbers]


def _train(
    recipe: CnnRecipe,
    examples: Mapping[Split, ExampleSet],
    run: int,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> TrainedRun | Diverged:
    train = examples["train"]
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    with torch.random.fork_rng(devices=[]):  # layers cannot be initialized from a generator of ours
        torch.manual_seed(run_seed(seed, run))
        network = SmallCnn(recipe, max(train.images.shape[1:3]), len(train.class_names))
    generator = torch.Generator(device).manual_seed(run_seed(seed, run))
    batches = Batches(train, recipe, device, dtype, generator)
    network = network.to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    keep_norms_in_float32(network)
    some = torch.from_numpy(np.array(train.images[:WHITENED_IMAGES])).permute(0, 3, 1, 2).to(device)
    network.whiten(batches.normalize(some))
    if not descend(recipe, network, batches, progress):
        return Diverged(run, "its loss went to NaN")
    return _trained_run(run, network, batches, examples)


def keep_norms_in_float32(network: nn.Module) -> None:
    """Convert batch normalization to float32: in half precision its sums over a batch would overflow."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.float()


def _trained_run(
    run: int, network: SmallCnn, batches: Batches, examples: Mapping[Split, ExampleSet]
) -> TrainedRun | Diverged:
    """Compute the outputs of a trained network for every example."""
    logits: dict[Split, npt.NDArray[np.float16]] = {}
    features: dict[Split, npt.NDArray[np.float32]] = {}
    for split, example_set in examples.items():
        try:
            of_split, penultimate = outputs(
                network, example_set.images, transform=batches.normalize, layer="head:input"
            )
        except DataError:  # not finite after the last step, which the loss does not show
            return Diverged(run, "its outputs are NaN or infinite")
        assert penultimate is not None
        logits[split], features[split] = of_split.astype(np.float16), penultimate
    accuracy = float((logits["test"].argmax(1) == examples["test"].labels).mean())
    mean, deviation = channel_scale(examples["train"])
    state = {f"network.{name}": values.cpu().numpy() for name, values in network.state_dict().items()}
    weights = {"mean": mean, "deviation": deviation, **state}
    return TrainedRun(run, logits, features, accuracy, weights=weights)


def descend(recipe: CnnRecipe, network: SmallCnn, batches: Batches, progress: Progress) -> bool:
    """Train the network in place; return whether its loss stayed finite, which is checked once per epoch."""
    network.train()
    steps = max(1, round(recipe.epochs * len(batches)))
    descent = _Descent(recipe, network, steps, batches.batch)
    while descent.step < steps:
        total = torch.zeros((), device=batches.device)
        if batches.epoch == WHITENING_EPOCHS and network.whitening.bias is not None:
            network.whitening.bias.requires_grad_(False)
        for inputs, labels in batches:
            if descent.step == steps:
                break
            loss = functional.cross_entropy(
                network(inputs).float(), labels, label_smoothing=recipe.label_smoothing, reduction="sum"
            )
            descent.advance(loss)
            total += loss.detach()
            progress("training", descent.step, steps)
        if not torch.isfinite(total):
            return False
    descent.look_ahead(1.0)
    return True
