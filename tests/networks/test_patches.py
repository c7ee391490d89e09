"""Features computed from the images alone: patches of them, compared with directions."""

from dataclasses import replace

import numpy as np
import pytest

from kernel_core.networks import patches
from kernel_core.networks.patches import compute_patches, find_directions, patch_side, working_size
from kernel_core.recipes import PATCHES
from kernel_core.records import ExampleSet

FEW = replace(PATCHES, directions=20)


def images_of(count, height=16, width=16, seed=0):
    """Return smooth random images, uint8 (count, height, width, 3)."""
    noise = np.random.default_rng(seed).normal(size=(count, height + 4, width + 4, 3))
    for axis in (1, 2):
        noise = np.cumsum(noise, axis)
        noise = np.take(noise, range(4, noise.shape[axis]), axis) - np.take(
            noise, range(noise.shape[axis] - 4), axis
        )
    return (128 + 12 * noise).clip(0, 255).astype(np.uint8)


def examples_of(train, test=None):
    sets = {"train": train} if test is None else {"train": train, "test": test}
    return {s: ExampleSet(s, images, np.zeros(len(images), np.int64), ("a",)) for s, images in sets.items()}


def slow_features(recipe, directions, image):
    """Compute one image's features patch by patch in float64; image: (H, W, 3) of the working size."""
    side, stride, cells = directions.side, recipe.stride, recipe.cells
    weights = directions.weights.double().numpy()
    rows = range(0, image.shape[0] - side + 1, stride)
    columns = range(0, image.shape[1] - side + 1, stride)
    responses = np.zeros((2, len(rows), len(columns), weights.shape[1]))
    for i, y in enumerate(rows):
        for j, x in enumerate(columns):
            patch = image[y : y + side, x : x + side].astype(np.float64).ravel()
            normal = (patch - patch.mean()) / np.sqrt(patch.var() + 10)
            products = normal @ weights[:-1] + weights[-1]
            responses[:, i, j] = np.maximum(np.stack([products, -products]) - recipe.threshold, 0)
    parts = []
    for band in [b for sign in responses for b in np.array_split(sign, min(cells, len(rows)), axis=0)]:
        parts += [cell.mean((0, 1)) for cell in np.array_split(band, min(cells, len(columns)), axis=1)]
    return np.concatenate(parts)


@pytest.mark.parametrize("recipe", [FEW, replace(FEW, stride=2, cells=3, side=5)], ids=["plain", "stride"])
def test_patches_equal_those_of_a_slow_calculation(recipe):
    images = images_of(12)
    features = compute_patches(recipe, examples_of(images, images[3:5]))
    directions = find_directions(recipe, images)
    expected = np.stack([slow_features(recipe, directions, image) for image in images])
    assert features["train"].dtype == np.float16
    np.testing.assert_allclose(features["train"], expected, atol=2e-3)
    np.testing.assert_array_equal(features["test"], features["train"][3:5])
    assert expected.std(0).max() > 0.05


def test_whitened_patches_have_unit_covariance():
    # With as many directions as there are dimensions, W' C W + regularization is the identity on the span.
    images = images_of(40)
    directions = find_directions(replace(FEW, directions=300), images)
    side = directions.side
    windows = np.lib.stride_tricks.sliding_window_view(images, (side, side), axis=(1, 2))
    raw = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, 3 * side**2).astype(np.float64)
    normal = (raw - raw.mean(1, keepdims=True)) / np.sqrt(raw.var(1, keepdims=True) + 10)
    weights = directions.weights.double().numpy()
    responses = normal @ weights[:-1] + weights[-1]
    assert np.abs(responses.mean(0)).max() < 0.05
    assert 0.3 < np.median(responses.std(0)) < 1.05  # below 1 where little varies: the regularization


@pytest.mark.parametrize("workers", [2, 3])
def test_patches_are_the_same_with_any_number_of_workers(workers):
    examples = examples_of(images_of(150), images_of(31, seed=1))
    recipe = replace(FEW, directions=100)
    alone = compute_patches(recipe, examples, workers=1)
    together = compute_patches(recipe, examples, workers=workers)
    for split in examples:
        np.testing.assert_array_equal(together[split], alone[split])


