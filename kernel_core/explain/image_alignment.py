"""Two images laid over each other: the small shift and mirroring that make them most alike, and how alike they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.errors import RequestError

Image = npt.NDArray[np.uint8]  # (H, W, 3)


@dataclass(frozen=True)
class Alignment:
    """How the second image is laid over the first, and how alike they are where they overlap.

    The second is mirrored left to right if `mirrored`, then moved dx pixels to the right and dy down. correlation: of
    the overlapping pixels' values, in [-1, 1], 0 where one of them is constant. difference: the mean absolute
    difference of these values, 0 … 255. equal: the share of overlapping pixels whose three values are all equal.
    """

    dx: int
    dy: int
    mirrored: bool
    correlation: float
    difference: float
    equal: float


def compare_unaligned(a: Image, b: Image) -> Alignment:
    """The two images without shift or mirror. Raises `RequestError` if they differ in size."""
    _refuse_unequal(a, b)
    return _measured(a, b, 0, 0, False, correlation(a, b))


def align(a: Image, b: Image, reach: int) -> Alignment:
    """The shift by at most `reach` pixels each way, with or without mirroring, of the largest correlation.

    Of equal correlations the smallest shift, unmirrored first. Raises `RequestError` if the images differ in size, or
    unless 0 <= reach and at least half of each side overlaps.
    """
    _refuse_unequal(a, b)
    if not 0 <= reach <= min(a.shape[:2]) // 2:
        raise RequestError(
            f"A shift by up to {reach} pixels was asked for; images of {a.shape[1]} × {a.shape[0]} pixels allow "
            f"0 to {min(a.shape[:2]) // 2}."
        )
    steps = sorted(range(-reach, reach + 1), key=abs)
    shifts = sorted(
        ((dx, dy) for dy in steps for dx in steps), key=lambda shift: shift[0] ** 2 + shift[1] ** 2
    )
    best: tuple[float, int, int, bool] | None = None
    for mirrored in (False, True):
        other = b[:, ::-1] if mirrored else b
        for dx, dy in shifts:
            found = correlation(*overlapping(a, other, dx, dy))
            if best is None or found > best[0] + 1e-12:
                best = found, dx, dy, mirrored
    assert best is not None
    value, dx, dy, mirrored = best
    return _measured(a, b, dx, dy, mirrored, value)


def overlapping(a: npt.NDArray[Any], b: npt.NDArray[Any], dx: int, dy: int) -> tuple[Any, Any]:
    """The parts of two images (H, W, …) that lie over each other when b is moved dx to the right and dy down."""
    H, W = a.shape[:2]
    ours = a[max(0, dy) : H + min(0, dy), max(0, dx) : W + min(0, dx)]
    theirs = b[max(0, -dy) : H + min(0, -dy), max(0, -dx) : W + min(0, -dx)]
    return ours, theirs


def correlation(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """The Pearson correlation of two arrays' values, in float64; 0 where one is constant."""
    x, y = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    x -= x.mean()
    y -= y.mean()
    norms = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / norms if norms > 0 else 0.0


def _measured(a: Image, b: Image, dx: int, dy: int, mirrored: bool, value: float) -> Alignment:
    ours, theirs = overlapping(a, b[:, ::-1] if mirrored else b, dx, dy)
    difference = np.abs(ours.astype(np.int16) - theirs.astype(np.int16))  # (h, w, 3)
    equal = (difference == 0).all(2).mean()
    return Alignment(dx, dy, mirrored, value, float(difference.mean()), float(equal))


def _refuse_unequal(a: Image, b: Image) -> None:
    if a.shape != b.shape:
        raise RequestError(f"The images are {a.shape} and {b.shape}; expected two of one size.")
