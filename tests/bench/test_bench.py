"""`kernel-explorer bench`: its figures are true at tiny sizes, and it leaves nothing behind."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from kernel_core.bench import busy, competitors, processes
from kernel_core.bench.synthetic import SyntheticSize, write_synthetic
from kernel_core.cli.bench import bench_table
from kernel_core.cli.main import main
from kernel_core.ensembles.opening import open_ensemble
from kernel_core.search.tables import TopK
from tests.support import forked, oracle
from tests.support.command import ROOT, process_of, run_cli
from tests.support.planted import write_log

SMALL = ("--queries", 120, "--database", 700, "--runs", 30, "--classes", 4, "--k", 5)


@pytest.fixture(scope="module")
def result():
    """The JSON that the command prints, with all runs in one file."""
    done = run_cli("bench", *SMALL, "--repeats", 2, "--methods", "ours,original,faiss", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def by_method(result):
    return {row["method"]: row for row in result["methods"] if "seconds" in row}


def test_every_method_finds_what_float64_finds(result):
    rows = by_method(result)
    assert set(rows) - {"faiss", "faiss-skylakex"} == {"ours", "original"}
    assert ("faiss" in rows) == (find_spec("faiss") is not None)
    for row in rows.values():
        agreed = row["agreement"]
        assert agreed["rows"] == 100
        assert agreed["same"] + agreed["close"] == 100, row["method"]
        assert agreed["largest_difference"] < 1e-6
        assert row["planted"] == {"pairs": 6, "nearest": 6}


def test_json_holds_every_timing_and_the_peaks(result):
    assert result["sizes"] == {
        "source": "synthetic", "queries": 120, "database": 700, "runs": 30, "classes": 4, "files": 1, "k": 5,
        "repeats": 2,
    }  # fmt: skip
    rows = by_method(result)
    for row in rows.values():
        seconds = row["seconds"]
        assert len(seconds["all"]) == 2
        assert 0 < seconds["min"] <= seconds["median"] <= seconds["max"]
        assert 0 < row["core_seconds"]["min"] <= row["core_seconds"]["median"]
        assert row["peak_resident"] > 30e6
        if sys.platform == "linux":
            assert 10e6 < row["peak_anonymous"] < row["peak_resident"]
    assert {name: len(each) for name, each in rows["original"]["stages"].items()} == {
        "normalise": 2, "product": 2, "top-k": 2,
    }  # fmt: skip
    ours = rows["ours"]
    for i, whole in enumerate(ours["core_seconds"]["all"]):
        by_stage = {name: each[i] for name, each in ours["by_stage"].items()}
        assert set(by_stage) == {"product", "rows"}
        assert 0 < min(by_stage.values()) < sum(by_stage.values()) < whole
    product, flop = result["product"], 2 * 120 * 700 * 30 * 4
    rates = [flop / seconds / 1e9 for seconds in ours["core_seconds"]["all"]]
    for name, share in (("peak", "share"), ("this_length", "share_of_length")):
        best = [each[name] for each in product["all"]]
        assert product[name] == statistics.median(best) > 1
        shares = [a / b for a, b in zip(rates, best, strict=True)]
        assert product[share] == pytest.approx(statistics.median(shares))
    assert product["ours"] == pytest.approx(statistics.median(rates))


def test_busy_loops_run_beside_every_second_turn_and_end(source_folder, monkeypatch):
    beside = []
    started = []
    popen = subprocess.Popen

    def start(*args, **options):
        started.append(popen(*args, **options))
        return started[-1]

    def measure(method, job):
        beside.append((method, sum(loop.poll() is None for loop in started)))
        return measure_apart(method, job)

    measure_apart = processes.measure_apart
    monkeypatch.setattr(busy.subprocess, "Popen", start)
    monkeypatch.setattr(processes, "measure_apart", measure)
    options = ["--busy", "2", "--methods", "ours,original", "--repeats", "1", "--k", "3"]
    done = CliRunner().invoke(main, ["bench", str(source_folder), *options])
    assert done.exit_code == 0, done.output
    assert beside == [("oracle", 0), ("ours", 0), ("ours", 2), ("original", 0), ("original", 2)]
    assert all(loop.poll() is not None for loop in started), "a loop still runs"
    lines = [line for line in done.output.splitlines() if "beside 2 busy loops" in line]
    assert [line.split(":")[0] for line in lines] == ["Kernel Explorer", "original algorithm"]
    assert all(float(line.split()[-4]) > 0 for line in lines)


@pytest.mark.slow
def test_several_files_agree_and_a_missing_faiss_is_a_line(result, tmp_path):
    # The command looks for modules in its working directory first.
    (tmp_path / "faiss.py").write_text("raise ImportError('as if it were not installed')\n")
    done = run_cli(
        "bench", *SMALL, "--repeats", 1, "--files", 3, "--methods", "ours,faiss", "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    ours, faiss = json.loads(done.stdout)["methods"]
    assert ours["agreement"] == by_method(result)["ours"]["agreement"]
    assert ours["planted"] == {"pairs": 6, "nearest": 6}
    assert faiss["unavailable"] == 'not installed: pip install "kernel-explorer[bench]"'


@pytest.mark.slow
def test_human_output_and_a_method_that_fails(source_folder):
    done = forked.cli(
        "bench", source_folder, "--memory", "1KB", "--methods", "ours,sklearn", "--repeats", 1, "--k", 3
    )
    assert done.returncode == 0, done.stderr
    machine, sizes, _, head, ours, sklearn, *_ = done.stdout.splitlines()
    assert "threads, torch" in machine
    assert sizes.startswith("planted: 40 queries x 130 examples, 24 runs, 5 classes, 2 file(s), k 3")
    assert head.split() == [
        "seconds", "[min-max]", "core-s", "speed", "memory", "less", "allocated", "less",
        "as", "in", "float64",
    ]  # fmt: skip
    assert "failed: The memory budget of 0.001 MB is too small" in ours
    assert sklearn.endswith("40 of 40")
    assert "measuring" in done.stderr


def test_human_output_has_a_line_a_method_and_our_share(result):
    text = bench_table(result)
    ours = next(line for line in text.splitlines() if line.startswith("Kernel Explorer"))
    assert ours.endswith("100 of 100")
    assert "GB" in ours
    *_, stages, product, share = text.splitlines()
    assert stages.startswith("Kernel Explorer's core-seconds: product ")
    percents = [float(word.rstrip("%,.")) for word in stages.split() if "%" in word]
    assert sum(percents) == pytest.approx(100, abs=0.2)
    assert "GFLOP/s a core" in product
    assert f"{result['product']['share']:.1%} of the first" in share
    assert max(map(len, text.splitlines()[3:])) < 130


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--k", 9, "--database", 8], "--k is 9; expected at most --database, 8"),
        (["--runs", 1], "--runs is 1; expected 2 or more"),
        (["--k", 0], "--k is 0; expected 1 or more"),
        (["--files", 4, "--runs", 3], "--files is 4; expected at most --runs, 3"),
        (
            ["--methods", "ours,annoy"],
            "--methods names 'annoy'; expected some of ours,original,faiss,sklearn",
        ),
        (["digits", "--classes", 3], "a source has its own"),
        (["--database", 10**9, "--runs", 10**6], "set TMPDIR to a folder with more space"),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused(options, message, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = CliRunner().invoke(main, ["bench", *map(str, options)])
    assert done.exit_code == (1 if "TMPDIR" in message else 2), "a full disk is no wrong argument"
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == []


def test_faiss_alone_where_it_is_missing_is_an_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    done = CliRunner().invoke(main, ["bench", "--methods", "faiss"])
    assert done.exit_code == 1
    assert 'pip install "kernel-explorer[bench]"' in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a process group")
def test_ctrl_c_leaves_no_files(tmp_path):
    command = [sys.executable, "-m", "kernel_core", "bench"]
    command += ["--runs", "60", "--repeats", "99", "--methods", "original"]
    environment = dict(os.environ, PYTHONPATH=str(ROOT), TMPDIR=str(tmp_path))
    with process_of(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert any("measuring" in line for line in process.stderr)
        assert list(tmp_path.glob("kernel-explorer-bench-*/runs/part-00/log.pt"))
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait() == 130
        assert "Traceback" not in rest
        assert list(tmp_path.iterdir()) == []


def test_synthetic_logits_are_the_same_in_however_many_files(tmp_path):
    size = SyntheticSize(queries=40, database=90, run_count=7, class_count=3)
    one = write_synthetic(tmp_path / "one", size, seed=5)
    three = write_synthetic(tmp_path / "three", SyntheticSize(40, 90, 7, 3, file_count=3), seed=5)
    other = write_synthetic(tmp_path / "other", size, seed=6)
    whole = open_ensemble(one.files).parts[0]
    parts = open_ensemble(three.files).parts
    assert [len(part["test"]) for part in parts] == [3, 2, 2]
    for split, shape in (("test", (7, 40, 3)), ("train", (7, 90, 3))):
        assert (whole[split].shape, whole[split].dtype) == (shape, np.float16)
        np.testing.assert_array_equal(np.concatenate([part[split] for part in parts]), whole[split])
        assert np.isfinite(whole[split]).all()
        assert (whole[split].std(0, dtype=np.float64) > 0).all()
    assert not np.array_equal(open_ensemble(other.files).parts[0]["test"], whole["test"])
    assert one.planted == three.planted
    assert one.files[0].stat().st_size < 1.2 * size.bytes + 10_000


def test_the_reference_is_that_of_the_tests(planted, tmp_path):
    write_log(tmp_path / "a/log.pt", planted.test[:9], planted.train[:9])
    write_log(tmp_path / "b/log.pt", planted.test[9:20], planted.train[9:20])
    job = competitors.Job(
        (tmp_path / "a/log.pt", tmp_path / "b/log.pt"), run_count=18, queries=35, database=120, k=6,
        device="cpu", precision="exact", budget=10**8,
    )  # fmt: skip
    kernel = oracle.kernel(planted.test[:18, :35], planted.train[:18, :120])
    laps = competitors.Laps(torch.device("cpu"))
    reference = competitors.oracle(job.open(), job, laps)
    assert reference.indices.shape == (35, 7)
    oracle.assert_neighbors(reference.indices, reference.values, kernel, tolerance=1e-12)
    for method in (competitors.ours, competitors.original, competitors.sklearn_brute):
        top = method(job.open(), job, laps)
        oracle.assert_neighbors(top.indices, top.values, kernel, tolerance=1e-6)


def test_agreement_tells_rounding_from_error():
    reference = TopK(
        np.array([[0, 1, 2], [0, 1, 2], [0, 1, 2]], np.int32),
        np.array([[0.9, 0.8, 0.7], [0.9, 0.8, 0.8 - 1e-7], [0.9, 0.8, 0.7]]),
    )
    found = TopK(np.array([[1, 0], [0, 2], [0, 5]], np.int32), np.array([[0.9, 0.8], [0.9, 0.8], [0.9, 0.5]]))
    agreed = competitors.agreement(found, reference, np.arange(3))
    assert agreed == {"rows": 3, "same": 1, "close": 1, "largest_difference": pytest.approx(0.3)}


def test_full_disk_is_refused_before_writing(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6))
    done = CliRunner().invoke(main, ["bench"])
    assert done.exit_code == 1
    assert "These logits take 0.1 GB, but" in done.stderr
    assert list(tmp_path.iterdir()) == []