def test_patches_do_not_depend_on_the_place_in_a_block(monkeypatch):
    images = images_of(40)
    whole = compute_patches(FEW, examples_of(images, images))
    moved = compute_patches(FEW, examples_of(images, images[7:]))
    np.testing.assert_array_equal(moved["test"], whole["test"][7:])
    monkeypatch.setitem(patches.BLOCK, "cpu", 3 * 11 * 11 * 20)  # blocks of three images
    np.testing.assert_allclose(compute_patches(FEW, examples_of(images))["train"], whole["train"], atol=1e-3)


def test_directions_come_from_the_training_images_alone():
    train = images_of(30)
    first = compute_patches(FEW, examples_of(train, images_of(5, seed=1)))
    second = compute_patches(FEW, examples_of(train, images_of(9, seed=2)))
    np.testing.assert_array_equal(first["train"], second["train"])
    other = compute_patches(FEW, examples_of(images_of(30, seed=3), images_of(5, seed=1)))
    assert not np.array_equal(first["test"], other["test"])


def test_a_shifted_noisy_copy_is_the_nearest():
    large = images_of(60, 24, 24)
    train, rng = large[:, 2:22, 2:22], np.random.default_rng(0)
    test = (large[:20, 3:23, 1:21] + rng.normal(0, 4, (20, 20, 20, 3))).clip(0, 255).astype(np.uint8)
    features = compute_patches(replace(PATCHES, directions=100), examples_of(train, test))
    unit = {
        s: x / np.linalg.norm(x, axis=1, keepdims=True)
        for s, x in ((s, v.astype(float)) for s, v in features.items())
    }
    np.testing.assert_array_equal((unit["test"] @ unit["train"].T).argmax(1), np.arange(20))


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (8, 8), (5, 30), (40, 7)])
def test_images_of_any_size_have_features(shape):
    features = compute_patches(FEW, examples_of(images_of(9, *shape)))["train"]
    assert len(features) == 9
    assert features.shape[1] % 40 == 0
    assert np.isfinite(features).all()
    if shape != (1, 1):
        assert features.std(0).max() > 0


@pytest.mark.parametrize("level", [0, 128, 255])
def test_constant_images_are_all_alike_and_finite(level):
    images = np.full((4, 12, 12, 3), level, np.uint8)
    features = compute_patches(FEW, examples_of(images, images_of(3, 12, 12)))
    assert all(np.isfinite(values).all() for values in features.values())
    assert (features["train"] == features["train"][0]).all()


def test_gray_images_and_a_single_image_have_features():
    gray = np.repeat(images_of(1)[..., :1], 3, axis=3)
    features = compute_patches(replace(PATCHES, directions=500), examples_of(gray))["train"]
    assert features.shape == (1, 2 * 500 * PATCHES.cells**2)
    assert np.isfinite(features).all()
    assert features.max() > 0


def test_splits_of_different_sizes_are_brought_to_one():
    features = compute_patches(FEW, examples_of(images_of(6, 16, 16), images_of(4, 64, 48)))
    assert features["test"].shape == (4, features["train"].shape[1])


@pytest.mark.filterwarnings("error")
def test_images_that_cannot_be_written_are_read():
    images = images_of(6)
    images.flags.writeable = False  # as in a mapped file
    assert len(compute_patches(FEW, examples_of(images))["train"]) == 6


def test_sizes_follow_the_recipe():
    assert working_size(replace(PATCHES, pixels=32), 224, 112) == (32, 16)
    assert working_size(replace(PATCHES, pixels=32), 8, 9) == (8, 9)
    assert [patch_side(PATCHES, n, n) for n in (1, 3, 8, 16, 18, 32)] == [1, 1, 3, 6, 6, 6]


def test_progress_counts_images():
    seen = []
    compute_patches(
        FEW, examples_of(images_of(6), images_of(4)), progress=lambda *report: seen.append(report)
    )
    assert seen[-1] == ("computing patches", 10, 10)
