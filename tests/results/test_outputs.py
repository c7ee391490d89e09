"""Outputs of single examples, read anew where a build keeps none, or of too few runs."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from kernel_core.errors import NotBuilt
from kernel_core.explain import traces
from kernel_core.explain.bootstrap import neighbor_stability, stability_among
from kernel_core.explain.exact_traces import exact_traces
from kernel_core.explain.traces import Traces, standardize
from kernel_core.pipeline import build
from kernel_core.results import outputs
from kernel_core.results.nearby import Nearby
from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.similarity.kernel import kernel_rows
from kernel_core.sources.source import SourceRequest
from tests.support import oracle
from tests.support.command import ROOT

NONE = 4 * 170 * 5 - 1  # bytes: two runs of 170 examples and 5 classes take one more
NINE = 2 * 9 * 170 * 5  # bytes of nine runs


def rows_of(logits):
    """The kernel's rows of logits (M, n, C) by the definition: (n, C, M)."""
    rows, _ = kernel_rows(torch.from_numpy(logits).permute(1, 2, 0))
    return rows.numpy()


def nearby(folder, limit, monkeypatch, runs=None):
    monkeypatch.setattr(traces, "BYTE_LIMIT", limit)
    request = SourceRequest(str(folder), runs)
    return Nearby(request, build(request), Store())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_exact_traces_are_the_rows_of_the_kernel(dtype):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(12, 6, 40))
    logits[:, 1] += 30 * np.eye(40)[3]  # sure in every run: log p is about -1e-11
    logits[:, 2] = logits[0, 2]  # the same in every run
    logits[:, 3, :2] = 9  # two classes tie for the first place
    logits[4, 4] *= 50  # one run unlike the others
    logits = logits.astype(dtype)
    found = standardize(exact_traces(logits)) / np.sqrt(12 * 40)
    np.testing.assert_allclose(found, rows_of(logits), atol=1e-6)
    assert (found[2] == 0).all()


@pytest.mark.parametrize(("limit", "kept_runs"), [(NONE, 0), (NINE, 9)])
def test_values_are_those_of_the_table(source_folder, cache, planted, monkeypatch, limit, kept_runs):
    """Both of the neighbors, and of pairs that nobody kept, by all runs, not by those that are kept."""
    found = nearby(source_folder, limit, monkeypatch)
    assert [kept.run_count for kept in found.results.traces.values()] == [kept_runs] * 2 * bool(kept_runs)
    assert (found.outputs.is_exact, found.outputs.run_count) == (True, 24)
    neighbors, matrix = found.results.neighbors_by("kernel"), oracle.kernel(planted.test, planted.train)
    for i in range(0, 40, 7):
        j = int(neighbors.indices[i, 0])
        assert found.outputs.value(("test", i), ("train", j)) == pytest.approx(
            neighbors.values[i, 0], abs=1e-6
        )
        far = int(matrix[i].argmin())
        rank = found.rank(("test", i), "kernel", ("train", far))
        assert (rank.place, rank.beyond) == (None, 50)
        assert rank.value == pytest.approx(matrix[i, far], abs=1e-6)
        back = found.rank(("train", far), "kernel", ("test", i))
        assert back.value == pytest.approx(matrix[i, far], abs=1e-6)
        assert (back.place is None) == (kept_runs == 0)


def test_first_runs_alone_are_read_of_results_by_fewer(source_folder, cache, planted, monkeypatch):
    found = nearby(source_folder, NONE, monkeypatch, runs=17)  # the first file has 14
    assert found.outputs.run_count == 17
    expected = oracle.kernel(planted.test[:17], planted.train[:17])[2, 5]
    assert found.outputs.value(("test", 2), ("train", 5)) == pytest.approx(expected, abs=1e-6)


