"""The bootstrap over runs against one written the slow way, and against what is known of made-up examples."""

import numpy as np
import pytest

from kernel_core.explain import bootstrap
from kernel_core.explain import shortlist as shortlists
from kernel_core.explain.bootstrap import neighbor_stability, pair_interval, resamples
from kernel_core.explain.traces import Traces
from kernel_core.explain.weighted_kernel import WeightedKernel, exact_kernel
from kernel_core.spec import run_count_steps
from tests.support import oracle
from tests.support.planted import kept


def correlated(rng, runs, examples, classes, rho):
    """Return raw values (M, N, C) in which examples 1 … correlate by rho with example 0 in every class."""
    base = rng.normal(size=(runs, 1, classes))
    own = rng.normal(size=(runs, examples, classes))
    values = rho * base + np.sqrt(1 - rho**2) * own
    values[:, 0] = base[:, 0]
    return values


def as_traces(values):
    """Return values (M, N, C), which need no log-softmax, as traces."""
    z = values - np.median(values, axis=0)
    return Traces("train", (z / values.std(0)).transpose(1, 2, 0).astype(np.float16))


def slow_bootstrap(query, database, draws):
    """Return the kernel (N, B), resample by resample, of logits (M, 1, C) and (M, N, C) and runs (B, M)."""
    return np.array([oracle.kernel(query[runs], database[runs])[0] for runs in draws]).T


def drawn(weights):
    counts = np.rint(weights.values * weights.values.shape[1]).astype(int)
    return np.array([np.repeat(np.arange(len(row)), row) for row in counts])


def slow_ranks(values, index):
    """Return the rank of `index` in each resample of values (N, B), of equal ones the lower index first."""
    order = np.argsort(-np.round(values, 6), axis=0, kind="stable")
    return (order == index).argmax(0) + 1


def test_intervals_and_ranks_are_those_of_a_slow_bootstrap(planted):
    test, train = kept(planted.test, "test"), kept(planted.train)
    weights = resamples(24)
    for i in (0, 4, 12):
        stability = neighbor_stability(test.raw(i), train, 6)
        slow = slow_bootstrap(planted.test[:, i : i + 1], planted.train, drawn(weights))
        expected = np.percentile(slow[stability.nearest.indices], (2.5, 97.5), axis=1)
        np.testing.assert_allclose([stability.low, stability.high], expected, atol=1e-3)
        ranks = np.array([slow_ranks(slow, j) for j in stability.nearest.indices])
        np.testing.assert_allclose(stability.stay_shares, (ranks <= 6).mean(1), atol=0.011)  # 2 of 200
        ends = np.percentile(ranks, (2.5, 97.5), axis=1, method="nearest")
        assert np.abs(stability.rank_low - ends[0]).max() <= 1
        assert np.abs(stability.rank_high - ends[1]).max() <= 2
        assert stability.pool_size == 130


def test_few_runs_have_few_resamples_that_count_as_often_as_they_are_drawn(planted, monkeypatch):
    few = planted.test[:4], planted.train[:4]
    test, train = kept(few[0], "test"), kept(few[1])
    weights = resamples(4)
    assert len(weights.distinct()[0].draws) <= 35  # ways to draw 4 of 4 with replacement
    slow = slow_bootstrap(few[0][:, 3:4], few[1], drawn(weights))
    monkeypatch.setattr(bootstrap, "OPERAND_BYTES", 1_000)  # several groups
    stability = neighbor_stability(test.raw(3), train, 5)
    expected = np.percentile(slow[stability.nearest.indices], (2.5, 97.5), axis=1)
    np.testing.assert_allclose([stability.low, stability.high], expected, atol=3e-3)
    ranks = np.array([slow_ranks(slow, j) for j in stability.nearest.indices])
    np.testing.assert_allclose(stability.stay_shares, (ranks <= 5).mean(1), atol=0.03)
    assert stability.resample_count == 200
    j = int(stability.nearest.indices[0])
    assert pair_interval(test.raw(3), train.raw(j)) == pytest.approx(expected[:, 0], abs=3e-3)


def test_lists_are_those_of_the_first_runs(planted):
    test, train = kept(planted.test, "test"), kept(planted.train)
    stability = neighbor_stability(test.raw(3), train, 5)
    assert [listed.run_count for listed in stability.lists] == [10, 20, 24]
    for listed in stability.lists:
        kernel = oracle.kernel(planted.test[: listed.run_count, 3:4], planted.train[: listed.run_count])
        oracle.assert_neighbors(listed.indices[None], listed.values[None], kernel, 1e-3)
    assert stability.nearest.shared_count(stability.nearest) == 5


