"""Ensembles of many files: each is read once, memory does not grow with them, none may change meanwhile."""

import os
import shutil
import signal
import sys

import numpy as np
import pytest
import torch

from kernel_core.ensembles.opening import open_ensemble
from kernel_core.errors import DataError
from kernel_core.pipeline import build, inputs
from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.results.upkeep import list_entries
from kernel_core.search import topk
from kernel_core.similarity.kernel_rows import KernelRows
from kernel_core.sources.source import SourceRequest
from tests.support import forked, oracle
from tests.support.planted import write_log


@pytest.fixture
def reads(monkeypatch):
    """The (file, split, transform) of every pass over the logits of a file for mean and spread."""
    seen, real = [], inputs.read_moments

    def noting(ensemble, file, split, transform, *rest):
        seen.append((ensemble.names[file], split, transform))
        return real(ensemble, file, split, transform, *rest)

    monkeypatch.setattr(inputs, "read_moments", noting)
    return seen


@pytest.fixture
def sliced(monkeypatch):
    """Rows are made 7 runs at a time, as if they were too long for the memory."""
    monkeypatch.setattr(topk, "plan_memory", lambda *_: topk.MemoryPlan(170, 500, 80, 7, 0))


def request(folder, **options):
    return SourceRequest(str(folder), similarities=("kernel",), **options)


def kernel(results):
    return results.neighbors_by("kernel")


def test_rows_of_all_runs_need_no_moments(source_folder, cache, reads):
    build(request(source_folder))
    assert not reads
    assert "moments" not in {entry.kind for entry in list_entries(Store())}


def test_every_file_is_read_once_for_its_moments(source_folder, cache, sliced, reads):
    build(request(source_folder))
    assert sorted(reads) == sorted(
        {(f"runs/{f}/log.pt", s, "log_softmax") for f in "ab" for s in ("train", "test")}
    )
    reads.clear()
    build(request(source_folder, query="test", database="test"))
    build(request(source_folder, classes=(0, 2)))
    assert not reads, "other settings of the same runs need no other pass"


def test_adding_a_file_reads_that_file_alone(source_folder, cache, sliced, reads, planted):
    for split in ("a", "b"):
        assert (source_folder / f"runs/{split}/log.pt").exists()
    rng = np.random.default_rng(3)
    more = [
        logits[:9] + rng.normal(size=logits[:9].shape).astype(np.float16)
        for logits in (planted.test, planted.train)
    ]
    build(request(source_folder))
    reads.clear()
    write_log(source_folder / "runs/c/log.pt", *more)
    neighbors = kernel(build(request(source_folder)))
    assert {name for name, *_ in reads} == {"runs/c/log.pt"}
    test, train = (np.concatenate([a, b]) for a, b in zip((planted.test, planted.train), more, strict=True))
    oracle.assert_neighbors(neighbors.indices, neighbors.values, oracle.kernel(test, train), 1e-6)


def test_first_runs_of_a_file_have_their_own_moments(source_folder, cache, sliced, reads, planted):
    build(request(source_folder))
    reads.clear()
    neighbors = kernel(build(request(source_folder, run_count=20)))
    assert {name for name, *_ in reads} == {"runs/b/log.pt"}, (
        "the first 20 runs include all of the first file"
    )
    oracle.assert_neighbors(
        neighbors.indices, neighbors.values, oracle.kernel(planted.test[:20], planted.train[:20]), 1e-6
    )


@pytest.mark.parametrize("slice_runs", [1, 5, 14])
def test_runs_taken_slice_by_slice_give_the_same_answer(
    source_folder, cache, planted, monkeypatch, slice_runs
):
    """Slices end within a file, and reach across two."""
    monkeypatch.setattr(topk, "plan_memory", lambda *_: topk.MemoryPlan(17, 50, 8, slice_runs, 0))
    neighbors = kernel(build(request(source_folder)))
    oracle.assert_neighbors(
        neighbors.indices, neighbors.values, oracle.kernel(planted.test, planted.train), 1e-6
    )


def test_build_killed_between_two_files_goes_on_with_the_second(source_folder, cache, sliced, reads):
    code = (
        "import os, signal; from kernel_core.pipeline import build, inputs\n"
        "from kernel_core.sources.catalog import SourceRequest\n"
        "from kernel_core.search import topk\n"
        "topk.plan_memory = lambda *_: topk.MemoryPlan(170, 500, 80, 7, 0)\n"
        "real, seen = inputs.read_moments, []\n"
        "def read(*a):\n"
        "    if len(seen) == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    seen.append(a)\n"
        "    return real(*a)\n"
        "inputs.read_moments = read\n"
        f"build(SourceRequest({str(source_folder)!r}))"
    )
    assert forked.run(forked.code, code).returncode == -9
    assert len([e for e in list_entries(Store()) if e.kind == "moments"]) == 3
    build(request(source_folder))
    assert len(reads) == 1


