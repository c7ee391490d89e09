"""The kernel of infinitely wide networks at their start, in closed form, float64, and the inputs it is of.

With ReLU, weights of variance 2 / fan-in (He et al. 2015) and no biases, the outputs of two examples over
random weights are jointly normal as the layers grow wide, with a correlation that is found layer by layer:
the first is the cosine of the inputs, and a hidden layer takes a correlation cos θ to

    (sin θ + (π − θ) cos θ) / π

It rises with the correlation, so the nearest by the closed form are the nearest by the cosine of the inputs.

Sources: Cho and Saul, "Kernel Methods for Deep Learning", 2009 (the arc-cosine kernel of degree 1); Lee et
al., "Deep Neural Networks as Gaussian Processes", 2018 (NNGP).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.block_array import unmap_large
from kernel_core.records import ExampleSet
from kernel_core.spec import Split

HIDDEN_LAYERS = 2  # of the similarity `nngp`, as the digits' networks have
BLOCK = 16_000_000  # values of pixels summed at a time
Values = npt.NDArray[np.float64]


def nngp_correlation(query: Values, database: Values, hidden_layers: int) -> Values:
    """Return the correlation of the outputs of each pair of inputs, (n, m), in [-1, 1].

    query, database: inputs (n, D) and (m, D). An input of zeros counts as at a right angle to all others.

    >>> nngp_correlation(np.eye(2), np.eye(2), 1).round(4).tolist()
    [[1.0, 0.3183], [0.3183, 1.0]]
    """
    return nngp_of_cosine(_unit(query) @ _unit(database).T, hidden_layers)


def nngp_of_cosine(cosine: npt.NDArray[np.floating], hidden_layers: int = HIDDEN_LAYERS) -> Values:
    """Return the correlation of the outputs, in [-1, 1], of the cosine of the inputs, of any shape.

    >>> nngp_of_cosine(np.array([1.0, 0.0, -1.0])).round(4).tolist()
    [1.0, 0.4937, 0.3183]
    """
    correlation = cosine.astype(np.float64)
    for _ in range(hidden_layers):
        correlation = after_relu(correlation)
    return correlation


def after_relu(correlation: Values) -> Values:
    """Return the correlation after a hidden layer of ReLU units, of that before it."""
    correlation = correlation.clip(-1, 1)
    angle = np.arccos(correlation)
    found: Values = (np.sin(angle) + (np.pi - angle) * correlation) / np.pi
    return found


def _unit(vectors: Values) -> Values:
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit: Values = np.divide(vectors, norms, out=np.zeros(vectors.shape), where=norms > 0)
    return unit


class GrayInputs:
    """What the networks see of images: gray levels minus the mean image, float64 (N, D); made when cut.

    images: uint8 (N, H, W, 3), of which D = H·W. mean: float64 (D,), in the unit of the levels, which is a
    third of a pixel value. Both are whole numbers up to 765, but for the division by the number of images.
    """

    dtype = np.dtype(np.float64)
    itemsize = dtype.itemsize

    def __init__(self, images: npt.NDArray[np.uint8], mean: Values) -> None:
        self.images, self.mean = images, mean
        self.shape = (len(images), len(mean))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, chosen: slice | npt.NDArray[Any]) -> Values:
        """Return the inputs of some images, (n, D)."""
        levels = _levels(self.images[chosen])
        unmap_large(self.images)
        return levels - self.mean


def gray_inputs(examples: Mapping[Split, ExampleSet]) -> dict[Split, GrayInputs]:
    """Return the inputs of every split, minus the mean image of the training set, or of the only split.

    Reads the images of that split once.
    """
    images = (examples["train"] if "train" in examples else next(iter(examples.values()))).images
    total: Any = 0
    size = max(1, BLOCK // max(1, int(np.prod(images.shape[1:]))))
    for start in range(0, len(images), size):
        total = total + _levels(images[start : start + size]).sum(0, dtype=np.int64)
    unmap_large(images)
    mean = total / max(1, len(images))
    return {split: GrayInputs(of_split.images, mean) for split, of_split in examples.items()}


def _levels(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Return the sums over the channels, 0 … 765, of each image's pixels, (n, D)."""
    red, green, blue = np.moveaxis(images, 3, 0)
    levels: npt.NDArray[np.int16] = red.astype(np.int16) + green + blue
    return levels.reshape(len(images), -1)
