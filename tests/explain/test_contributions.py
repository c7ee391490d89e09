"""What is kept of the runs, and a value split by class and run, against np.corrcoef on the raw logits."""

import logging

import numpy as np
import pytest

from kernel_core.errors import NotBuilt, StoreError
from kernel_core.explain import traces
from kernel_core.explain.contributions import explain, most_influential_runs
from kernel_core.pipeline import build
from kernel_core.results.entries import Entries
from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.results.upkeep import list_entries
from kernel_core.sources.source import SourceRequest
from tests.support import oracle
from tests.support.planted import kept


@pytest.fixture
def built(source_folder, cache):
    return build(SourceRequest(str(source_folder)))


def test_classes_and_runs_add_up_to_the_value_of_the_cache(built):
    neighbors = built.neighbors_by("kernel")
    for i in range(40):
        for j, value in zip(neighbors.indices[i, :5], neighbors.values[i, :5], strict=True):
            pair = explain(built.traces["test"].standardized(i), built.traces["train"].standardized(int(j)))
            assert pair.value == pytest.approx(value, abs=3e-4)
            assert pair.by_class.sum() == pytest.approx(pair.value, abs=1e-12)
            assert pair.by_run.sum() == pytest.approx(pair.value, abs=1e-12)


def test_correlations_are_those_of_corrcoef_on_the_raw_logits(built, planted):
    test, train = oracle.log_softmax(planted.test), oracle.log_softmax(planted.train)
    for i, j in [(0, 100), (4, 64), (12, 33)]:
        pair = explain(built.traces["test"].standardized(i), built.traces["train"].standardized(j))
        expected = [np.corrcoef(test[:, i, c], train[:, j, c])[0, 1] for c in range(5)]
        np.testing.assert_allclose(pair.correlations, np.array(expected, dtype=float), atol=1e-3)
        M = len(test)
        z = [
            (x - x.mean(0)) / x.std(0, ddof=1) for x in (test[:, i].astype(float), train[:, j].astype(float))
        ]  # (M, C)
        np.testing.assert_allclose(pair.by_run, (z[0] * z[1]).sum(1) / (M * 5), atol=1e-3)
        np.testing.assert_allclose(pair.a, z[0].T, atol=3e-3)


def test_constant_class_adds_nothing():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(12, 3, 2))
    logits[:, 1] = [1.0, 2.0]  # example 1 says the same in every run
    trace = kept(logits.astype(np.float16))
    pair = explain(trace.standardized(0), trace.standardized(1))
    assert pair.value == 0
    assert np.isfinite(pair.a).all()


def test_sure_runs_beside_one_that_is_not_keep_their_order():
    """With the mean in the middle, float16 would leave the 39 sure runs three different values."""
    rng = np.random.default_rng(0)
    margins = rng.uniform(12, 13, size=40)
    margins[7] = -3
    logits = np.zeros((40, 1, 2), np.float32)
    logits[:, 0, 0] = margins
    exact = oracle.log_softmax(logits)[:, 0, 0].astype(float)
    sure = np.arange(40) != 7
    trace = kept(logits).raw(0)[0]
    assert np.corrcoef(exact[sure], trace[sure])[0, 1] > 0.999
    centered = ((exact - exact.mean()) / exact.std()).astype(np.float16)
    assert len(set(centered[sure])) <= 3


def test_run_that_matters_most_is_named():
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(30, 2, 4))
    logits[11] += 8 * np.eye(4)[2]  # in run 11, both examples are surer of class 2
    trace = kept(logits.astype(np.float16))
    pair = explain(trace.standardized(0), trace.standardized(1))
    assert most_influential_runs(pair.by_run)[0] == 11
    assert most_influential_runs(np.array([1.0, -3.0, 3.0, 2.0]), 2).tolist() == [1, 2]


def test_float16_becomes_float32_exactly():
    every = np.arange(65_536, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    converted = traces.to_float32(finite, np.empty(finite.shape, np.float32))
    np.testing.assert_array_equal(converted, finite.astype(np.float32))
    assert (np.signbit(converted) == np.signbit(finite)).all()


def test_first_runs_alone_are_kept_where_there_are_more(source_folder, cache, planted, monkeypatch):
    monkeypatch.setattr(traces, "RUN_LIMIT", 10)
    built = build(SourceRequest(str(source_folder)))
    assert {kept.run_count for kept in built.traces.values()} == {10}
    pair = explain(built.traces["test"].standardized(2), built.traces["train"].standardized(5))
    expected = oracle.kernel(planted.test[:10], planted.train[:10])[2, 5]
    assert pair.value == pytest.approx(expected, abs=1e-3)


def test_few_runs_are_kept_of_a_large_source():
    assert traces.kept_run_count(59, 600_000) == 59
    assert traces.kept_run_count(20_000, 600_000) == 500
    assert traces.kept_run_count(500, 60_000 * 100) == 333
    assert traces.kept_run_count(500, 1_330_000 * 1_000) < 2


def test_results_of_an_older_cache_open_without_traces_and_build_adds_them(source_folder, cache, built):
    old = {entry.kind: entry.path for entry in list_entries(Store())}
    for entry in list_entries(Store()):
        if entry.kind == "rows":
            entry.path.unlink()
    request = SourceRequest(str(source_folder))
    results = open_results(request)
    assert results.traces == {}
    assert results.id == built.id
    with pytest.raises(NotBuilt):
        open_results(request, complete=True)
    steps = []
    again = build(request, progress=lambda step, *_: steps.append(step))
    assert set(steps) == {"checking the source's files", "keeping train outputs", "keeping test outputs"}
    np.testing.assert_array_equal(again.traces["test"].values, built.traces["test"].values)
    assert old["neighbors"].exists()


def test_results_too_large_for_traces_are_complete_without(source_folder, cache, monkeypatch, caplog):
    """Nothing is computed again at each verb, for what no build can keep."""
    monkeypatch.setattr(traces, "BYTE_LIMIT", 4 * 170 * 5 - 1)
    request = SourceRequest(str(source_folder))
    with caplog.at_level(logging.WARNING):
        assert build(request).traces == {}
    assert "two runs of 170 examples and 5 classes take" in caplog.text
    assert open_results(request, complete=True).why_no_traces
    steps = set()
    build(request, progress=lambda step, *_: steps.add(step))
    assert steps == {"checking the source's files"}
    monkeypatch.setattr(traces, "BYTE_LIMIT", 4 * 170 * 5)
    assert build(request).traces["train"].run_count == 2


def test_variants_keep_no_traces(source_folder, cache):
    assert build(SourceRequest(str(source_folder), query="train")).traces == {}
    assert not [entry for entry in list_entries(Store()) if entry.kind == "rows"]


def test_full_disk_leaves_results_without_traces(source_folder, cache, monkeypatch, caplog):
    def full(*_args, **_options):
        raise StoreError("cannot write to the cache (No space left on device)")

    monkeypatch.setattr(Entries, "write_traces", full)
    with caplog.at_level(logging.WARNING):
        results = build(SourceRequest(str(source_folder)))
    assert "No space left" in caplog.text
    assert results.traces == {}
    assert len(results.neighbors) == 4
