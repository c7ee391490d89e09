"""One image laid over another: the shift and mirroring at which they correlate most, and how alike they are.

A placement (mirrored, dx, dy) mirrors the second image left to right if `mirrored`, then moves it dx pixels
to the right and dy pixels down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.errors import RequestError

Image = npt.NDArray[np.uint8]  # (H, W, 3)
Images = npt.NDArray[np.uint8]  # (n, H, W, 3)
Rectangle = tuple[slice, slice]  # rows and columns of an image
Shifts = npt.NDArray[np.int64]  # along one axis, (s,)
Sums = npt.NDArray[np.float64]  # at each shift, (n, dy, dx)
TIE = 1e-12  # correlations that differ by no more are equal
SHIFT = 2  # pixels each way; CIFAR-10's known duplicates are shifted by about as many
ALIKE = 0.9  # two images with at least this correlation of pixels count as nearly the same
BATCH = 32  # pairs laid over each other at once


@dataclass(frozen=True)
class Alignment:
    """A placement of the second image on the first, and how alike they are where they overlap.

    dx, dy, mirrored: the placement.
    correlation: of the overlapping pixels' values, in [-1, 1]; 0 if one image is constant there.
    difference: mean absolute difference of the values, 0 … 255.
    equal: share of overlapping pixels whose three values are all equal, 0 … 1.
    """

    dx: int
    dy: int
    mirrored: bool
    correlation: float
    difference: float
    equal: float


def compare_unaligned(a: Image, b: Image) -> Alignment:
    """Return how alike two images are without shift and mirroring.

    Raises `RequestError` if they differ in size.
    """
    _refuse_unequal_sizes(a, b)
    return _describe(a, b, (False, 0, 0))


def align(a: Image, b: Image, reach: int) -> Alignment:
    """Return the placement of b on a at which they correlate most.

    reach: the largest shift in pixels, each way. Of equal correlations, unmirrored is preferred, then the
    smallest shift. Raises `RequestError` if the images differ in size, or if less than half of a side could
    overlap.
    """
    _refuse_unequal_sizes(a, b)
    height, width = a.shape[:2]
    if not 0 <= reach <= min(height, width) // 2:
        raise RequestError(
            f"A shift of up to {reach} pixels was asked for; images of {width} × {height} pixels allow 0 to "
            f"{min(height, width) // 2}."
        )
    best, best_correlation = (False, 0, 0), -np.inf
    for placement in _placements(reach, reach):
        (correlation,) = correlations(*_overlaps(a[None], b[None], placement))
        if correlation > best_correlation + TIE:
            best, best_correlation = placement, correlation
    return _describe(a, b, best)


def best_correlations(first: Images, second: Images, reach: int) -> npt.NDArray[np.float64]:
    """Return the largest correlation of each image with its partner, over all placements, (n,) in [-1, 1].

    first, second: uint8 (n, H, W, 3). reach: the largest shift in pixels, each way; never more than a quarter
    of the side. The same image shifted or mirrored gives 1; an overlap of a single color gives 0.
    """
    height, width = first.shape[1:3]
    dy, dx = (np.arange(-most, most + 1) for most in (min(reach, height // 4), min(reach, width // 4)))
    count = 3.0 * (height - abs(dy))[:, None] * (width - abs(dx))  # values in the overlap at each shift
    best = np.full(len(first), -1.0)
    for begin in range(0, len(first), BATCH):
        batch = slice(begin, begin + BATCH)
        plain, mirrored = _products_by_shift(first[batch], second[batch], dy, dx)
        x, xx = _sums_by_shift(first[batch], dy, dx)
        y, yy = _sums_by_shift(second[batch], -dy, -dx)
        for xy, side in ((plain, slice(None)), (mirrored, slice(None, None, -1))):
            # The part of a mirror image that is overlapped is what the opposite dx overlaps of the image.
            values = _correlations_of_sums(count, xy, (x, xx), (y[:, :, side], yy[:, :, side]))
            np.maximum(best[batch], values.max((1, 2)), out=best[batch])
    return best


def _products_by_shift(first: Images, second: Images, dy: Shifts, dx: Shifts) -> tuple[Sums, Sums]:
    """Return the sums of products over the overlap at each shift of the second image, and of its mirror.

    One product of matrices per dy multiplies every column with every other; those that a dx lays on each
    other are one diagonal of it, in the mirror image too. Ten times as fast as one placement after the other,
    and exact: the sums are whole numbers below 2⁵³.
    """
    count, height, width = first.shape[:3]
    a, b = (images.swapaxes(1, 2).astype(np.float64) for images in (first, second))  # (n, W, H, 3)
    plain, mirrored = np.empty((2, count, len(dy), len(dx)))
    for row, y in enumerate(dy):
        (ours, _), (theirs, _) = overlap(height, width, 0, int(y))
        x, u = a[:, :, ours].reshape(count, width, -1), b[:, :, theirs].reshape(count, width, -1)
        columns = x @ u.mT  # (n, W, W)
        for column, shift in enumerate(dx):
            plain[:, row, column] = columns.trace(-shift, 1, 2)
            mirrored[:, row, column] = columns[:, :, ::-1].trace(-shift, 1, 2)
    return plain, mirrored


def _sums_by_shift(images: Images, dy: Shifts, dx: Shifts) -> tuple[Sums, Sums]:
    """Return the sums of an image's values, and of their squares, over the overlap at each shift."""
    height, width = images.shape[1:3]
    top, bottom = np.maximum(0, dy)[:, None], height + np.minimum(0, dy)[:, None]
    left, right = np.maximum(0, dx), width + np.minimum(0, dx)
    values = images.astype(np.float64)
    of_pixels = values @ np.ones(3), np.einsum("nyxc,nyxc->nyx", values, values)
    before = np.zeros((2, len(images), height + 1, width + 1))  # y, x: the sum of what is above and left
    before[:, :, 1:, 1:] = np.stack(of_pixels).cumsum(2).cumsum(3)
    plain, squared = (
        part[:, bottom, right] - part[:, top, right] - part[:, bottom, left] + part[:, top, left]
        for part in before
    )
    return plain, squared


