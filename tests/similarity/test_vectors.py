"""The similarities of vectors against plain NumPy."""

import numpy as np
import torch

from kernel_core.similarities import of_features
from kernel_core.similarity.vectors import CosineRows, EuclideanRows, shown_values

CPU = torch.device("cpu")
(EUCLIDEAN,) = of_features("clip", "CLIP", ("euclidean",))


def test_cosine_rows_agree_with_numpy():
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(6, 9)), rng.normal(size=(7, 9))
    a[2] = 0  # a zero vector is similar to nothing
    ours = CosineRows(a).block(0, 6, CPU) @ CosineRows(b).block(0, 7, CPU).T
    with np.errstate(invalid="ignore"):
        expected = np.nan_to_num((a @ b.T) / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)))
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_centered_cosine_is_the_correlation_of_pixels():
    rng = np.random.default_rng(6)
    a, b = rng.integers(0, 256, (5, 48), dtype=np.uint8), rng.integers(0, 256, (4, 48), dtype=np.uint8)
    ours = CosineRows(a, centered=True).block(0, 5, CPU) @ CosineRows(b, centered=True).block(0, 4, CPU).T
    np.testing.assert_allclose(ours, np.corrcoef(a, b)[:5, 5:], atol=1e-6)


def test_euclidean_rows_give_distances_even_of_twins_far_from_the_origin():
    rng = np.random.default_rng(7)
    b = 1_000 + rng.normal(size=(30, 16))
    a = b[:4].copy()
    a[1] += 1e-3
    center = b.mean(0)
    squared = (
        EuclideanRows(a, center, is_query=True).block(0, 4, CPU)
        @ EuclideanRows(b, center, is_query=False).block(0, 30, CPU).T
    )
    expected = -np.linalg.norm(a[:, None] - b[None], axis=2)
    np.testing.assert_allclose(shown_values(EUCLIDEAN, squared.numpy()), expected, atol=1e-6)
