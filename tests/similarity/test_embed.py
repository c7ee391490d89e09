"""The definition of the similarities, against an oracle that shares no code with them."""

import numpy as np
import pytest
import torch

from kernel_core.errors import DataError
from kernel_core.records import Ensemble
from kernel_core.similarity.kernel_rows import KernelRows
from kernel_core.similarity.vectors import CosineRows, EuclideanRows, minus_distances
from tests.support import oracle


def ensemble_of(test, train, pieces=1):
    cuts = np.array_split(np.arange(len(test)), pieces)
    parts = tuple({"test": test[cut], "train": train[cut]} for cut in cuts)
    return Ensemble(tuple(f"file {n}" for n in range(pieces)), parts)


def rows(ensemble, split):
    return (
        KernelRows(ensemble, split)
        .block(0, ensemble.example_count(split), torch.device("cpu"))
        .double()
        .numpy()
    )


def kernel(test, train, pieces=1):
    ensemble = ensemble_of(test, train, pieces)
    return rows(ensemble, "test") @ rows(ensemble, "train").T


def test_kernel_agrees_with_oracle(planted):
    ours = kernel(planted.test, planted.train)
    np.testing.assert_allclose(ours, oracle.kernel(planted.test, planted.train), atol=1e-6)


@pytest.mark.parametrize("pieces", [2, 5])
def test_kernel_is_the_same_however_runs_are_spread_over_files(planted, pieces):
    np.testing.assert_allclose(
        kernel(planted.test, planted.train, pieces), kernel(planted.test, planted.train), atol=1e-6
    )


def test_kernel_of_an_example_with_itself_is_the_largest_value(planted):
    M = len(planted.train)
    own = kernel(planted.train, planted.train)
    np.testing.assert_allclose(np.diag(own), (M - 1) / M, atol=1e-6)
    assert own.max() <= (M - 1) / M + 1e-6


def test_kernel_uses_log_softmax_not_logits(planted):
    shifted = (
        planted.test + np.linspace(-2, 2, len(planted.test))[:, None, None]
    )  # the same softmax in every run
    np.testing.assert_allclose(
        kernel(shifted.astype(np.float64), planted.train), kernel(planted.test, planted.train), atol=1e-6
    )


def test_constant_class_contributes_zero():
    rng = np.random.default_rng(2)
    test, train = rng.normal(size=(12, 6, 4)), rng.normal(size=(12, 9, 4))
    test[:, 0] = [1.0, -2.0, 0.5, 3.0]  # no class of example 0 varies
    train[:, 3] = test[0, 0]
    ours = kernel(test, train)
    assert np.isfinite(ours).all()
    assert not ours[0].any()
    assert not ours[:, 3].any()
    np.testing.assert_allclose(ours, oracle.kernel(test, train), atol=1e-6)


def test_one_constant_class_among_varying_ones_contributes_zero():
    """Two classes share out the probability with their sum fixed, so the third one's log-softmax never varies."""
    rng = np.random.default_rng(3)
    share = rng.uniform(0.1, 0.9, size=(10, 5))
    p = np.stack([0.5 * share, 0.5 * (1 - share), np.full_like(share, 0.5)], axis=2)
    test, train = np.log(p[:, :2]), np.log(p[:, 2:])
    Z = oracle.log_softmax(test)[:, :, 2].astype(np.float64)
    assert np.ptp(Z) < 1e-15  # constant up to rounding
    expected = np.zeros((2, 3))
    for c in (0, 1):
        for i in range(2):
            for j in range(3):
                a, b = np.log(p[:, i, c]), np.log(p[:, 2 + j, c])
                expected[i, j] += 0.9 * np.corrcoef(a, b)[0, 1] / 3
    np.testing.assert_allclose(kernel(test, train), expected, atol=1e-6)


@pytest.mark.parametrize("margin", [10, 20, 30])
def test_kernel_is_right_for_very_confident_runs(margin):
    """At a margin of 20 the winner's log-probability is -1e-8: float32 has nothing left of it, float64's plain
    log-softmax has nothing left at 40."""
    rng = np.random.default_rng(4)
    test, train = rng.normal(size=(30, 8, 3)), rng.normal(size=(30, 20, 3))
    test[:, :, 0] += margin
    train[:, :, 0] += margin
    np.testing.assert_allclose(
        kernel(test.astype(np.float16), train.astype(np.float16)),
        oracle.kernel(test.astype(np.float16), train.astype(np.float16)),
        atol=1e-6,
    )


def test_two_runs_suffice_and_one_is_refused(planted):
    two = kernel(planted.test[:2], planted.train[:2])
    np.testing.assert_allclose(two, oracle.kernel(planted.test[:2], planted.train[:2]), atol=1e-6)
    with pytest.raises(DataError, match="has 1 run"):
        kernel(planted.test[:1], planted.train[:1])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_logit_is_refused_by_name(planted, bad):
    train = planted.train.copy()
    train[17, 90, 3] = bad
    with pytest.raises(
        DataError, match=r"file 1: the train logit of run 5, example 90, class 3 is -?(nan|inf)"
    ):
        kernel(planted.test, train, pieces=2)


def test_cosine_rows_agree_with_numpy():
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(6, 9)), rng.normal(size=(7, 9))
    a[2] = 0  # a zero vector is similar to nothing
    device = torch.device("cpu")
    ours = CosineRows(a).block(0, 6, device) @ CosineRows(b).block(0, 7, device).T
    with np.errstate(invalid="ignore"):
        expected = np.nan_to_num((a @ b.T) / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)))
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_centered_cosine_is_the_correlation_of_pixels():
    rng = np.random.default_rng(6)
    a, b = rng.integers(0, 256, (5, 48), dtype=np.uint8), rng.integers(0, 256, (4, 48), dtype=np.uint8)
    device = torch.device("cpu")
    ours = (
        CosineRows(a, centered=True).block(0, 5, device) @ CosineRows(b, centered=True).block(0, 4, device).T
    )
    np.testing.assert_allclose(ours, np.corrcoef(a, b)[:5, 5:], atol=1e-6)


def test_euclidean_rows_give_distances_even_of_twins_far_from_the_origin():
    rng = np.random.default_rng(7)
    b = 1_000 + rng.normal(size=(30, 16))
    a = b[:4].copy()
    a[1] += 1e-3
    center, device = b.mean(0), torch.device("cpu")
    squared = (
        EuclideanRows(a, center, is_query=True).block(0, 4, device)
        @ EuclideanRows(b, center, is_query=False).block(0, 30, device).T
    )
    expected = -np.linalg.norm(a[:, None] - b[None], axis=2)
    np.testing.assert_allclose(minus_distances(squared.numpy()), expected, atol=1e-6)