def test_ctrl_c_leaves_the_cache_whole(source_folder, cache):
    """Interrupted during the search: no traceback, no half-written file, and the next build finishes."""
    marker, interrupted = cache.parent / "searching", cache.parent / "interrupted"
    code = (
        "import sys, time; from pathlib import Path\n"
        "from kernel_core.search import passes; from kernel_core.cli.main import main\n"
        f"def merge(*_):\n  Path({str(marker)!r}).touch()\n"
        f"  while not Path({str(interrupted)!r}).exists(): time.sleep(0.01)\n"
        "passes._merge = merge\n"
        f"main(['build', {str(source_folder)!r}])"
    )
    with forked.running(forked.code, code, output=cache.parent) as process:
        forked.wait_until(marker.exists, process)
        os.kill(process.pid, signal.SIGINT)
        interrupted.touch()
        process.join()
        assert process.exitcode == 130
    assert "Traceback" not in (cache.parent / "stderr").read_text()
    assert not list(cache.rglob("*.tmp"))
    assert kernel(build(request(source_folder))).k == 50


def test_a_log_fewer_than_at_the_last_build_is_said_once(source_folder, cache, caplog):
    here, away = source_folder / "runs/a/log.pt", source_folder / "log.pt"

    def said(make, **options):
        caplog.clear()
        make(request(source_folder), **options)
        return [r.getMessage().partition("matched ")[2] for r in caplog.records if "matched" in r.msg]

    warning = "2 files at the last build, 1 now: missing runs/a/log.pt"
    assert said(build) == []
    here.rename(away)
    assert said(build) == [warning]
    assert said(build) == [], "this is the last build now"
    away.rename(here)
    assert said(build) == []
    here.rename(away)
    assert said(open_results) == [], "a page only reads"
    assert said(open_results, complete=True) == [warning]


@pytest.mark.parametrize("change", ["shrinks", "is replaced", "disappears"])
def test_file_that_changes_while_open_is_refused(source_folder, change):
    """Reading a map of a file that shrank would end the process by SIGBUS."""
    path = source_folder / "runs/b/log.pt"
    ensemble = open_ensemble((source_folder / "runs/a/log.pt", path))
    rows = KernelRows(ensemble, "test")
    if change == "shrinks":
        os.truncate(path, 4_096)
    elif change == "is replaced":
        shutil.copyfile(source_folder / "runs/a/log.pt", path.with_suffix(".new"))
        os.replace(path.with_suffix(".new"), path)
    else:
        path.unlink()
    with pytest.raises(DataError, match=r"b/log\.pt changed while it was being read"):
        rows.read(0, 10, slice(0, 24))
    with pytest.raises(DataError, match=r"b/log\.pt changed while it was being read"):
        rows.moments(torch.device("cpu"))


def test_file_replaced_after_it_was_hashed_is_refused(source_folder, cache, monkeypatch, planted):
    real = inputs.open_ensemble

    def late(*args):
        write_log(source_folder / "runs/b/log.pt", planted.test[14:] + 1, planted.train[14:])
        return real(*args)

    monkeypatch.setattr(inputs, "open_ensemble", late)
    with pytest.raises(DataError, match=r"runs/b/log\.pt was replaced during the build"):
        build(request(source_folder))


def test_unproved_neighbors_never_pass_for_exact_ones(source_folder, cache):
    exact = build(request(source_folder))
    fast = build(request(source_folder, precision="fast"))
    assert exact.id != fast.id
    assert build(request(source_folder, precision="certified")).id == exact.id


PEAK = """
import sys, threading, time, numpy as np
from pathlib import Path
from kernel_core.search import topk
from kernel_core.similarity.kernel_rows import KernelRows
from kernel_core.ensembles.opening import open_ensemble
peak = [0]
def anonymous():
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith('RssAnon'))
def watch():
    while True:
        peak[0] = max(peak[0], anonymous())
        time.sleep(0.005)
files = tuple(sorted(Path(sys.argv[1]).glob('*/log.pt')))[: int(sys.argv[2])]
threading.Thread(target=watch, daemon=True).start()
ensemble = open_ensemble(files)
topk.top_k(KernelRows(ensemble, 'test'), KernelRows(ensemble, 'train'), 20)
print(peak[0])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_the_number_of_files(tmp_path):
    """Compare the anonymous memory, libraries included, of searches over 2 and 8 files of 250 runs."""
    rng = np.random.default_rng(0)
    for f in range(8):
        test, train = (rng.normal(size=(250, n, 10)).astype(np.float16) for n in (300, 2_500))
        write_log(tmp_path / str(f) / "log.pt", test, train)
    peaks = {}
    for count in (2, 8):
        done = forked.run(forked.code, PEAK, str(tmp_path), str(count))
        assert done.returncode == 0, done.stderr
        peaks[count] = int(done.stdout)
    assert peaks[8] <= 1.25 * peaks[2], peaks
