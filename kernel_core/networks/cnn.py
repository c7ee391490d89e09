"""One small convolutional network trained on small images, on a CPU core or a GPU.

The recipe's source: K. Jordan, arXiv 2404.00498 (whitening first layer, identity-initialised convolutions,
alternating flip, scaled head, lookahead); orthogonalised updates: K. Jordan et al., "Muon", 2024. Our own code.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from kernel_core.errors import DataError
from kernel_core.networks.outputs import outputs
from kernel_core.progress import Progress, no_progress
from kernel_core.recipes import CnnRecipe, Diverged, TrainedRun, run_seed
from kernel_core.records import ExampleSet
from kernel_core.spec import Split

WHITENED = 500_000  # patches that the whitening layer is made from, at most
WHITENED_IMAGES = 5000  # that they are of, at most
WHITENING_EPOCHS = 3  # in which its bias is trained
LOOKAHEAD = 5  # steps between two averagings of the weights
HEAD_SCALE = 1 / 9  # of the logits, which keeps label smoothing gentle at the start
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": functional.gelu, "relu": functional.relu}


class _Block(nn.Module):
    """Convolution, halving, convolution; each normalised over the batch. (b, in, h, w) → (b, out, h/2, w/2)."""

    def __init__(self, channels_in: int, channels_out: int, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels_out, momentum=0.4) for _ in range(2))
        for convolution in (self.first, self.second):
            # What the first channels carry comes through unchanged at the start.
            nn.init.dirac_(convolution.weight[: convolution.in_channels])
        for norm in self.norms:
            norm.weight.requires_grad_(False)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if min(x.shape[2:]) > 1:  # the smallest images have nothing left to halve
            x = functional.max_pool2d(x, 2)
        x = self.activation(self.norms[0](x))
        return self.activation(self.norms[1](self.second(x)))


class SmallCnn(nn.Module):
    """Images (b, 3, h, w), each channel of mean 0 and deviation 1, → logits (b, classes); `head:input` are features."""

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
        """Make the first layer turn the patches of these images (n, 3, h, w) into uncorrelated ones of equal spread.

        Its filters are the eigenvectors of the patches' covariance over the roots of its eigenvalues, the largest
        first, with both signs.
        """
        side, stride = self.whitening.kernel_size[0], self.whitening.stride[0]
        one = functional.unfold(x[:1].float(), side, stride=stride).shape[2]  # patches an image
        x = x[: 1 + WHITENED // one]
        patches = (
            functional.unfold(x.float(), side, stride=stride).transpose(1, 2).flatten(0, 1)
        )  # (n, 3 side²)
        patches = patches.double()
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))  # rising
        filters = (vectors / (values + 5e-4).sqrt()).flip(1).T[: self.filters]
        both = torch.cat([filters, -filters]).view_as(self.whitening.weight)
        self.whitening.weight.copy_(both)
        if self.whitening.bias is not None:
            self.whitening.bias.zero_()


class _Batches:
    """Random batches of the training images: moved by a few pixels, and mirrored in every other epoch."""

    def __init__(
        self,
        train: ExampleSet,
        recipe: CnnRecipe,
        device: torch.device,
        dtype: torch.dtype,
        generator: torch.Generator,
    ) -> None:
        t = self.translation = min(recipe.translation, min(train.images.shape[1:3]) - 1)
        padded = np.pad(train.images, ((0, 0), (t, t), (t, t), (0, 0)), mode="reflect")
        self.images = torch.from_numpy(padded).to(device)  # uint8 (N, h + 2t, w + 2t, 3)
        self.labels = torch.from_numpy(train.labels).to(device)
        self.size = train.images.shape[1:3]
        self.batch = min(recipe.batch, len(train))
        self.device, self.dtype, self.generator = device, dtype, generator
        self.normalize = normalizer(train, device, dtype)
        self.mirrored = self._random(2, len(train)).bool()
        self.epoch = 0

    def __len__(self) -> int:
        """Batches an epoch; what is left over waits for another order."""
        return len(self.labels) // self.batch

    def _random(self, below: int, count: int) -> Tensor:
        return torch.randint(below, (count,), generator=self.generator, device=self.device)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch: inputs (b, 3, h, w), channels last, and labels (b,)."""
        order = torch.randperm(len(self.labels), generator=self.generator, device=self.device)
        for indices in torch.split(order[: len(self) * self.batch], self.batch):
            yield self.normalize(self._moved(indices).permute(0, 3, 1, 2)), self.labels[indices]
        self.epoch += 1

    def _moved(self, indices: Tensor) -> Tensor:
        """The images, uint8 (b, h, w, 3), each moved by its own random step; mirrored in turn (alternating flip)."""
        h, w = self.size
        down, right = (self._random(2 * self.translation + 1, len(indices))[:, None] for _ in range(2))
        rows = down + torch.arange(h, device=self.device)  # (b, h)
        columns = torch.arange(w, device=self.device).expand(len(indices), -1)
        mirrored = self.mirrored[indices] ^ bool(self.epoch % 2)
        columns = right + torch.where(mirrored[:, None], w - 1 - columns, columns)  # (b, w)
        return self.images[indices[:, None, None], rows[:, :, None], columns[:, None, :]]


