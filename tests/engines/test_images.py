"""Images decoded by ranges, here or on a cluster: the same entries to the byte, and none decoded twice."""

import numpy as np
import pytest

from kernel_core.engines import images as by_ranges
from kernel_core.engines.engine import Engine
from kernel_core.errors import DataError
from kernel_core.pipeline import images as step
from kernel_core.progress import no_progress
from kernel_core.results.keys import plan_keys
from kernel_core.results.store import Store
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest
from tests.support.planted import CLASS_NAMES, write_parquet

RAY = Engine("ray", workers=2)
COUNTS = {"train": 25, "test": 9}
SIDE = 100  # pixels; larger than thumbnails


@pytest.fixture
def source(tmp_path):
    """A Parquet file of images per split, and logits that nobody reads."""
    rng, folder = np.random.default_rng(3), tmp_path / "source"
    folder.mkdir()
    for split, count in COUNTS.items():
        images = rng.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
        write_parquet(folder / f"{split}.parquet", images, rng.integers(0, 5, count), CLASS_NAMES)
    logits = {split: rng.normal(size=(3, count, 5)).astype(np.float16) for split, count in COUNTS.items()}
    np.savez(folder / "logits.npz", **logits)
    (folder / "source.toml").write_text(
        '[images]\ntrain = "train.parquet"\ntest = "test.parquet"\n\n[ensemble]\nfiles = ["logits.npz"]\n'
    )
    return folder


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch):
    monkeypatch.setattr(by_ranges, "SENT_BYTES", 7 * SIDE * SIDE * 3)


@pytest.fixture
def on_threads(monkeypatch):
    """This process in the place of the workers."""
    run_tasks = by_ranges.run_tasks

    def here(task, items, _engine, *more, **options):
        return run_tasks(task, items, Engine(workers=1), *more, **options)

    monkeypatch.setattr(by_ranges, "run_tasks", here)


def keep(source, cache, engine, progress=no_progress):
    request, store = SourceRequest(str(source)), Store(cache)
    step.keep_examples(plan_keys(open_source(request), request, store), store, progress, engine)


def entries(cache):
    """The content of what was kept of images, by kind and name."""
    kinds = ("images", "thumbnails", "examples", "blocks")
    found = [path for kind in kinds for path in (cache / kind).glob("*")]
    return {(path.parent.name, path.name): path.read_bytes() for path in found}


def test_workers_of_ray_decode_what_this_machine_decodes(ray, source, tmp_path):
    keep(source, tmp_path / "here", Engine())
    seen = []
    keep(source, tmp_path / "ray", RAY, lambda *said: seen.append(said))
    assert entries(tmp_path / "ray") == entries(tmp_path / "here")
    assert {("blocks of train images", 4, 4), ("blocks of test images", 2, 2)} < set(seen)


def test_a_stopped_build_decodes_only_the_ranges_that_are_missing(source, tmp_path, on_threads, monkeypatch):
    keep(source, tmp_path / "here", Engine())
    decode_range, done = by_ranges.decode_range, []

    def counted(cache, item):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append((item[0].split, item[0].first))
        return decode_range(cache, item)

    monkeypatch.setattr(by_ranges, "decode_range", counted)
    with pytest.raises(KeyboardInterrupt):
        keep(source, tmp_path / "there", RAY)
    first, done = done, []
    keep(source, tmp_path / "there", RAY)
    assert [len(first), len(done)] == [3, 3]
    assert set(first) | set(done) == {("train", n) for n in (0, 7, 14, 21)} | {("test", n) for n in (0, 7)}
    assert entries(tmp_path / "there") == entries(tmp_path / "here"), "no block is left"


def test_a_node_with_another_file_is_refused(source, tmp_path, on_threads, monkeypatch):
    decode_range = by_ranges.decode_range

    def elsewhere(cache, item):
        path = source / "train.parquet"
        path.write_bytes(path.read_bytes() + b" ")
        return decode_range(cache, item)

    monkeypatch.setattr(by_ranges, "decode_range", elsewhere)
    with pytest.raises(DataError, match=r"train\.parquet has the SHA-256 .* on a shared disk\.$"):
        keep(source, tmp_path / "there", RAY)