def test_block_size_changes_nothing(source_folder, cache, planted, monkeypatch):
    found = nearby(source_folder, NONE, monkeypatch).outputs
    indices = np.array([100, 3, 129, 0, 64])
    whole = found.several("train", indices)
    monkeypatch.setattr(outputs, "NUMBERS", 1)
    np.testing.assert_array_equal(found.several("train", indices), whole)
    np.testing.assert_array_equal(whole[1], found.raw(("train", 3)).astype(np.float32))
    np.testing.assert_array_equal(whole, exact_traces(planted.train[:, indices]).astype(np.float32))


def test_how_sure_is_as_with_kept_outputs_except_for_who_is_looked_at(source_folder, cache, monkeypatch):
    kept = build(SourceRequest(str(source_folder)))
    found = nearby(source_folder, NONE, monkeypatch)
    for i in (0, 4, 12):
        whole = neighbor_stability(kept.traces["test"].raw(i), kept.traces["train"], 10)
        indices, values = found.kept_nearest(("test", i), "kernel", "train")
        few = Traces("train", found.outputs.several("train", indices))
        among = stability_among(found.outputs.raw(("test", i)), few, indices, 10)
        np.testing.assert_array_equal(among.nearest.indices, indices[:10])
        np.testing.assert_allclose(among.nearest.values, values[:10], atol=1e-6)
        np.testing.assert_allclose(among.low, whole.low, atol=2e-3)
        np.testing.assert_allclose(among.high, whole.high, atol=2e-3)
        assert (among.stay_shares >= whole.stay_shares - 0.02).all(), "others can only push one back"
        assert (among.pool_size, among.shortlisted) == (50, 50)


def test_what_cannot_be_found_on_demand_says_what_to_build(source_folder, cache, monkeypatch):
    found = nearby(source_folder, NONE, monkeypatch)
    assert found.kept_nearest(("train", 3), "kernel", "train") is None
    with pytest.raises(NotBuilt, match=r"two runs of 170 examples .*with --query and --database"):
        found.nearest(("train", 3), 5, "kernel", "train")
    build(SourceRequest(str(source_folder), query="train", database="train", similarities=("kernel",)))
    assert found.kept_nearest(("train", 3), "kernel", "train")[0].shape == (50,)


def test_changed_files_are_not_read(source_folder, cache, monkeypatch):
    found = nearby(source_folder, NONE, monkeypatch)
    found.outputs.raw(("test", 0))
    (source_folder / "runs/a/log.pt").write_bytes(b"others")
    with pytest.raises(NotBuilt, match="changed since these results were built"):
        found.outputs.raw(("test", 0))
    with pytest.raises(NotBuilt, match=r"Nor can they be read one by one: .*changed"):
        Nearby(found.request, found.results, Store()).outputs.refuse_none()


def test_outputs_that_a_build_can_keep_are_not_read_anew(source_folder, cache):
    """Then a page offers that build, after which it says more: of all examples, not of the nearest alone."""
    build(SourceRequest(str(source_folder)))
    for path in (cache / "rows").iterdir():
        path.unlink()
    found = outputs.Outputs(
        SourceRequest(str(source_folder)), open_results(SourceRequest(str(source_folder))), Store()
    )
    with pytest.raises(NotBuilt, match="not in the cache"):
        found.raw(("test", 0))


def test_torch_is_not_loaded_to_read_what_it_wrote(source_folder, cache, monkeypatch):
    """The web process never loads torch, not even for the files of logits that torch wrote."""
    found = nearby(source_folder, NONE, monkeypatch)
    code = (
        "import sys\n"
        "from kernel_core.explain import traces\n"
        f"traces.BYTE_LIMIT = {NONE}\n"
        "from kernel_core.results.opening import open_results\n"
        "from kernel_core.results.nearby import Nearby\n"
        "from kernel_core.results.store import Store\n"
        "from kernel_core.sources.source import SourceRequest\n"
        f"request = SourceRequest({str(source_folder)!r})\n"
        "found = Nearby(request, open_results(request), Store())\n"
        "print(found.outputs.value(('test', 3), ('train', 8)), 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "KERNEL_EXPLORER_CACHE": str(cache)},
    )  # fmt: skip
    assert done.stdout.split() == [str(found.outputs.value(("test", 3), ("train", 8))), "False"]