def _correlations_of_sums(count: Sums, xy: Sums, of_x: tuple[Sums, Sums], of_y: tuple[Sums, Sums]) -> Sums:
    """Return correlations from numbers of values and exact sums of values, squares and products."""
    (x, xx), (y, yy) = of_x, of_y
    norms = np.sqrt(count * xx - x * x) * np.sqrt(count * yy - y * y)
    values: Sums = np.divide(count * xy - x * y, norms, out=np.zeros(norms.shape), where=norms > 0)
    return values.clip(-1, 1)


def correlations(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the Pearson correlation of each array's values with its partner's, (n,); 0 if one does not vary.

    first, second: (n, …) of one shape.
    """
    x, y = (values.reshape(len(values), -1).astype(np.float64) for values in (first, second))
    x -= x.mean(1, keepdims=True)
    y -= y.mean(1, keepdims=True)
    norms = np.sqrt((x * x).sum(1) * (y * y).sum(1))
    values: npt.NDArray[np.float64] = np.divide((x * y).sum(1), norms, out=np.zeros(len(x)), where=norms > 0)
    return values.clip(-1, 1)


def overlap(height: int, width: int, dx: int, dy: int) -> tuple[Rectangle, Rectangle]:
    """Return the parts of two images that lie on each other when the second is moved by (dx, dy)."""
    of_first = slice(max(0, dy), height + min(0, dy)), slice(max(0, dx), width + min(0, dx))
    of_second = slice(max(0, -dy), height + min(0, -dy)), slice(max(0, -dx), width + min(0, -dx))
    return of_first, of_second


def _placements(reach_x: int, reach_y: int) -> list[tuple[bool, int, int]]:
    """Return all placements up to these shifts in pixels, unmirrored first, then by length of the shift."""
    xs, ys = (sorted(range(-reach, reach + 1), key=abs) for reach in (reach_x, reach_y))
    shifts = sorted(((dx, dy) for dy in ys for dx in xs), key=lambda shift: shift[0] ** 2 + shift[1] ** 2)
    return [(mirrored, dx, dy) for mirrored in (False, True) for dx, dy in shifts]


def _overlaps(first: Images, second: Images, placement: tuple[bool, int, int]) -> tuple[Images, Images]:
    """Return the overlapping parts of images and their partners, both (n, h, w, 3)."""
    mirrored, dx, dy = placement
    if mirrored:
        second = second[:, :, ::-1]
    height, width = first.shape[1:3]
    (y, x), (v, u) = overlap(height, width, dx, dy)
    return first[:, y, x], second[:, v, u]


def _describe(a: Image, b: Image, placement: tuple[bool, int, int]) -> Alignment:
    mirrored, dx, dy = placement
    overlaps = _overlaps(a[None], b[None], placement)
    ours, theirs = (part[0].astype(np.int16) for part in overlaps)
    difference = np.abs(ours - theirs)  # (h, w, 3)
    return Alignment(
        dx,
        dy,
        mirrored,
        correlation=float(correlations(*overlaps)[0]),
        difference=float(difference.mean()),
        equal=float((difference == 0).all(2).mean()),
    )


def _refuse_unequal_sizes(a: Image, b: Image) -> None:
    if a.shape != b.shape:
        raise RequestError(f"The images are {a.shape} and {b.shape}; expected two of one size.")
