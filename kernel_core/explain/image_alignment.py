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
TIE = 1e-12  # correlations that differ by no more are equal


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
    best = np.full(len(first), -1.0)
    for placement in _placements(min(reach, width // 4), min(reach, height // 4)):
        np.maximum(best, correlations(*_overlaps(first, second, placement)), out=best)
    return best


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
