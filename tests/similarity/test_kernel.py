"""The kernel against an oracle that shares no code with it."""

import numpy as np
import pytest
import torch

from kernel_core.errors import DataError
from kernel_core.records import Ensemble
from kernel_core.similarity.kernel import kernel_rows
from kernel_core.similarity.kernel_rows import KernelRows
from tests.support import oracle


def ensemble_of(test, train, pieces=1):
    cuts = np.array_split(np.arange(len(test)), pieces)
    parts = tuple({"test": test[cut], "train": train[cut]} for cut in cuts)
    return Ensemble(tuple(f"file {n}" for n in range(pieces)), parts)


def rows(ensemble, split):
    whole = KernelRows(ensemble, split).block(0, ensemble.example_count(split), torch.device("cpu"))
    return whole.double().numpy()


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
    # A shift of all logits of a run leaves its softmax as it is.
    shifted = planted.test + np.linspace(-2, 2, len(planted.test))[:, None, None]
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
    """Two classes share a fixed probability between them, so the log-softmax of the third never varies."""
    rng = np.random.default_rng(3)
    share = rng.uniform(0.1, 0.9, size=(10, 5))
    p = np.stack([0.5 * share, 0.5 * (1 - share), np.full_like(share, 0.5)], axis=2)
    test, train = np.log(p[:, :2]), np.log(p[:, 2:])
    third = oracle.log_softmax(test)[:, :, 2].astype(np.float64)
    assert np.ptp(third) < 1e-15, "the third class must be constant up to rounding"
    expected = np.zeros((2, 3))
    for c in (0, 1):
        for i in range(2):
            for j in range(3):
                a, b = np.log(p[:, i, c]), np.log(p[:, 2 + j, c])
                expected[i, j] += 0.9 * np.corrcoef(a, b)[0, 1] / 3
    np.testing.assert_allclose(kernel(test, train), expected, atol=1e-6)


@pytest.mark.parametrize("margin", [10, 20, 30])
def test_kernel_is_right_for_very_confident_runs(margin):
    """At a margin of 20 the winner's log-probability is -1e-8, lost in float32; at 40 a plain log-softmax
    loses it in float64, too."""
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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("transform", ["log_softmax", "none", "centred", "shift"])
@pytest.mark.parametrize("classes", [None, (3, 0)])
def test_rows_are_the_same_however_logits_lie_and_wherever_rows_go(dtype, transform, classes):
    """Runs come first in files. A part of a block of them is no contiguous matrix."""
    if transform == "shift" and classes is not None:
        return
    stored = (torch.randn(70, 90, 4, generator=torch.Generator().manual_seed(3)) * 9).to(dtype)[:, 5:75]
    stored[:, 8, 2] = 3.0 + stored[:, 8, 2] * 1e-3  # varies too little for float32
    logits = stored.permute(1, 2, 0)
    before = logits.clone()
    whole, moments = kernel_rows(logits.contiguous(), transform, classes)
    for known in (None, moments):
        place = torch.full_like(whole, torch.nan)
        rows, _ = kernel_rows(logits, transform, classes, known, out=place)
        assert rows.data_ptr() == place.data_ptr()
        assert torch.equal(place, whole)
    assert torch.equal(logits, before)
