"""A search in blocks: the same bits however it is cut, done, interrupted and merged."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from kernel_core.engines import search as in_blocks
from kernel_core.engines.engine import Engine
from kernel_core.errors import DataError
from kernel_core.pipeline import build, build_map
from kernel_core.pipeline import ranges as of_examples
from kernel_core.results.store import Store
from kernel_core.search import topk
from kernel_core.sources.source import SourceRequest
from tests.support.command import ROOT, run_cli
from tests.support.matrix import use_plan

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason='needs Ray: pip install "kernel-explorer[ray]"'
)
SECONDS = 0.01  # of a block: there are several of this source


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Labels alone, and 8 runs in two files: 1,000 and 9,000 examples of 10 classes."""
    return write(tmp_path_factory.mktemp("blocks"), {"test": 1_000, "train": 9_000}, class_count=10)


def write(folder, counts, class_count):
    """Write a source of labels alone, and of two files of 4 runs each."""
    rng = np.random.default_rng(5)
    folder.mkdir(exist_ok=True)
    labels = {split: rng.integers(0, class_count, count) for split, count in counts.items()}
    np.savez(folder / "labels.npz", **labels)
    planted = 3 * np.eye(class_count)
    for file in range(2):
        logits = {
            split: (rng.normal(size=(4, len(of), class_count)) + planted[of]).astype(np.float16)
            for split, of in labels.items()
        }
        np.savez(folder / f"logits{file}.npz", **logits)
    names = json.dumps([f"class {number}" for number in range(class_count)])
    (folder / "source.toml").write_text(
        f'[labels]\nfile = "labels.npz"\nclasses = {names}\n\n[ensemble]\nfiles = ["logits*.npz"]\n'
    )
    return folder


def found(source, cache, engine, **options):
    """SHA-256 of the neighbors that a build finds."""
    request = SourceRequest(str(source), **{"similarities": ("kernel",), **options})
    neighbors = build(request, store=Store(cache), engine=engine).neighbors["kernel"]
    return hashlib.sha256(neighbors.indices.tobytes() + neighbors.values.tobytes()).hexdigest()


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    """What one block finds on one thread."""
    return found(source, tmp_path_factory.mktemp("whole"), Engine(workers=1))


@pytest.mark.parametrize("workers", [1, 2])
def test_blocks_find_what_one_block_finds(source, whole, tmp_path, workers):
    assert found(source, tmp_path, Engine(workers=workers, block_seconds=SECONDS)) == whole
    assert list((tmp_path / "blocks").iterdir()) == []


def test_blocks_of_a_split_with_itself_find_what_one_block_finds(source, tmp_path):
    whole = found(source, tmp_path / "a", Engine(workers=1), query="train")
    assert found(source, tmp_path / "b", Engine(workers=2, block_seconds=SECONDS), query="train") == whole


@pytest.fixture
def few(tmp_path, monkeypatch):
    """A source of 200 and 900 examples of 3 classes, of which there are several blocks."""
    use_plan(monkeypatch, 1_000, 256, 128, 8)
    return write(tmp_path / "few", {"test": 200, "train": 900}, class_count=3)


def by_class(source, cache, engine):
    """The neighbors by the kernel and by each class, as bytes; and how many blocks there were."""
    request, totals = SourceRequest(str(source), similarities=("kernel",), classes="each"), {}
    results = build(
        request, store=Store(cache), engine=engine, progress=lambda *said: totals.update({said[0]: said[2]})
    )
    found = [results.neighbors["kernel"], *results.class_neighbors.values()]
    assert len(found) == 4
    return [(of.indices.tobytes(), of.values.tobytes()) for of in found], totals


def test_blocks_find_the_neighbors_by_each_class(few, tmp_path):
    whole, _ = by_class(few, tmp_path / "whole", Engine(workers=1))
    found, _ = by_class(few, tmp_path / "blocks", Engine(workers=2, block_seconds=1e-4))
    assert found == whole
    assert list((tmp_path / "blocks/blocks").iterdir()) == [], "there were some"


def test_workers_of_ray_find_the_neighbors_by_each_class(ray, few, tmp_path, caplog):
    whole, _ = by_class(few, tmp_path / "whole", Engine(workers=1))
    found, totals = by_class(few, tmp_path / "ray", Engine("ray", workers=2, block_seconds=1e-4))
    assert found == whole
    assert totals["blocks of nearest neighbors by each class"] >= 3
    assert "on this machine" not in caplog.text


def test_a_stopped_build_does_only_the_blocks_that_are_missing(source, whole, tmp_path, monkeypatch):
    done, do = [], in_blocks.do

    def counted(job, block, *rows, **options):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(block)
        return do(job, block, *rows, **options)

    monkeypatch.setattr(in_blocks, "do", counted)
    engine = Engine(workers=1, block_seconds=SECONDS)
    with pytest.raises(KeyboardInterrupt):
        found(source, tmp_path, engine)
    first = done.copy()
    monkeypatch.setattr(
        in_blocks, "do", lambda job, block, *rows, **o: done.append(block) or do(job, block, *rows, **o)
    )
    assert found(source, tmp_path, engine) == whole
    assert len(first) == 2 < len(done)
    assert sorted(block.number for block in done) == list(range(len(done)))


