"""How the networks of an ensemble are trained: plain numbers, which JSON can hold.

A run depends on its seed alone: everything random in run r comes from `run_seed(seed, r)`, whatever other
runs there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.spec import Split


@dataclass(frozen=True)
class MlpRecipe:
    """Small fully connected networks on gray levels, many trained at once by batched matrix products.

    hidden: widths of the hidden layers; the last layer gives the penultimate features.
    """

    hidden: tuple[int, ...]
    epochs: int
    batch: int
    learning_rate: float
    label_smoothing: float

    @property
    def layer(self) -> str:
        """Description of the penultimate features."""
        return f"hidden layer {len(self.hidden)}, after ReLU"


@dataclass(frozen=True)
class CnnRecipe:
    """A small convolutional network: whitening layer, blocks that halve the image, maximum over pixels, head.

    After K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv 2404.00498; our own code. As in
    its section 2, learning rate and weight decay are per 1,024 examples and without the effect of momentum.

    widths: channels of the blocks; the last block gives the penultimate features.
    whitening: side in pixels of the patches that are whitened; these weights are not trained.
    filters: number of the patches' strongest directions that are used, each with both signs.
    stride: of the whitening layer for images of 32 pixels; it is larger for larger images.
    activation: gelu or relu.
    bias_learning_rate: a factor of the learning rate.
    warm_up: fraction of the steps in which the learning rate rises.
    translation: pixels by which an image is moved at most, in each direction.
    orthogonal: learning rate of orthogonalized updates of the convolutions; 0 for plain SGD.
    """

    widths: tuple[int, ...]
    whitening: int
    filters: int
    stride: int
    activation: str
    epochs: float
    batch: int
    learning_rate: float
    bias_learning_rate: float
    momentum: float
    weight_decay: float
    label_smoothing: float
    warm_up: float
    translation: int
    orthogonal: float = 0.0

    @property
    def layer(self) -> str:
        """Description of the penultimate features."""
        return "maximum over the pixels of the last block"


@dataclass(frozen=True)
class PatchesRecipe:
    """Fixed features of images, after Coates, Lee and Ng, "An Analysis of Single-Layer Networks", 2011.

    Patches of the image, contrast-normalized and whitened, are compared with directions found by k-means. The
    responses of either sign are rectified and averaged over cells of the image.

    side: of the patches, in pixels; smaller in images of less than three times this side.
    directions: how many. cells: per side of the image.
    stride: pixels from one patch to the next.
    threshold: subtracted from the responses before those below 0 are set to 0.
    pixels: longest side of the images; larger ones are reduced to it.
    """

    side: int
    directions: int
    cells: int
    stride: int = 1
    threshold: float = 0.25
    pixels: int = 32


@dataclass(frozen=True)
class HeadsRecipe:
    """Small networks of two layers on fixed features, many trained at once by batched matrix products.

    hidden: width of the hidden layer, which gives the penultimate features.
    steps: least number of training steps; few examples are gone through more often than `epochs` times.
    share: of the features that a run is given, chosen at random for each run; 1 for all.
    subset: share of the training examples that a run is trained on, chosen likewise; 1 for all.
    """

    hidden: int
    epochs: int
    batch: int
    learning_rate: float
    label_smoothing: float
    weight_decay: float = 0.01
    steps: int = 50
    share: float = 1.0
    subset: float = 1.0

    def given(self, width: int) -> int:
        """Return how many of `width` features each run is given."""
        return max(1, round(self.share * width))

    @property
    def layer(self) -> str:
        """Description of the penultimate features."""
        return "hidden layer, after ReLU"


Recipe = MlpRecipe | CnnRecipe | HeadsRecipe

CIFAR10 = CnnRecipe(
    widths=(64, 256, 256),
    whitening=2,
    filters=12,
    stride=1,
    activation="gelu",
    epochs=9.9,
    batch=1024,
    learning_rate=11.5,
    bias_learning_rate=64,
    momentum=0.85,
    weight_decay=0.0153,
    label_smoothing=0.2,
    warm_up=0.23,
    translation=2,
)
CIFAR10_SMALL = replace(
    CIFAR10,
    widths=(32, 96, 128),
    whitening=3,
    stride=2,
    activation="relu",
    epochs=4,
    batch=512,
    orthogonal=0.24,
)
PATCHES = PatchesRecipe(side=6, directions=200, cells=3)
HEADS = HeadsRecipe(
    hidden=64, epochs=4, batch=256, learning_rate=6e-3, label_smoothing=0.1, share=0.25
)  # on any fixed features
HEADS_RUNS = 128  # where nobody says how many
DIGITS = MlpRecipe(hidden=(96, 48), epochs=6, batch=64, learning_rate=3e-3, label_smoothing=0.1)

RECIPES: dict[str, Recipe] = {"cifar10": CIFAR10, "cifar10-small": CIFAR10_SMALL, "digits": DIGITS}
DEFAULT_IMAGES = {"cifar10": "CIFAR10", "cifar10-small": "CIFAR10", "digits": "digits"}
"""Name of a recipe → the images to train on by default, as `sources.catalog.find_images` takes them."""


@dataclass(frozen=True)
class Training:
    """An ensemble to train. seed: that of the whole ensemble."""

    recipe: Recipe
    run_count: int
    seed: int

    @property
    def of_heads(self) -> bool:
        """Whether heads are trained; here they are on patches, as the source is nothing but images."""
        return isinstance(self.recipe, HeadsRecipe)

    def content(self) -> dict[str, Any]:
        """Return the fields under the names that they have in cache keys."""
        features = {"features": asdict(PATCHES)} if self.of_heads else {}
        return {"recipe": asdict(self.recipe), "runs": self.run_count, "seed": self.seed, **features}


def run_seed(seed: int, run: int) -> int:
    """Return the seed of one run's random generators, 0 … 2^63-1; seed: that of the whole ensemble."""
    words = np.random.SeedSequence([seed, run]).generate_state(2, np.uint32)
    return int(words[0]) << 31 | int(words[1]) >> 1


def as_json(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as plain JSON values."""
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in asdict(recipe).items()
    }


def recipe_of(values: Mapping[str, Any]) -> Recipe:
    """Return the recipe of plain JSON values, as of `as_json`. Raises `ValueError` if they are of none.

    >>> recipe_of(as_json(DIGITS)) == DIGITS, recipe_of(as_json(HEADS)) == HEADS
    (True, True)
    """
    kinds: tuple[type[Recipe], ...] = (MlpRecipe, CnnRecipe, HeadsRecipe)
    read: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
    for kind in kinds:
        if {of.name for of in fields(kind)} == set(values):
            return kind(**read)
    raise ValueError(f"no recipe has the values {', '.join(values)}")


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """One run that was trained here.

    run: its number. logits[split]: float16 (N, C). features[split]: floating (N, D), penultimate.
    accuracy: on the test split, 0 … 1; on the training split where there is no other.
    trained_on: bool (N,), which training examples it was trained on; None for all of them.
    weights: of the trained network, by name, as a module of `networks.modules` takes them; empty if not kept.
    """

    run: int
    logits: Mapping[Split, npt.NDArray[np.float16]]
    features: Mapping[Split, npt.NDArray[Any]]
    accuracy: float
    trained_on: npt.NDArray[np.bool_] | None = None
    weights: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Diverged:
    """A run whose training failed. reason: words that complete "run 3 was dropped: …"."""

    run: int
    reason: str