def test_interval_of_a_pair_is_that_of_its_row(planted):
    test, train = kept(planted.test, "test"), kept(planted.train)
    stability = neighbor_stability(test.raw(4), train, 3)
    j = int(stability.nearest.indices[0])
    assert pair_interval(test.raw(4), train.raw(j)) == pytest.approx(
        (stability.low[0], stability.high[0]), abs=1e-5
    )


def test_pair_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    truth, covered = 59 / 60 * 0.5, 0
    for _ in range(150):
        pair = as_traces(correlated(rng, 60, 2, 3, rho=0.5))
        low, high = pair_interval(pair.raw(0), pair.raw(1))
        covered += low <= truth <= high
    assert 0.86 <= covered / 150 <= 0.99


def test_exact_duplicate_always_stays_first():
    rng = np.random.default_rng(2)
    values = correlated(rng, 30, 400, 4, rho=0.6)
    values[:, 250] = values[:, 0]
    stability = neighbor_stability(as_traces(values).raw(0), as_traces(values[:, 1:]), 1)
    assert stability.nearest.indices.tolist() == [249]
    assert (stability.stay_shares[0], stability.rank_low[0], stability.rank_high[0]) == (1, 1, 1)
    assert stability.low[0] == pytest.approx(29 / 30, abs=1e-4)


def test_equal_examples_are_ordered_by_index_in_every_list_and_resample():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(25, 700, 3))
    values[:, [600, 20, 310]] = values[:, [0]] + 0.1 * rng.normal(size=(25, 1, 3))
    stability = neighbor_stability(as_traces(values).raw(0), as_traces(values[:, 1:]), 2)
    assert all(listed.indices.tolist() == [19, 309] for listed in stability.lists)
    assert stability.rank_high.tolist() == [1, 2]
    assert stability.stay_shares.tolist() == [1, 1]


def test_example_is_not_its_own_neighbor():
    rng = np.random.default_rng(4)
    traces = as_traces(rng.normal(size=(20, 50, 3)))
    stability = neighbor_stability(traces.raw(7), traces, 49, exclude=7)
    for listed in stability.lists:
        assert sorted([*listed.indices.tolist(), 7]) == list(range(50))
    assert (stability.pool_size, stability.stay_shares.min()) == (49, 1)


@pytest.mark.parametrize("runs", [2, 3, 4, 5])
def test_two_to_five_runs(runs):
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(runs, 30, 4)).astype(np.float16)
    traces = kept(logits)
    stability = neighbor_stability(traces.raw(0), traces, 5, exclude=0)
    assert [listed.run_count for listed in stability.lists] == [runs]
    slow = slow_bootstrap(logits[:, :1], logits, drawn(resamples(runs)))
    expected = np.percentile(slow[stability.nearest.indices], (2.5, 97.5), axis=1)
    np.testing.assert_allclose([stability.low, stability.high], expected, atol=2e-3)


def test_constant_class_and_example_contribute_nothing():
    rng = np.random.default_rng(6)
    values = rng.normal(size=(20, 40, 2))
    values[:, 5:, 1] = 3.0  # class 1 does not vary, but in the first few
    values[:, 9] = 1.0
    traces = Traces("train", (values - np.median(values, axis=0)).transpose(1, 2, 0).astype(np.float16))
    stability = neighbor_stability(traces.raw(0), traces, 39, exclude=0)
    assert np.isfinite(stability.low).all()
    assert stability.nearest.values[stability.nearest.indices.tolist().index(9)] == 0
    assert np.abs(stability.nearest.values[np.isin(stability.nearest.indices, range(5, 40))]).max() <= 0.5
    nothing = neighbor_stability(traces.raw(9), traces, 3, exclude=9)
    assert nothing.nearest.values.tolist() == [0, 0, 0]
    assert nothing.nearest.indices.tolist() == [0, 1, 2]


def test_class_that_varies_in_some_resamples_alone_is_as_in_float64():
    """One run of 20 differs: in a third of the resamples it is not drawn."""
    rng = np.random.default_rng(7)
    values = rng.normal(size=(20, 30, 2))
    values[:, :, 1] = 0
    values[4, :, 1] = rng.normal(size=30)
    traces = as_traces(values + 1e-12 * rng.normal(size=values.shape))
    weights = resamples(20)
    fast = WeightedKernel.of(traces.raw(0), weights).with_traces(traces.values)
    exact = exact_kernel(traces.raw(0), traces.values.astype(np.float64), weights)
    np.testing.assert_allclose(fast, exact, atol=1e-4)


