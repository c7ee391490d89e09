"""How the networks of an ensemble are trained: descriptions alone, plain numbers that a JSON text can hold.

One seed is one run: everything random in run r comes from `run_seed(seed, r)`, whatever other runs there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.spec import Split


@dataclass(frozen=True)
class MlpRecipe:
    """Small fully connected networks on grey levels, many trained at once by batched matrix products."""

    hidden: tuple[int, ...]  # widths of the hidden layers; the last one gives the penultimate features
    epochs: int
    batch: int
    learning_rate: float
    label_smoothing: float

    @property
    def layer(self) -> str:
        """Which activations are the penultimate features."""
        return f"hidden layer {len(self.hidden)}, after ReLU"


@dataclass(frozen=True)
class CnnRecipe:
    """A small convolutional network: a whitening layer, blocks that halve the image, a maximum over pixels, a head.

    After K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv 2404.00498; our own code. Learning rate
    and weight decay are per 1,024 examples and momentum-free, as there (its section 2).
    """

    widths: tuple[int, ...]  # channels of the blocks; the last gives the penultimate features
    whitening: int  # patches of so many pixels a side are whitened, without weights to be trained
    filters: int  # of their directions, the strongest so many, each with both signs
    stride: int  # of the whitening layer, at 32 pixels; larger images are strided over more
    activation: str  # gelu or relu
    epochs: float
    batch: int
    learning_rate: float
    bias_learning_rate: float  # times the learning rate
    momentum: float
    weight_decay: float
    label_smoothing: float
    warm_up: float  # share of the steps in which the learning rate rises
    translation: int  # pixels that an image is moved by at most, each way
    orthogonal: float = (
        0.0  # learning rate of orthogonalised updates of the convolutions; 0: plain SGD for them too
    )

    @property
    def layer(self) -> str:
        """Which activations are the penultimate features."""
        return "maximum over the pixels of the last block"


Recipe = MlpRecipe | CnnRecipe

CIFAR10 = CnnRecipe(
    widths=(64, 256, 256), whitening=2, filters=12, stride=1, activation="gelu", epochs=9.9, batch=1024,
    learning_rate=11.5, bias_learning_rate=64, momentum=0.85, weight_decay=0.0153, label_smoothing=0.2,
    warm_up=0.23, translation=2,
)  # fmt: skip
CIFAR10_SMALL = CnnRecipe(
    widths=(32, 96, 128), whitening=3, filters=12, stride=2, activation="relu", epochs=4, batch=512,
    learning_rate=11.5, bias_learning_rate=64, momentum=0.85, weight_decay=0.0153, label_smoothing=0.2,
    warm_up=0.23, translation=2, orthogonal=0.24,
)  # fmt: skip
DIGITS = MlpRecipe(hidden=(96, 48), epochs=6, batch=64, learning_rate=3e-3, label_smoothing=0.1)

RECIPES: dict[str, Recipe] = {"cifar10": CIFAR10, "cifar10-small": CIFAR10_SMALL, "digits": DIGITS}
IMAGES = {"cifar10": "CIFAR10", "cifar10-small": "CIFAR10", "digits": "digits"}
"""Recipe → the images that it is trained on where none are named, as `sources.find_images` takes them."""


@dataclass(frozen=True)
class Training:
    """An ensemble to be trained: its recipe, how many runs, and the seed of all of them."""

    recipe: Recipe
    run_count: int
    seed: int

    def content(self) -> dict[str, Any]:
        """Return the fields by the names that cache keys know them by."""
        return {"recipe": asdict(self.recipe), "runs": self.run_count, "seed": self.seed}


def run_seed(seed: int, run: int) -> int:
    """What the random generators of one run are seeded with: 0 … 2^63-1, unlike for any other seed or run."""
    words = np.random.SeedSequence([seed, run]).generate_state(2, np.uint32)
    return int(words[0]) << 31 | int(words[1]) >> 1


def as_json(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain JSON values."""
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in asdict(recipe).items()
    }


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """One run trained here. logits[split]: float16 (N, C); features[split]: floating (N, D), penultimate.

    accuracy: on the test split, a fraction.
    """

    run: int
    logits: Mapping[Split, npt.NDArray[np.float16]]
    features: Mapping[Split, npt.NDArray[Any]]
    accuracy: float


@dataclass(frozen=True)
class Diverged:
    """A run that came to nothing: its number, and why, in words that complete "run 3 was dropped: …"."""

    run: int
    why: str
