"""Features of images that need no training: responses to directions found among the images' own patches.

After A. Coates, H. Lee, A. Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", 2011;
our own code. Every patch of an image has its mean subtracted, is divided by its deviation, and whitened. Its
inner product with each direction, less a threshold and never below 0, is averaged over cells of the image.
The directions are found by spherical k-means (A. Coates, A. Ng, 2012) among patches of the training images.

Whitening and directions are one matrix. Images are handled in blocks of a fixed size, each by one thread, so
that the features are the same to the bit for any number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from kernel_core.machine import cores_allowed, one_thread
from kernel_core.progress import Progress, no_progress
from kernel_core.recipes import PatchesRecipe
from kernel_core.records import ExampleSet
from kernel_core.spec import Split

SAMPLE = 100_000  # patches from which whitening and directions are found
SAMPLED_IMAGES = 5000  # largest number of images that they come from
FLAT = 10.0  # added to the variance of a patch, gray levels squared: noise in a flat patch stays small
REGULAR = 0.1  # added to the variances that whitening divides by
ROUNDS = 10  # of k-means
BLOCK = {"cpu": 1_000_000, "cuda": 200_000_000}  # responses computed at a time; 4 MB stay in a CPU's cache


@dataclass(frozen=True, eq=False)
class Directions:
    """What responds to patches.

    height, width: pixels of the images that patches are taken from. side, stride: of the patches, in pixels.
    weights: float32 (3 side² + 1, directions); the last row is minus what is subtracted from the responses.
    """

    height: int
    width: int
    side: int
    stride: int
    weights: Tensor


def compute_patches(
    recipe: PatchesRecipe,
    examples: Mapping[Split, ExampleSet],
    *,
    device: torch.device | None = None,
    workers: int | None = None,
    progress: Progress = no_progress,
) -> dict[Split, npt.NDArray[np.float16]]:
    """Compute the features of every image, float16 (N, D), with directions found in the train split.

    workers: threads on a CPU, None for as many as there are cores; the features do not depend on it.
    """
    device = device or torch.device("cpu")
    threads = 1 if device.type == "cuda" else workers or cores_allowed()
    whole, done = sum(map(len, examples.values())), 0
    features: dict[Split, npt.NDArray[np.float16]] = {}
    with one_thread(), ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        directions = find_directions(recipe, examples["train"].images)
        for split, example_set in examples.items():
            blocks = []
            for block in _in_blocks(recipe, directions, example_set.images, device, pool, 2 * threads):
                blocks.append(block)
                done += len(block)
                progress("computing patches", done, whole)
            features[split] = np.concatenate(blocks)
    return features


def find_directions(recipe: PatchesRecipe, images: npt.NDArray[np.uint8]) -> Directions:
    """Find the directions among patches of these images, uint8 (N, H, W, 3), N at least 1."""
    height, width = working_size(recipe, *images.shape[1:3])
    side, generator = patch_side(recipe, height, width), np.random.default_rng(0)
    chosen = np.sort(generator.choice(len(images), min(len(images), SAMPLED_IMAGES), replace=False))
    rows, columns = height - side + 1, width - side + 1
    per_image = min(rows * columns, -(-SAMPLE // len(chosen)))
    places = generator.integers(rows * columns, size=(len(chosen), per_image))
    pieces = []
    for start in range(0, len(chosen), 256):
        x = _pixels(images[chosen[start : start + 256]], height, width)
        patches = functional.unfold(x, side).transpose(1, 2)  # (n, places, 3 side²)
        at = torch.from_numpy(places[start : start + 256])
        pieces.append(patches[torch.arange(len(at))[:, None], at].flatten(0, 1))
    patches = torch.cat(pieces)
    normal = ((patches - patches.mean(1, keepdim=True)) / _deviation(patches)[:, None]).double()
    mean = normal.mean(0)
    centered = normal - mean
    values, vectors = torch.linalg.eigh(centered.T @ centered / len(centered))
    whitening = vectors / (values.clamp_min(0) + REGULAR).sqrt() @ vectors.T
    seeds = torch.from_numpy(generator.normal(size=(recipe.directions, len(mean)))).float()
    found = spherical_means((centered @ whitening).float(), seeds)
    # d · W (p - m) = (W d) · p - (W d) · m; without its mean, W d ignores the patch's mean.
    weights = whitening @ found.double().T
    offset = mean @ weights + recipe.threshold
    weights = weights - weights.mean(0)
    return Directions(height, width, side, recipe.stride, torch.cat([weights, -offset[None]]).float())


def working_size(recipe: PatchesRecipe, height: int, width: int) -> tuple[int, int]:
    """Return the height and width to which images of this size are reduced."""
    scale = min(1.0, recipe.pixels / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def patch_side(recipe: PatchesRecipe, height: int, width: int) -> int:
    """Return the side of the patches, smaller in small images: a third of the shorter side, rounded up."""
    return min(recipe.side, -(-min(height, width) // 3))


def spherical_means(patches: Tensor, seeds: Tensor) -> Tensor:
    """Return directions of length 1, (K, d), found by k-means among patches (n, d) from seeds (K, d).

    Each patch belongs to the direction, with either sign, to which its inner product is largest.
    """
    directions = functional.normalize(seeds)
    for _ in range(ROUNDS):
        sums = directions.clone()
        for piece in torch.split(patches, 4096):
            products = piece @ directions.T
            nearest = products.abs().argmax(1)
            sums.index_add_(0, nearest, piece * products.gather(1, nearest[:, None]))
        directions = functional.normalize(sums)
    return directions


def _pixels(images: npt.NDArray[np.uint8], height: int, width: int) -> Tensor:
    """Return float32 (n, 3, height, width), -128 … 127, of images (n, H, W, 3)."""
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()
    if x.shape[2:] != (height, width):
        x = functional.interpolate(x, (height, width), mode="bilinear", antialias=True)
    return x - 128


def _deviation(patches: Tensor) -> Tensor:
    return (patches.var(-1, correction=0) + FLAT).sqrt()


def _in_blocks(
    recipe: PatchesRecipe,
    directions: Directions,
    images: npt.NDArray[np.uint8],
    device: torch.device,
    pool: ThreadPoolExecutor,
    ahead: int,
) -> Iterator[npt.NDArray[np.float16]]:
    """Yield the features of one block of images after another; ahead: blocks computed at a time."""
    size = block_size(directions, device)
    starts = range(0, len(images), size)
    weights, cells = directions.weights.to(device), cell_means(recipe, directions).to(device)

    def block(start: int) -> npt.NDArray[np.float16]:
        return _features(images[start : start + size], directions, weights, cells, size)

    for first in range(0, len(starts), ahead):
        yield from pool.map(block, starts[first : first + ahead])


def block_size(directions: Directions, device: torch.device) -> int:
    """Return how many images are handled at a time."""
    rows = (directions.height - directions.side) // directions.stride + 1
    columns = (directions.width - directions.side) // directions.stride + 1
    return max(1, BLOCK[device.type] // (rows * columns * directions.weights.shape[1]))


def cell_means(recipe: PatchesRecipe, directions: Directions) -> Tensor:
    """Return the matrix (cells, places) that averages over the places of each cell; a cell may be single."""
    rows = _means((directions.height - directions.side) // directions.stride + 1, recipe.cells)
    columns = _means((directions.width - directions.side) // directions.stride + 1, recipe.cells)
    return torch.kron(rows, columns)


def _means(places: int, cells: int) -> Tensor:
    means = torch.zeros(min(cells, places), places)
    for cell, part in enumerate(torch.arange(places).tensor_split(len(means))):
        means[cell, part] = 1 / len(part)
    return means


def _features(
    images: npt.NDArray[np.uint8], directions: Directions, weights: Tensor, cells: Tensor, size: int
) -> npt.NDArray[np.float16]:
    """Compute features (n, cells × directions) of n images, at most `size`."""
    # A product of fewer rows may round differently: a short block is filled up.
    x = torch.zeros(size, 3, directions.height, directions.width)
    x[: len(images)] = _pixels(images, directions.height, directions.width)
    x = x.to(weights.device)
    patches = functional.unfold(x, directions.side, stride=directions.stride)  # (n, 3 side², places)
    deviation = (patches.var(1, correction=0) + FLAT).sqrt()
    ones = torch.ones_like(deviation)[:, None]
    rows = torch.cat([patches / deviation[:, None], ones], 1).transpose(1, 2)  # (n, places, 3 side² + 1)
    responses = (rows @ weights).relu_()  # (n, places, directions)
    pooled: Tensor = cells @ responses  # (n, cells, directions)
    return pooled.flatten(1).half().cpu().numpy()[: len(images)]