def normalizer(train: ExampleSet, device: torch.device, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """uint8 (b, 3, h, w) → each channel of mean 0 and deviation 1 over the training set."""
    mean, deviation = (
        torch.from_numpy(reduced.astype(np.float32)).view(1, 3, 1, 1).to(device)
        for reduced in (
            _over_images(train.images, np.mean),
            np.maximum(_over_images(train.images, np.std), 1.0),
        )
    )

    def normalize(x: Tensor) -> Tensor:
        return x.float().sub_(mean).div_(deviation).to(dtype).contiguous(memory_format=torch.channels_last)

    return normalize


def _over_images(
    images: npt.NDArray[np.uint8], reduce: Callable[..., npt.NDArray[np.float64]]
) -> npt.NDArray[np.float64]:
    """A figure a channel (3,), of at most 10,000 images spread over the set."""
    return reduce(images[:: max(1, len(images) // 10_000)], axis=(0, 1, 2), dtype=np.float64)


class _Descent:
    """Nesterov SGD on a triangular schedule, with biases quicker than weights; and lookahead over the weights."""

    def __init__(self, recipe: CnnRecipe, network: SmallCnn, steps: int, batch: int) -> None:
        self.recipe, self.network, self.steps, self.step = recipe, network, steps, 0
        # After arXiv 2404.00498: rates are per 1,024 examples and as if there were no momentum.
        scale = 1024 * (1 + 1 / (1 - recipe.momentum))
        rate, decay = recipe.learning_rate / scale, recipe.weight_decay * batch / scale
        trained = [p for p in network.parameters() if p.requires_grad]
        self.filters = [p for p in trained if p.ndim == 4] if recipe.orthogonal else []
        slow = [p for p in trained if p.ndim > 1 and not any(p is f for f in self.filters)]
        quick, quick_rate = [p for p in trained if p.ndim == 1], rate * recipe.bias_learning_rate
        self.sgd = torch.optim.SGD(
            [
                {"params": quick, "lr": quick_rate, "weight_decay": decay / quick_rate},
                {"params": slow, "lr": rate, "weight_decay": decay / rate},
            ],
            momentum=recipe.momentum, nesterov=True,
        )  # fmt: skip
        self.rates = [group["lr"] for group in self.sgd.param_groups]
        self.momenta = [torch.zeros_like(p) for p in self.filters]
        self.slow_weights = [value.clone() for value in self._weights()]

    def _weights(self) -> list[Tensor]:
        return [value for value in self.network.state_dict().values() if value.is_floating_point()]

    def advance(self, loss: Tensor) -> None:
        """One step down the gradient of the loss."""
        for p in self.network.parameters():
            p.grad = None
        torch.autograd.backward(loss)
        share = self.step / self.steps
        warm_up = self.recipe.warm_up
        height = (
            0.2 + 0.8 * share / warm_up if share < warm_up else 1 - 0.93 * (share - warm_up) / (1 - warm_up)
        )
        for group, rate in zip(self.sgd.param_groups, self.rates, strict=True):
            group["lr"] = rate * height
        self.sgd.step()
        for p, momentum in zip(self.filters, self.momenta, strict=True):
            _turn(p, momentum, self.recipe.orthogonal * height)
        self.step += 1
        if self.step % LOOKAHEAD == 0:
            self.look_ahead(0.95**LOOKAHEAD * (self.step / self.steps) ** 3)

    @torch.no_grad()
    def look_ahead(self, kept: float) -> None:
        """Move the slow weights to the quick ones, but for a share that is kept, and go on from there."""
        for slow, value in zip(self.slow_weights, self._weights(), strict=True):
            slow.lerp_(value, 1 - kept)
            value.copy_(slow)


@torch.no_grad()
def _turn(weights: Tensor, momentum: Tensor, rate: float) -> None:
    """A step of equal size in every direction that the gradient has (Muon), the weights' norm held."""
    assert weights.grad is not None
    momentum.mul_(0.6).add_(weights.grad)
    x = weights.grad.add(momentum, alpha=0.6).flatten(1)
    x = x / (x.norm() + 1e-7)
    wide = x if len(x) <= x.shape[1] else x.T
    for _ in range(
        3
    ):  # Newton-Schulz iteration towards U V' of the singular value decomposition; K. Jordan's numbers
        square = wide @ wide.T
        wide = 3.4445 * wide + (-4.7750 * square + 2.0315 * square @ square) @ wide
    step = wide if len(x) <= x.shape[1] else wide.T
    weights.mul_(len(weights) ** 0.5 / weights.norm()).sub_(step.reshape(weights.shape), alpha=rate)


def train_runs(
    recipe: CnnRecipe,
    examples: Mapping[Split, ExampleSet],
    runs: Sequence[int],
    seed: int,
    *,
    device: torch.device | None = None,
    progress: Progress = no_progress,
) -> list[TrainedRun | Diverged]:
    """Train the network of each run on the train split, one after the other; what each says of both splits."""
    device = device or torch.device("cpu")
    torch.backends.cudnn.deterministic = True  # on a GPU too, one seed is one run
    return [_train(recipe, examples, run, seed, device, progress) for run in runs]


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
    with torch.random.fork_rng(devices=[]):  # the layers' own initialisation knows no generator
        torch.manual_seed(run_seed(seed, run))
        network = SmallCnn(recipe, max(train.images.shape[1:3]), len(train.class_names))
    generator = torch.Generator(device).manual_seed(run_seed(seed, run))
    batches = _Batches(train, recipe, device, dtype, generator)
    some = torch.from_numpy(train.images[:WHITENED_IMAGES]).permute(0, 3, 1, 2).to(device)
    network = network.to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.float()  # its sums over a batch would overflow in half precision
    network.whiten(batches.normalize(some))
    if not _descend(recipe, network, batches, progress):
        return Diverged(run, "its loss went to NaN")
    try:
        said = {
            s: outputs(network, e.images, transform=batches.normalize, layer="head:input")
            for s, e in examples.items()
        }
    except DataError:  # not finite, after a last step that the loss does not show
        return Diverged(run, "its outputs are NaN or infinite")
    logits = {s: values.astype(np.float16) for s, (values, _) in said.items()}
    features = {s: values for s, (_, values) in said.items() if values is not None}
    accuracy = float((logits["test"].argmax(1) == examples["test"].labels).mean())
    return TrainedRun(run, logits, features, accuracy)


def _descend(recipe: CnnRecipe, network: SmallCnn, batches: _Batches, progress: Progress) -> bool:
    """Train the network in place; whether its loss stayed finite, looked at once an epoch."""
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
