"""Alignment of two images, against planted shifts and a plain float64 search by `np.corrcoef`."""

import numpy as np
import pytest

from kernel_core.errors import RequestError
from kernel_core.explain.image_alignment import (
    Alignment,
    align,
    best_correlations,
    compare_unaligned,
    overlap,
)

rng = np.random.default_rng(3)


def image(height=16, width=12):
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("dx", "dy", "mirrored"), [(0, 0, False), (2, -1, False), (-3, 3, True), (0, 0, True)]
)
def test_planted_shift_and_mirror_are_found(dx, dy, mirrored):
    a = image()
    moved = np.roll(a, (-dy, -dx), (0, 1))  # moving it by (dx, dy) brings it back
    b = moved[:, ::-1] if mirrored else moved
    alignment = align(a, b, 3)
    assert (alignment.dx, alignment.dy, alignment.mirrored) == (dx, dy, mirrored)
    assert alignment.correlation == pytest.approx(1)
    assert (alignment.difference, alignment.equal) == (0, 1)


def test_alignment_is_the_best_of_a_plain_search():
    a, b, reach = image(9, 10), image(9, 10), 2
    best = -2.0
    for mirrored in (False, True):
        other = b[:, ::-1] if mirrored else b
        for dx in range(-reach, reach + 1):
            for dy in range(-reach, reach + 1):
                rows = [(y, x) for y in range(9) for x in range(10) if 0 <= y - dy < 9 and 0 <= x - dx < 10]
                ours = np.array([a[y, x] for y, x in rows], np.float64).ravel()
                theirs = np.array([other[y - dy, x - dx] for y, x in rows], np.float64).ravel()
                value = np.corrcoef(ours, theirs)[0, 1]
                if value > best:
                    best = value
                    expected = dx, dy, mirrored, np.abs(ours - theirs).mean()
                    equal = (ours == theirs).reshape(-1, 3).all(1).mean()
    alignment = align(a, b, reach)
    assert (alignment.dx, alignment.dy, alignment.mirrored) == expected[:3]
    assert alignment.correlation == pytest.approx(best, abs=1e-12)
    assert alignment.difference == pytest.approx(expected[3])
    assert alignment.equal == pytest.approx(equal)


def test_constant_images_are_left_where_they_are():
    grey = np.full((8, 8, 3), 128, np.uint8)
    assert align(grey, grey, 2) == Alignment(0, 0, False, 0.0, 0.0, 1.0)


def test_as_they_are_counts_equal_pixels():
    a = image(4, 4)
    b = a.copy()
    b[0, 0, 1] ^= 8  # one channel of one of 16 pixels
    alignment = compare_unaligned(a, b)
    assert alignment.equal == pytest.approx(15 / 16)
    assert alignment.difference == pytest.approx(8 / 48)


def test_overlap_shrinks_by_the_shift():
    image = np.arange(12).reshape(3, 4)
    ours, theirs = overlap(3, 4, dx=1, dy=-1)
    np.testing.assert_array_equal(image[ours], [[1, 2, 3], [5, 6, 7]])
    np.testing.assert_array_equal(image[theirs], [[4, 5, 6], [8, 9, 10]])


def test_sizes_and_reach_are_checked():
    with pytest.raises(RequestError, match="expected two of one size"):
        align(image(8, 8), image(8, 9), 1)
    with pytest.raises(RequestError, match="allow 0 to 4"):
        align(image(8, 8), image(8, 8), 5)


def test_many_pairs_at_once_correlate_as_one_by_one():
    first = np.stack([image(9, 14) for _ in range(70)])  # more than one batch
    second = np.stack([image(9, 14) for _ in range(70)])
    second[:20] = np.roll(first[:20], (1, -2), (1, 2))
    second[20:40] = np.roll(first[20:40], (-1, 1), (1, 2))[:, :, ::-1]
    second[40], first[41], second[42, :, :7] = 7, 255, 0
    for reach in (0, 2):
        one_by_one = [align(a, b, reach).correlation for a, b in zip(first, second, strict=True)]
        np.testing.assert_allclose(best_correlations(first, second, reach), one_by_one, atol=1e-12)
    assert (best_correlations(first, second, 2)[:40] > 0.999).all()
