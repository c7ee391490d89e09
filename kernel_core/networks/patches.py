"""Features of images that need no training: responses to directions found among the images' own patches.

After A. Coates, H. Lee, A. Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", 2011;
our own code. Every patch of an image has its mean subtracted, is divided by its deviation, and whitened. Its
inner product with each direction gives two features: the product, and minus the product, both less a
threshold and never below 0. They are averaged over cells of the image. The directions are found by spherical
k-means (A. Coates, A. Ng, 2012) among patches of the training images.

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

Images = npt.NDArray[np.uint8]  # (N, H, W, 3)


@dataclass(frozen=True, eq=False)
class Directions:
    """What responds to patches.

    height, width: pixels of the images that patches are taken from. side: pixels of a patch.
    weights: float32 (3 side² + 1, directions). A patch, less its mean and divided by its deviation, times all
    but the last row, plus the last row, are the inner products of the whitened patch with the directions.
    """

    recipe: PatchesRecipe
    height: int
    width: int
    side: int
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
            filled = 0
            for block in _in_blocks(directions, example_set.images, device, pool, ahead=4 * threads):
                if not filled:  # small blocks kept one by one would scatter over gigabytes
                    features[split] = np.empty((len(example_set), block.shape[1]), np.float16)
                features[split][filled : filled + len(block)] = block
                filled, done = filled + len(block), done + len(block)
                progress("computing patches", done, whole)
    return features


def find_directions(recipe: PatchesRecipe, images: Images) -> Directions:
    """Find the directions among patches of these images, at least one."""
    height, width = working_size(recipe, *images.shape[1:3])
    side, generator = patch_side(recipe, height, width), np.random.default_rng(0)
    chosen = np.sort(generator.choice(len(images), min(len(images), SAMPLED_IMAGES), replace=False))
    places = (height - side + 1) * (width - side + 1)
    per_image = min(places, -(-SAMPLE // len(chosen)))
    taken = generator.integers(places, size=(len(chosen), per_image))
    normal = torch.empty(*taken.shape, 3 * side**2, dtype=torch.float64)
    for i, (number, own) in enumerate(zip(chosen, taken, strict=True)):
        x = _pixels(images[number : number + 1], height, width)
        patches = _patches(x, side, 1) * _factors(x, side, 1)
        normal[i] = patches.reshape(places, -1)[torch.from_numpy(own)]
    normal = normal.flatten(0, 1)
    normal -= normal.mean(1, keepdim=True)
    mean = normal.mean(0)
    normal -= mean
    values, vectors = torch.linalg.eigh(normal.T @ normal / len(normal))
    whitening = vectors / (values.clamp_min(0) + REGULAR).sqrt() @ vectors.T
    seeds = torch.from_numpy(generator.normal(size=(recipe.directions, len(mean)))).float()
    found = spherical_means((normal @ whitening).float(), seeds)
    # d · W (p - m) = (W d) · p - (W d) · m; without its mean, W d ignores the mean of a patch.
    weights = whitening @ found.double().T
    weights = torch.cat([weights - weights.mean(0), -(mean @ weights)[None]])
    return Directions(recipe, height, width, side, weights.float())


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


def _in_blocks(
    directions: Directions, images: Images, device: torch.device, pool: ThreadPoolExecutor, *, ahead: int
) -> Iterator[npt.NDArray[np.float16]]:
    """Yield the features of one block of images after another; ahead: blocks computed at a time."""
    side, stride = directions.side, directions.recipe.stride
    places = ((directions.height - side) // stride + 1) * ((directions.width - side) // stride + 1)
    size = max(1, BLOCK[device.type] // (places * directions.weights.shape[1]))
    weights = directions.weights.to(device)

    def block(start: int) -> npt.NDArray[np.float16]:
        # A product of fewer rows may round differently: a short block is filled up.
        piece = images[start : start + size]
        x = torch.zeros(size, directions.height, directions.width, 3)
        x[: len(piece)] = _pixels(piece, directions.height, directions.width)
        return _features(directions, weights, x.to(device))[: len(piece)]

    starts = range(0, len(images), size)
    for first in range(0, len(starts), ahead):
        yield from pool.map(block, starts[first : first + ahead])


def _pixels(images: Images, height: int, width: int) -> Tensor:
    """Return float32 (n, height, width, 3), -128 … 127, of images (n, H, W, 3)."""
    x = torch.from_numpy(images.astype(np.float32))
    if x.shape[1:3] != (height, width):
        smaller = functional.interpolate(
            x.permute(0, 3, 1, 2), (height, width), mode="bilinear", antialias=True
        )
        x = smaller.permute(0, 2, 3, 1).contiguous()
    return x - 128


def _patches(x: Tensor, side: int, stride: int) -> Tensor:
    """Return a view of the patches of images (n, H, W, 3): (n, rows, columns, side, 3 side)."""
    n, height, width, channels = x.shape
    rows, columns = (height - side) // stride + 1, (width - side) // stride + 1
    line = width * channels
    return x.as_strided(
        (n, rows, columns, side, side * channels),
        (height * line, stride * line, stride * channels, line, 1),
    )


def _factors(x: Tensor, side: int, stride: int) -> Tensor:
    """Return 1 / the deviation of each patch, (n, rows, columns, 1, 1)."""
    moments = torch.stack([x.mean(3), x.square().mean(3)], 1)  # (n, 2, H, W)
    mean, square = functional.avg_pool2d(moments, side, stride).unbind(1)
    return ((square - mean.square()).clamp_min(0) + FLAT).rsqrt()[..., None, None]


@torch.no_grad()
def _features(directions: Directions, weights: Tensor, x: Tensor) -> npt.NDArray[np.float16]:
    """Compute features (n, D) of images (n, H, W, 3), as `_pixels` returns them."""
    recipe, side = directions.recipe, directions.side
    patches = _patches(x, side, recipe.stride)
    shape = patches.shape[:3]
    rows = torch.ones(*shape, len(weights), device=x.device)
    torch.mul(patches, _factors(x, side, recipe.stride), out=rows[..., :-1].view(patches.shape))
    products = (rows.flatten(0, 2) @ weights).view(*shape, -1)
    signed = functional.softshrink(products, recipe.threshold)
    difference = _cell_means(signed, recipe.cells)
    total = _cell_means(signed.abs_(), recipe.cells)
    both = torch.cat([total + difference, total - difference], 1).div_(2).clamp_min_(0)
    return both.half().cpu().numpy()


def _cell_means(values: Tensor, cells: int) -> Tensor:
    """Return means over the cells of the image, (n, cells × directions); values: (n, rows, columns, K)."""
    means = []
    for band in torch.tensor_split(values, min(cells, values.shape[1]), 1):
        columns = band.mean(1)  # first over the rows: ten times as fast as over both
        means += [cell.mean(1) for cell in torch.tensor_split(columns, min(cells, columns.shape[1]), 1)]
    return torch.cat(means, 1)
