"""Histogram, threshold and label agreement against counting by hand."""

import numpy as np
import pytest

from kernel_core.findings.distribution import histogram, label_agreement_curve, window_length


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=997).astype(np.float32)


def test_bins_hold_the_ranks_they_say(values):
    binned = histogram(values, bins=23)
    assert binned.counts.sum() == len(values)
    ranked = np.sort(values.astype(np.float64))[::-1]
    for low, high, first, last in zip(
        binned.edges, binned.edges[1:], binned.first, binned.last, strict=False
    ):
        inside = ranked[first - 1 : last]
        top = high == binned.edges[-1]
        expected = ranked[(ranked >= low) & ((ranked <= high) if top else (ranked < high))]
        np.testing.assert_array_equal(inside, expected)
    assert binned.first[-1] == 1
    assert binned.last[0] == len(values)


def test_empty_bin_has_no_ranks():
    binned = histogram(np.array([0, 1], np.float32), bins=3)
    assert binned.counts.tolist() == [1, 0, 1]
    assert (binned.first[1], binned.last[1]) == (2, 1)


@pytest.mark.parametrize("count", [1, 5])
def test_equal_values_make_one_bin(count):
    binned = histogram(np.full(count, 0.25, np.float32))
    assert (binned.counts.tolist(), binned.first.tolist(), binned.last.tolist()) == ([count], [1], [count])


@pytest.mark.parametrize(("count", "window"), [(997, 49), (30, 30), (30, 1), (1, 1)])
def test_curve_is_the_share_in_the_window_and_so_far(count, window):
    agrees = np.random.default_rng(1).random(count) < 0.7
    curve = label_agreement_curve(agrees, window, points=10)
    assert curve["rank"].iloc[0] == 1
    assert curve["rank"].iloc[-1] == count
    assert curve["rank"].is_unique
    for rank, running, cumulative in curve.itertuples(index=False):
        start = min(max(0, rank - 1 - window // 2), count - window)
        assert start <= rank - 1 < start + window
        assert running == pytest.approx(agrees[start : start + window].mean())
        assert cumulative == pytest.approx(agrees[:rank].mean())


def test_window_never_exceeds_the_ranking():
    assert all(1 <= window_length(count) <= count for count in (1, 2, 19, 20, 21, 400, 10**6))
