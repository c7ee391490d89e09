"""The whole line: what must not change the answer, and what happens to the cache on the way."""

import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from kernel_core.errors import NotBuilt, RequestError, StoreError
from kernel_core.machine import CPU
from kernel_core.pipeline import build, build_map
from kernel_core.results.accuracy import accuracies
from kernel_core.results.entries import Entries
from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.results.upkeep import clear, list_entries
from kernel_core.search import certified, products, topk
from kernel_core.sources.source import SourceRequest
from tests.support import forked, oracle
from tests.support.command import ROOT
from tests.support.planted import write_log


def kernel(results):
    return results.neighbors_by("kernel")


def test_kernel_neighbors_agree_with_the_oracle(source_folder, cache, planted):
    neighbors = kernel(build(SourceRequest(str(source_folder))))
    oracle.assert_neighbors(
        neighbors.indices, neighbors.values, oracle.kernel(planted.test, planted.train), 1e-6
    )
    assert neighbors.k >= 50


def test_first_runs_are_those_of_the_first_files(source_folder, cache, planted):
    neighbors = kernel(build(SourceRequest(str(source_folder), run_count=16)))
    oracle.assert_neighbors(
        neighbors.indices, neighbors.values, oracle.kernel(planted.test[:16], planted.train[:16]), 1e-5
    )


def test_file_split_does_not_change_the_answer(source_folder, cache, planted):
    split = kernel(build(SourceRequest(str(source_folder))))
    (source_folder / "runs/b/log.pt").unlink()
    write_log(source_folder / "runs/a/log.pt", planted.test, planted.train)
    whole = kernel(build(SourceRequest(str(source_folder))))
    np.testing.assert_array_equal(split.indices, whole.indices)
    np.testing.assert_allclose(split.values, whole.values, atol=1e-6)


def test_memory_budget_does_not_change_the_answer(source_folder, cache, planted, monkeypatch):
    roomy = build(SourceRequest(str(source_folder)), device="cpu")
    clear(Store())
    plans = []
    real = topk.plan_memory
    monkeypatch.setattr(topk, "plan_memory", lambda *a, **k: plans.append(real(*a, **k)) or plans[-1])
    tight = build(SourceRequest(str(source_folder)), device="cpu", budget=16_100_000)
    assert min(plan.block_rows for plan in plans) < 130, "the budget must bite"
    for name, neighbors in tight.neighbors.items():
        np.testing.assert_allclose(neighbors.values, roomy.neighbors[name].values, atol=1e-6)
    oracle.assert_neighbors(
        kernel(tight).indices, kernel(tight).values, oracle.kernel(planted.test, planted.train), 1e-5
    )


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_device_does_not_change_the_answer(source_folder, cache, planted):
    neighbors = kernel(build(SourceRequest(str(source_folder)), device="cuda"))
    oracle.assert_neighbors(
        neighbors.indices, neighbors.values, oracle.kernel(planted.test, planted.train), 1e-6
    )


@pytest.mark.parametrize("precision", ["exact", "certified"])
def test_gpu_searches_in_one_piece_with_any_precision(source_folder, cache, monkeypatch, precision):
    asked, real = [], certified.nearest

    def nearest(*rows, machine, precision, **options):
        asked.append((machine.device.type, precision))
        return real(*rows, machine=CPU, precision="exact", **options)

    line = sys.modules["kernel_core.pipeline.build"]  # the package has the function under this name
    monkeypatch.setattr(line, "device_for", lambda *_: torch.device("cuda"))
    monkeypatch.setattr(certified, "nearest", nearest)
    request = SourceRequest(str(source_folder / "source.toml"), precision=precision, similarities=("kernel",))
    build(request)
    assert asked == [("cuda", precision)]


def test_absent_gpu_is_refused(source_folder, cache, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RequestError, match="torch sees no CUDA device"):
        build(SourceRequest(str(source_folder)), device="cuda")


def test_features_and_pixels_agree_with_plain_numpy(source_folder, cache):
    from safetensors.numpy import load_file

    results = build(SourceRequest(str(source_folder)))
    features = {
        s: v.astype(np.float64) for s, v in load_file(source_folder / "penultimate.safetensors").items()
    }
    unit = {s: v / np.linalg.norm(v, axis=1, keepdims=True) for s, v in features.items()}
    distance = np.linalg.norm(features["test"][:, None] - features["train"][None], axis=2)
    pixels = {s: e.images.reshape(len(e), -1).astype(np.float64) for s, e in results.examples.items()}
    expected = {
        "penultimate": unit["test"] @ unit["train"].T,
        "penultimate-euclidean": -distance,
        "pixels": np.corrcoef(pixels["test"], pixels["train"])[:40, 40:],
    }
    for name, similarity in expected.items():
        neighbors = results.neighbors_by(name)
        oracle.assert_neighbors(neighbors.indices, neighbors.values, similarity, 1e-6)
    assert (results.features_run, results.features_layer) == ("0", "before the head")


