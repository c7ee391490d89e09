"""Mean and spread over the runs, against NumPy in float64, however the runs are spread over files."""

import numpy as np
import pytest
import torch

from kernel_core.errors import DataError
from kernel_core.records import Ensemble
from kernel_core.similarity.kernel import standardized
from kernel_core.similarity.kernel_rows import read_moments
from kernel_core.similarity.moments import ARRAYS, Moments, merge
from tests.support import oracle

CPU = torch.device("cpu")


def ensemble_of(logits, *cuts):
    parts = tuple({"test": part} for part in np.split(logits, cuts))
    return Ensemble(tuple(f"file {n}" for n in range(len(parts))), parts)


def moments_of(logits, *cuts, transform="log_softmax"):
    ensemble = ensemble_of(logits, *cuts)
    files = range(len(ensemble.parts))
    return merge([read_moments(ensemble, f, "test", transform, CPU) for f in files])


def logits_of(seed, dtype=np.float16, M=60, N=30, C=7):
    rng = np.random.default_rng(seed)
    drift = np.linspace(0, 3, M)[:, None, None]  # late runs differ from early ones, as files do
    return (
        rng.normal(size=(M, N, C)) * rng.uniform(0.3, 4, (N, C)) + 5 * rng.normal(size=(N, C)) + drift
    ).astype(dtype)


@pytest.mark.parametrize("cuts", [(), (1,), (20, 21, 50), tuple(range(1, 60))])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_standard_deviation_is_over_all_runs_whatever_the_files(cuts, dtype):
    logits = logits_of(0, dtype)
    z = oracle.log_softmax(logits).astype(np.float64)
    computed = moments_of(logits, *cuts)
    np.testing.assert_allclose(computed.mean, z.mean(0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(np.sqrt(computed.squares.numpy() / 59), z.std(0, ddof=1), rtol=1e-6)
    np.testing.assert_allclose(computed.largest, np.abs(z).max(0), rtol=1e-6)


def test_raw_logits_need_no_softmax():
    logits = logits_of(1)
    computed = moments_of(logits, 13, transform="none")
    np.testing.assert_allclose(computed.mean, logits.astype(np.float64).mean(0), rtol=1e-6, atol=1e-6)


def test_two_fresh_runs_against_a_thousand_alike():
    """Nearly all spread is between the two files; a merge by squares of means would cancel it."""
    rng = np.random.default_rng(2)
    logits = np.concatenate([1000 + 1e-3 * rng.normal(size=(50, 4, 3)), rng.normal(size=(2, 4, 3))])
    computed = moments_of(logits, 50, transform="none")
    np.testing.assert_allclose(np.sqrt(computed.squares.numpy() / 51), logits.std(0, ddof=1), rtol=1e-9)


def test_examples_that_float32_would_blur_are_computed_in_float64():
    rng = np.random.default_rng(3)
    logits = 100 + 1e-4 * rng.normal(size=(40, 5, 3))  # spread a millionth of the size
    computed = moments_of(logits, transform="none")
    assert computed.delicate.all()
    np.testing.assert_allclose(np.sqrt(computed.squares.numpy() / 39), logits.std(0, ddof=1), rtol=1e-6)
    z, _ = standardized(torch.from_numpy(logits).permute(1, 2, 0), "none", computed)
    expected = (logits - logits.mean(0)) / logits.std(0, ddof=1) / 39**0.5
    np.testing.assert_allclose(z.permute(2, 0, 1), expected, atol=1e-6)


def test_a_slice_of_the_runs_is_standardized_over_all_of_them():
    logits = torch.from_numpy(logits_of(4)).permute(1, 2, 0)  # (N, C, M)
    whole, known = standardized(logits, "log_softmax")
    cut, _ = standardized(logits[:, :, 10:25].contiguous(), "log_softmax", known)
    np.testing.assert_allclose(cut, whole[:, :, 10:25], atol=1e-7)
    np.testing.assert_allclose(whole.double().square().sum(2), 1, atol=1e-5)


def test_moments_come_back_from_their_arrays():
    computed = moments_of(logits_of(5))
    again = Moments.from_arrays(computed.run_count, computed.arrays())
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(again, name), getattr(computed, name))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_not_finite_is_named(bad):
    logits = logits_of(6)
    logits[33, 17, 2] = bad
    with pytest.raises(DataError, match=r"file 1: the test logit of run 13, example 17, class 2 is"):
        moments_of(logits, 20)
