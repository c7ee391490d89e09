"""Aligned pixels: against loops in float64, and on pictures whose copies are planted."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from kernel_core.explain.aligned_pixels import Library, aligned_pixels
from tests.support.matrix import DEVICES


def pictures(seed, count, height, width):
    """Smooth random pictures, which have edges at every scale."""
    noise = np.random.default_rng(seed).normal(size=(count, height, width, 3))
    smooth = gaussian_filter(noise, (0, height / 20, width / 20, 0), mode="wrap")
    smooth /= np.abs(smooth).max((1, 2, 3), keepdims=True)
    return (127.5 + 127 * smooth).astype(np.uint8)


def px(first, second):
    """The definition, one window after the other. Images of at most 32 pixels on the smaller side."""
    side = min(first.shape[:2])
    reach = side // 8

    def band(image):
        values = image / 255
        blurred = [
            np.stack([gaussian_filter(values[:, :, c], width * side / 32) for c in range(3)], 2)
            for width in (0.7, 3)
        ]
        return blurred[0] - blurred[1]

    x, y = band(first), band(second)
    h, w = (length - 2 * reach for length in first.shape[:2])
    middle = y[reach : reach + h, reach : reach + w]
    best = -1.0
    for crop in (middle, middle[:, ::-1]):
        for top in range(2 * reach + 1):
            for left in range(2 * reach + 1):
                window = x[top : top + h, left : left + w]
                flat = window.std() < 1e-9 or crop.std() < 1e-9
                best = max(best, 0 if flat else np.corrcoef(window.ravel(), crop.ravel())[0, 1])
    return best


@pytest.mark.parametrize(
    ("height", "width", "gray"),
    [(32, 32, False), (8, 8, False), (28, 28, True), (20, 31, False)],
    ids=["cifar", "digits", "gray", "not-square"],
)
def test_aligned_pixels_agree_with_loops_in_float64(height, width, gray):
    first, second = pictures(0, 4, height, width), pictures(1, 5, height, width)
    second[0] = np.roll(first[0], (1, -1), (0, 1))[:, ::-1]
    if gray:
        first, second = (np.repeat(images[..., :1], 3, 3) for images in (first, second))
    second[1] = 200
    candidates = np.array([[0, 1, 2], [1, 3, 4], [4, 2, 0], [3, 0, 1]])
    expected = [[px(first[i], second[j]) for j in row] for i, row in enumerate(candidates)]
    found = aligned_pixels(first, second, candidates)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert (found[candidates == 1] == 0).all()  # constant


def test_aligned_pixels_find_shifted_mirrored_and_recolored_copies():
    large = pictures(2, 1, 48, 48)[0]
    image = large[8:40, 8:40]
    copies = [
        large[4:36, 12:44],  # shifted by 4 pixels each way
        large[9:41, 6:38][:, ::-1],
        (40 + image * 0.6).astype(np.uint8),
        (image + np.linspace(0, 30, 32)[:, None, None]).clip(0, 255).astype(np.uint8),
        pictures(3, 1, 32, 32)[0],
    ]
    (found,) = aligned_pixels(image[None], np.array(copies), np.arange(5)[None])
    assert (found[:4] > 0.95).all()
    assert found[4] < 0.5


def test_aligned_pixels_bring_large_images_down_by_whole_areas():
    first, second = pictures(4, 2, 32, 40), pictures(5, 2, 32, 40)
    candidates = np.array([[0, 1], [1, 0]])
    enlarged = [images.repeat(3, 1).repeat(3, 2) for images in (first, second)]
    same = aligned_pixels(first, second, candidates)
    np.testing.assert_allclose(aligned_pixels(*enlarged, candidates), same, atol=1e-5)
    np.testing.assert_allclose(aligned_pixels(first, enlarged[1], candidates), same, atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_aligned_pixels_depend_neither_on_pieces_nor_on_the_library(device):
    import torch

    first, second = pictures(6, 30, 16, 16), pictures(7, 12, 16, 16)
    candidates = np.random.default_rng(0).integers(0, 12, (30, 5))
    whole = aligned_pixels(first, second, candidates)
    steps = []

    def torch_of(piece_bytes):
        return Library(
            torch, lambda array: torch.tensor(array, device=device), lambda it: it.cpu().numpy(), piece_bytes
        )

    for library in map(torch_of, (1, 10**6, 10**9)):
        found = aligned_pixels(
            first, second, candidates, library=library,
            progress=lambda step, done, total: steps.append((done, total)),
        )  # fmt: skip
        np.testing.assert_allclose(found, whole, atol=2e-6)
    assert steps[:2] == [(0, 30), (1, 30)]
    assert steps[-1] == (30, 30)