def test_second_build_computes_nothing_and_opens_without_torch(source_folder, cache):
    with pytest.raises(NotBuilt):
        open_results(SourceRequest(str(source_folder)))
    build(SourceRequest(str(source_folder)))
    steps = []
    build(SourceRequest(str(source_folder)), progress=lambda step, *_: steps.append(step))
    assert set(steps) == {"checking the source's files"}
    code = (
        "import sys; from kernel_core.results.opening import open_results\n"
        "from kernel_core.sources.catalog import SourceRequest\n"
        f"open_results(SourceRequest({str(source_folder)!r})); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "False"


def test_moved_source_is_the_same_source(source_folder, cache):
    first = build(SourceRequest(str(source_folder)))
    moved = source_folder.rename(source_folder.with_name("moved"))
    assert open_results(SourceRequest(str(moved))).id == first.id


def test_changed_file_is_another_source(source_folder, cache, planted):
    first = build(SourceRequest(str(source_folder)))
    write_log(source_folder / "runs/b/log.pt", planted.test[14:20], planted.train[14:20])
    assert build(SourceRequest(str(source_folder))).id != first.id


def test_damaged_entry_is_rebuilt_with_one_warning(source_folder, cache, caplog):
    first = build(SourceRequest(str(source_folder)))
    before = np.array(kernel(first).indices)  # it is mapped from the file that is damaged
    (entry,) = (e for e in list_entries(Store()) if e.about.endswith("neighbors by kernel"))
    content = bytearray(entry.path.read_bytes())
    content[-1] ^= 1
    entry.path.write_bytes(content)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        again = build(SourceRequest(str(source_folder)))
    assert len(caplog.records) == 1
    np.testing.assert_array_equal(kernel(again).indices, before)


def test_source_without_features_has_kernel_and_pixels(source_folder, cache):
    text = (source_folder / "source.toml").read_text()
    (source_folder / "source.toml").write_text(text.split("[features]")[0])
    results = build(SourceRequest(str(source_folder)))
    assert list(results.neighbors) == ["kernel", "pixels"]
    assert accuracies(results)["penultimate_knn3"] is None
    with pytest.raises(RequestError, match="name their file under"):
        results.neighbors_by("penultimate")


def test_images_in_another_order_than_the_logits_are_warned_of(source_folder, cache, planted, caplog):
    for part, cut in (("a", slice(14)), ("b", slice(14, None))):
        write_log(
            source_folder / f"runs/{part}/log.pt", np.roll(planted.test[cut], 1, axis=1), planted.train[cut]
        )
    with caplog.at_level(logging.WARNING):
        build(SourceRequest(str(source_folder)))
    assert "in the order of its logits?" in caplog.text


def test_two_builds_at_once_agree_and_share_the_work(source_folder, cache):
    with ThreadPoolExecutor() as pool:
        pair = [pool.submit(forked.cli, "evaluate", source_folder, "--json") for _ in range(2)]
    outputs = [future.result() for future in pair]
    assert [output.returncode for output in outputs] == [0, 0], outputs
    alone = forked.cli("evaluate", source_folder, "--json")
    assert outputs[0].stdout == outputs[1].stdout == alone.stdout != ""
    assert len([e for e in list_entries(Store()) if e.kind == "neighbors"]) == 4
    assert not list(cache.rglob("*.tmp"))


def test_killed_build_leaves_no_wrong_entry_and_the_next_one_finishes(source_folder, cache):
    """Killed while it computes the first neighbors: finished entries stay, the next build makes the rest."""
    code = (
        "import os, signal; from kernel_core.search import passes; from kernel_core.pipeline import build\n"
        "from kernel_core.sources.catalog import SourceRequest\n"
        "passes._merge = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"build(SourceRequest({str(source_folder)!r}))"
    )
    assert forked.run(forked.code, code).returncode == -9
    assert {e.kind for e in list_entries(Store())} == {"hashes", "examples", "images", "predictions"}
    assert len(build(SourceRequest(str(source_folder))).neighbors) == 4


def test_deleted_neighbors_are_built_to_the_same_bytes(source_folder, cache, monkeypatch):
    """Which product is found fastest changes from build to build, and the last digit of its sums with it."""
    build(SourceRequest(str(source_folder)))
    before = {e.path: e.path.read_bytes() for e in list_entries(Store()) if e.kind == "neighbors"}
    for path in before:
        path.unlink()

    def find_anew(dim):
        pytest.fail(f"the product of rows of {dim} numbers was chosen anew")

    monkeypatch.setattr(products, "_fastest_on_cpu", find_anew)
    build(SourceRequest(str(source_folder)))
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("times", [1, 100])
def test_cache_emptied_during_a_build_is_filled_or_says_to_run_it_again(source_folder, cache, times, caplog):
    left = [times]

    def empty(step, done, total):
        if step.startswith("nearest neighbors") and done == total and left[0]:
            left[0] -= 1
            clear(Store())

    if times == 1:
        assert len(build(SourceRequest(str(source_folder)), progress=empty).neighbors) == 4
        assert "what is missing is built again" in caplog.text
    else:
        with pytest.raises(StoreError, match=r"emptied while planted was built.*Run the command again"):
            build(SourceRequest(str(source_folder)), progress=empty)
    assert len(build(SourceRequest(str(source_folder))).neighbors) == 4


def test_a_map_removed_at_the_last_moment_says_so_too(source_folder, cache, no_umap, monkeypatch):
    write = Entries.write_map
    monkeypatch.setattr(Entries, "write_map", lambda *what: (write(*what), clear(Store())))
    with pytest.raises(StoreError, match="Run the command again"):
        build_map(SourceRequest(str(source_folder)))


STEPS = [
    "reading each run's predictions",
    "nearest neighbors by kernel",
    "keeping train outputs",
]


@pytest.mark.parametrize("failing_step", STEPS)
def test_failed_build_leaves_no_thread_and_no_unfinished_file(source_folder, cache, failing_step):
    def fail(step, _done, _total):
        if step.startswith(failing_step):
            raise ArithmeticError

    threads = threading.enumerate()
    with pytest.raises(ArithmeticError):
        build(SourceRequest(str(source_folder)), progress=fail)
    assert set(threading.enumerate()) <= set(threads)
    assert not list(cache.rglob("*.tmp"))
    assert len(build(SourceRequest(str(source_folder))).neighbors) == 4
