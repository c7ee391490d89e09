"""Mean and spread over the runs, against NumPy in float64, however the runs are spread over files."""

import numpy as np
import pytest
import torch

from kernel_core.errors import DataError
from kernel_core.records import Ensemble
from kernel_core.similarity import split_moments
from kernel_core.similarity.kernel import standardized
from kernel_core.similarity.kernel_rows import KernelRows
from kernel_core.similarity.moments import KEPT
from kernel_core.similarity.split_moments import moments_of_range
from tests.support import oracle

CPU = torch.device("cpu")


def ensemble_of(logits, *cuts):
    parts = tuple({"test": part} for part in np.split(logits, cuts))
    return Ensemble(tuple(f"file {n}" for n in range(len(parts))), parts)


def moments_of(logits, *cuts, transform="log_softmax"):
    rows = KernelRows(ensemble_of(logits, *cuts), "test", transform=transform)
    return rows.moments(CPU)[slice(0, logits.shape[1])]


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


def test_raw_logits_need_no_softmax():
    logits = logits_of(1)
    computed = moments_of(logits, 13, transform="none")
    np.testing.assert_allclose(computed.mean, logits.astype(np.float64).mean(0), rtol=1e-6, atol=1e-6)


def test_two_fresh_runs_against_a_thousand_alike():
    """Nearly all spread is between the two files; a merge by squares of means would cancel it."""
    rng = np.random.default_rng(2)
    logits = np.concatenate([1000 + 1e-3 * rng.normal(size=(50, 4, 3)), rng.normal(size=(2, 4, 3))])
    computed = moments_of(logits, 50, transform="none")
    np.testing.assert_allclose(np.sqrt(computed.squares.numpy() / 51), logits.std(0, ddof=1), rtol=1e-6)


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


@pytest.mark.parametrize("size", [1, 7, 30])
def test_moments_of_ranges_are_those_of_the_whole(size):
    ensemble = ensemble_of(logits_of(5), 20)
    ask = (ensemble, 1, "test", "log_softmax")
    whole = moments_of_range(*ask, slice(0, 30), CPU)
    parts = [moments_of_range(*ask, slice(start, start + size), CPU) for start in range(0, 30, size)]
    for name in KEPT:
        assert whole[name].dtype == np.float32
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts])[:30], whole[name])


def delicate_logits():
    """Logits of 40 runs: every third example varies by a millionth of its size, and one class by nothing."""
    rng = np.random.default_rng(7)
    logits = rng.normal(size=(40, 30, 5))
    logits[:, ::3] = 1000 * rng.normal(size=(10, 5)) + 1e-3 * rng.normal(size=(40, 10, 5))
    logits[:, :, 2] = 7
    return logits


@pytest.mark.parametrize("cuts", [(), (1,), (13, 14), tuple(range(1, 40))])
@pytest.mark.parametrize("exact_bytes", [1, 10**6])
def test_kernel_of_delicate_examples_from_kept_moments_is_exact(cuts, exact_bytes, monkeypatch):
    """Slices of the runs, standardized by float32 moments merged over files, against NumPy in float64."""
    monkeypatch.setattr(split_moments, "EXACT_BYTES", exact_bytes)
    logits = delicate_logits()
    rows = KernelRows(ensemble_of(logits, *cuts), "test", transform="none")
    parts = [rows.block(0, 30, CPU, slice(first, first + 8)).double() for first in range(0, 40, 8)]
    found = sum(part @ part.T for part in parts).numpy()
    varying = np.delete(logits, 2, axis=2)
    z = (varying - varying.mean(0)) / varying.std(0, ddof=1)
    np.testing.assert_allclose(found, np.einsum("ric,rjc->ij", z, z) / (40 * 5), atol=1e-6)


def test_spread_beyond_float32_is_computed_again():
    logits = 1e100 * np.random.default_rng(8).normal(size=(20, 4, 3))
    computed = moments_of(logits, 7, transform="none")
    spread = 1e100 * (logits / 1e100).std(0, ddof=1)
    np.testing.assert_allclose(np.sqrt(computed.squares.numpy() / 19), spread, rtol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_not_finite_is_named(bad):
    logits = logits_of(6)
    logits[33, 17, 2] = bad
    with pytest.raises(DataError, match=r"file 1: the test logit of run 13, example 17, class 2 is"):
        moments_of(logits, 20)
