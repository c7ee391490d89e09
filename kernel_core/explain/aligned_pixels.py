"""How alike two pictures are where they fit best, shifted or mirrored: the pixels' aligned correlation, px.

px(i, j) is the largest Pearson correlation between the middle of image j, as it is or mirrored left to right,
and every window of image i of the same size. Both images are band-passed first, each color by itself: a
Gaussian of a small width minus one of a large width. That takes away brightness, slow gradients and noise,
and leaves the edges that tell one picture from another.

The measures are those of images of 32×32 pixels, and scale with the smaller side s: shifts of up to s/8
pixels each way, rounded down, so that the middle is 24×24 of 32×32 and 6×6 of 8×8; widths of 0.7/32 and 3/32
of s. Images whose smaller side is longer than `SIDE` pixels are brought down to it first, by averages over
areas; if the two splits differ in size, j is brought to the size of i. px is not quite symmetric: j loses its
border, i does not. Gray images are images of three equal colors.

A window that varies by less than `CONSTANT` gray levels has a correlation of 0 with everything.

The arithmetic is written once, in float32, for arrays of NumPy and for tensors of torch: pages compare a few
pairs with NumPy; a build compares many with torch, on a GPU too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from kernel_core.block_array import unmap_large
from kernel_core.progress import Progress, no_progress

Images = npt.NDArray[np.uint8]  # (n, H, W, 3), in memory or mapped
Array = Any  # float32, of NumPy or of torch
SIDE = 32  # pixels of the smaller side that larger images are brought down to
REACH = 8  # the smaller side is so many times the largest shift
NARROW, WIDE = 0.7 / 32, 3 / 32  # widths of the two Gaussians, as parts of the smaller side
CONSTANT = 1e-3  # gray levels, root mean square; rounding in float32 stays below a tenth of it
STEP = "comparing aligned pixels"
# All that px depends on beside the images; part of the cache's keys.
RECIPE = {"side": SIDE, "reach": REACH, "narrow": NARROW, "wide": WIDE, "constant": CONSTANT}


@dataclass(frozen=True)
class Library:
    """What computes: a module with the functions of NumPy, and how arrays go there and come back.

    piece_bytes: of what is compared at once; on a CPU, what its caches hold is fastest.
    """

    module: Any
    of_numpy: Callable[[npt.NDArray[np.float32]], Array]
    to_numpy: Callable[[Array], npt.NDArray[np.float32]]
    piece_bytes: int = 2**23


NUMPY = Library(np, lambda array: array, lambda array: array)


def aligned_pixels(
    queries: Images,
    database: Images,
    candidates: npt.NDArray[np.integer[Any]],
    *,
    library: Library = NUMPY,
    progress: Progress = no_progress,
) -> npt.NDArray[np.float32]:
    """Return px of each query image i with its candidates j, float32 (n, k) in [-1, 1].

    queries: uint8 (n, H, W, 3). database: uint8 (N, H, W, 3). candidates: (n, k), indices into the database.
    Memory does not grow with their number: images are band-passed for each piece of the queries anew, which
    takes 1.4 s more for CIFAR-10's 100,000 pairs than to keep them, and 2 GB less.
    """
    size = working_size(*queries.shape[1:3])
    of_query, of_database = _BandPass(queries, size, library), _BandPass(database, size, library)
    reach = min(size) // REACH
    window = 12 * (size[0] - 2 * reach) * (size[1] - 2 * reach)  # bytes
    step = max(1, library.piece_bytes // (window * (2 * reach + 1) ** 2))
    values = np.empty(candidates.shape, np.float32)
    for begin in range(0, len(queries), step):
        progress(STEP, begin, len(queries))
        piece = slice(begin, begin + step)
        images = of_query[np.arange(len(queries))[piece]]
        found = _largest_correlations(images, of_database[candidates[piece].ravel()], reach, library)
        values[piece] = library.to_numpy(found)
        for images_read in (queries, database):
            unmap_large(images_read)
    progress(STEP, len(queries), len(queries))
    return values.clip(-1, 1)


def working_size(height: int, width: int) -> tuple[int, int]:
    """Return height and width at which images of some size are compared: the smaller is `SIDE` at most.

    >>> working_size(32, 32), working_size(8, 8), working_size(224, 336)
    ((32, 32), (8, 8), (32, 48))
    """
    scale = min(1, SIDE / min(height, width))
    return round(height * scale), round(width * scale)


class _BandPass:
    """The band-passed images of a split, made when asked for.

    size: the height and width that they are brought to, (h, w).
    """

    def __init__(self, images: Images, size: tuple[int, int], library: Library) -> None:
        self.images, self.size, self.library = images, size, library
        self._filters = []
        for width in (NARROW, WIDE):
            down, across = (
                _gaussian(to, width * min(size)) @ _areas(side, to)
                for side, to in zip(images.shape[1:3], size, strict=True)
            )
            # All colors in one product of matrices: a row of an image is red, green, blue, red, …
            both = down, np.kron(across.T, np.eye(3))
            self._filters.append([library.of_numpy(matrix.astype(np.float32)) for matrix in both])

    def __getitem__(self, indices: npt.NDArray[np.integer[Any]]) -> Array:
        """Return the band-passed images of some indices, float32 (n, h, w, 3)."""
        step = max(1, self.library.piece_bytes // (4 * self.images[0].size))
        pieces = [self._make(self.images[indices[b : b + step]]) for b in range(0, len(indices), step)]
        return self.library.module.concatenate(pieces)

    def _make(self, images: Images) -> Array:
        count, height = images.shape[:2]
        rows = self.library.of_numpy(images.reshape(count * height, -1).astype(np.float32))
        narrow, wide = (down @ (rows @ across).reshape(count, height, -1) for down, across in self._filters)
        return (narrow - wide).reshape(count, *self.size, 3)


def _gaussian(side: int, width: float) -> npt.NDArray[np.float64]:
    """Return the matrix (side, side) that smooths a column of pixels, mirrored beyond its ends."""
    from scipy.ndimage import gaussian_filter1d  # takes 0.1 s to import

    smoothing: npt.NDArray[np.float64] = gaussian_filter1d(np.eye(side), width, axis=0)
    return smoothing


def _areas(side: int, to: int) -> npt.NDArray[np.float64]:
    """Return the matrix (to, side) that averages a column of pixels over equal parts of its length.

    >>> _areas(3, 2).round(2).tolist()
    [[0.67, 0.33, 0.0], [0.0, 0.33, 0.67]]
    """
    pixel, part = np.arange(side), np.arange(to)[:, None] * side / to
    overlap = np.minimum(pixel + 1, part + side / to) - np.maximum(pixel, part)
    areas: npt.NDArray[np.float64] = overlap.clip(0) * to / side
    return areas


def _largest_correlations(images: Array, others: Array, reach: int, library: Library) -> Array:
    """Return px of each image with its k others, (n, k). images: (n, h, w, 3). others: (n · k, h, w, 3)."""
    module = library.module
    count, h, w = images.shape[0], images.shape[1] - 2 * reach, images.shape[2] - 2 * reach
    middle = others[:, reach : reach + h, reach : reach + w]
    middles = module.stack([middle, module.flip(middle, (2,))], 1).reshape(count, -1, 3 * h * w)
    middles = middles - middles.mean(2)[:, :, None]
    corners = [(y, x) for y in range(2 * reach + 1) for x in range(2 * reach + 1)]
    windows = module.stack([images[:, y : y + h, x : x + w] for y, x in corners], 1)
    # The middles have no mean, so the windows' own drops out of the products.
    products = windows.reshape(count, len(corners), -1) @ middles.mT  # (n, windows, 2 · k)
    of_middles = _inverse_norms((middles**2).sum(2), 3 * h * w, module)
    sums, squares = (_window_sums(values.sum(3), reach, library) for values in (images, images**2))
    of_windows = _inverse_norms(squares - sums**2 / (3 * h * w), 3 * h * w, module)
    correlations = products * (of_windows[:, :, None] * of_middles[:, None])
    return module.amax(module.amax(correlations, 1).reshape(count, -1, 2), 2)


def _window_sums(values: Array, reach: int, library: Library) -> Array:
    """Return the sums of an image's values over each window, (n, windows). values: (n, h, w)."""
    down, across = (
        library.of_numpy(sliding_window_view(np.eye(side, dtype=np.float32), side - 2 * reach, 0).sum(2))
        for side in values.shape[1:]
    )
    return (down @ values @ across.T).reshape(len(values), -1)


def _inverse_norms(squares: Array, size: int, module: Any) -> Array:
    """Return 1 / norm from the sum of `size` squared deviations; 0 for what counts as constant."""
    return module.where(squares > size * CONSTANT**2, squares, module.inf) ** -0.5