def test_pool_of_the_nearest_gives_what_the_whole_database_does(monkeypatch):
    rng = np.random.default_rng(8)
    traces = as_traces(correlated(rng, 80, 1_500, 3, rho=0.35))
    whole = neighbor_stability(traces.raw(0), traces, 5, exclude=0)
    monkeypatch.setattr(bootstrap, "WORK", 3 * 3 * 80 * 200 * 500)
    pooled = neighbor_stability(traces.raw(0), traces, 5, exclude=0)
    assert (whole.pool_size, pooled.pool_size) == (1_499, 500)
    np.testing.assert_allclose(pooled.stay_shares, whole.stay_shares, atol=0.005)
    np.testing.assert_array_equal(pooled.low, whole.low)


def test_weights_in_groups_change_nothing(monkeypatch):
    rng = np.random.default_rng(9)
    traces = as_traces(rng.normal(size=(20, 60, 3)))
    whole = neighbor_stability(traces.raw(0), traces, 5, exclude=0)
    monkeypatch.setattr(bootstrap, "OPERAND_BYTES", 30_000)
    grouped = neighbor_stability(traces.raw(0), traces, 5, exclude=0)
    np.testing.assert_allclose(grouped.low, whole.low, atol=1e-6)
    np.testing.assert_allclose(grouped.stay_shares, whole.stay_shares, atol=0.005)


def test_steps_are_round_numbers_then_all():
    assert run_count_steps(59) == [10, 20, 50, 59]
    assert run_count_steps(1_000) == [10, 20, 50, 100, 200, 500, 1_000]
    assert run_count_steps(4) == [4]


def test_first_answer_has_the_final_intervals_and_lists(planted):
    test, train = kept(planted.test, "test"), kept(planted.train)
    first, final = bootstrap.stabilities(test.raw(4), train, 6, firsts=(40, 130))
    assert (first.pool_size, final.pool_size) == (40, 130)
    alone = neighbor_stability(test.raw(4), train, 6)
    for name in ("low", "high", "rank_low", "rank_high", "stay_shares"):
        np.testing.assert_array_equal(getattr(final, name), getattr(alone, name))
    np.testing.assert_array_equal([first.low, first.high], [final.low, final.high])
    np.testing.assert_array_equal(first.nearest.indices, final.nearest.indices)
    assert (first.rank_high <= final.rank_high).all(), "a larger pool only adds who may be nearer"
    assert (first.stay_shares >= final.stay_shares).all()


def test_shortlist_gives_the_list_and_the_intervals_of_the_whole_database(monkeypatch):
    rng = np.random.default_rng(10)
    values = correlated(rng, 30, 2_500, 3, rho=0.4)
    values[:, [7, 1_900, 2_400]] = values[:, [3]]  # equal neighbors are ordered by index here too
    traces = as_traces(values)
    whole = neighbor_stability(traces.raw(0), traces, 8, exclude=0)
    monkeypatch.setattr(shortlists, "LIMIT", 3 * 2_499)
    monkeypatch.setattr(shortlists, "LENGTH", 900)
    monkeypatch.setattr(shortlists, "BLOCK", 3 * 30 * 700)
    short = neighbor_stability(traces.raw(0), traces, 8, exclude=0)
    assert (whole.shortlisted, short.shortlisted, short.pool_size) == (0, 900, 900)
    np.testing.assert_array_equal(short.nearest.indices, whole.nearest.indices)
    np.testing.assert_array_equal(short.nearest.values, whole.nearest.values)
    np.testing.assert_allclose([short.low, short.high], [whole.low, whole.high], atol=1e-6)
    np.testing.assert_allclose(short.stay_shares, whole.stay_shares, atol=0.02)
    assert short.lists[0].shared_count(whole.lists[0]) >= 7


def test_shortlist_of_an_example_like_no_other_takes_the_lowest_indices():
    traces = Traces("train", np.zeros((50, 2, 6), np.float16))
    found = shortlists.shortlist(np.zeros((2, 6)), traces, 5, exclude=2)
    assert found.tolist() == [0, 1, 3, 4, 5]
    assert shortlists.shortlist_length(50_000, 10, 20) == 50_000, "CIFAR-10 is looked at as a whole"
    assert shortlists.shortlist_length(1_000_000, 10, 20) == 10_000
    assert shortlists.shortlist_length(200_000, 1_000, 50) == 1_000
    assert shortlists.shortlist_length(200_000, 50_000, 50) == 200