def test_a_damaged_block_is_done_again(source, whole, tmp_path, monkeypatch):
    do = in_blocks.do

    def stopping(job, block, *rows, **options):
        if block.number == 1:
            raise KeyboardInterrupt
        return do(job, block, *rows, **options)

    monkeypatch.setattr(in_blocks, "do", stopping)
    engine = Engine(workers=1, block_seconds=SECONDS)
    with pytest.raises(KeyboardInterrupt):
        found(source, tmp_path, engine)
    monkeypatch.undo()
    for path in (tmp_path / "blocks").iterdir():
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    assert found(source, tmp_path, engine) == whole


def test_values_of_another_processor_are_compared(source, tmp_path, monkeypatch):
    engine = Engine(workers=1, block_seconds=SECONDS)
    searches = []

    class Checked(in_blocks.BlockSearch):
        def compute(self):
            top = super().compute()
            searches.append(self)
            return top

    monkeypatch.setattr("kernel_core.pipeline.blocks.BlockSearch", Checked)
    found(source, tmp_path, engine, query="train")
    (search,) = searches
    search._check_sample()
    search.whole[0].values[-1, -1] += 1e-4
    with pytest.raises(DataError, match=r"differ by 1\.0e-04 .*--engine local\.$"):
        search._check_sample()


@needs_ray
def test_workers_of_ray_find_what_one_thread_finds(source, whole, tmp_path):
    env = {**os.environ, "KERNEL_EXPLORER_CACHE": str(tmp_path)}
    engine = ("--engine", "ray", "--workers", 2, "--block-seconds", SECONDS)
    done = run_cli("build", source, "--similarity", "kernel", *engine, env=env)
    assert done.returncode == 0, done.stderr
    assert found(source, tmp_path, Engine()) == whole


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(600)  # where other programs keep the machine busy
def test_a_killed_worker_a_killed_driver_and_a_lost_node_change_nothing(tmp_path):
    source = write(tmp_path / "many", {"test": 1_000, "train": 60_000}, class_count=10)  # 15 blocks
    whole = found(source, tmp_path / "whole", Engine(workers=1))
    command = [sys.executable, "-m", "tests.support.raylets", str(source), str(SECONDS), str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=env, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)  # Ray prints nothing among it
    assert said["kill"]["killed"]
    assert said["driver"]["killed"]
    assert said["driver"]["known"] >= 1, "finished blocks were kept"
    assert said["lose"]["longest"] is not None, "work went on after the loss"
    for harm, noticed in said.items():
        assert noticed["blocks"] >= 10
        assert found(source, tmp_path / harm, Engine()) == whole
    assert "is lost; its work is done elsewhere" in done.stderr


def entries_of(cache, kinds):
    """The content of all entries of these kinds in a cache, by kind and name."""
    return {(kind, path.name): path.read_bytes() for kind in kinds for path in (cache / kind).iterdir()}


def test_ranges_of_examples_done_by_ray_are_the_same_to_the_bit(ray, source, tmp_path, monkeypatch):
    done, do_ranges = [], of_examples.do_ranges

    def noting(task, runs_from, groups, engine):
        done.append((task.func.__name__, len(groups)))
        yield from do_ranges(task, runs_from, groups, engine)

    # Rows are made 3 of the 8 runs at a time, as if they were too long for the memory.
    monkeypatch.setattr(topk, "plan_memory", lambda *_: topk.MemoryPlan(500, 500, 100, 3, 0))
    found(source, tmp_path / "here", Engine(workers=1), similarities=None)
    monkeypatch.setattr(of_examples, "do_ranges", noting)
    monkeypatch.setattr("kernel_core.ensembles.predictions.BLOCK_BYTES", 300_000)
    monkeypatch.setattr("kernel_core.similarity.split_moments.READ_BYTES", 400_000)
    monkeypatch.setattr("kernel_core.similarity.kernel_rows.TRACE_BYTES", 300_000)
    found(source, tmp_path / "ray", Engine("ray", workers=2, block_seconds=SECONDS), similarities=None)
    kinds = ("predictions", "moments", "rows")
    assert entries_of(tmp_path / "ray", kinds) == entries_of(tmp_path / "here", kinds)
    assert done == [
        ("_predicted", 4),
        *[("_moments", 2)] * 2,
        ("_traces", 5),
    ]


def test_a_map_of_what_ray_finds_is_the_same_to_the_byte(ray, few, tmp_path, monkeypatch):
    """By landmarks, with what stands for UMAP: it takes seconds, and neither sees nor cares who searched."""

    def stand_in(near, far, _progress):
        return np.stack([near[:, 0] + far[:, 0], near[:, 1] - far[:, 1]], 1).astype(np.float32)

    monkeypatch.setattr("kernel_core.findings.map_layout.layout", stand_in)
    monkeypatch.setattr("kernel_core.findings.landmarks.LIMIT", 500)
    monkeypatch.setattr("kernel_core.findings.landmarks.COUNT", 100)
    for cache, engine in (("here", Engine(workers=1)), ("ray", Engine("ray", workers=2, block_seconds=1e-4))):
        build_map(SourceRequest(str(few)), store=Store(tmp_path / cache), engine=engine)
    assert entries_of(tmp_path / "ray", ("map",)) == entries_of(tmp_path / "here", ("map",))
