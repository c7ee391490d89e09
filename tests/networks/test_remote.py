"""Runs trained as tasks of their own: the same files as here, one line where files are missing."""

import importlib.util
import itertools
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kernel_core.engines.engine import Engine
from kernel_core.engines.ray_cluster import connected
from kernel_core.errors import DataError
from kernel_core.files import sha256_of
from kernel_core.networks import heads, remote
from kernel_core.networks.fixed_features import find_features
from kernel_core.networks.training import Order, train_folder
from kernel_core.recipes import CIFAR10_SMALL, HEADS, Training
from kernel_core.sources.catalog import find_images
from tests.support.command import invoke

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = replace(CIFAR10_SMALL, widths=(8, 8), epochs=1, batch=32)
RAY = Engine("ray", workers=2)
needs_ray = pytest.mark.skipif(  # looked for, not imported: Ray reads its settings when it is
    importlib.util.find_spec("ray") is None, reason='needs Ray: pip install "kernel-explorer[ray]"'
)
RESULTS = ("runs/part-000/log.pt", "penultimate.safetensors", "source.toml")


@pytest.fixture(autouse=True)
def new_process(monkeypatch):
    """Forget what an earlier task read, as a new process would."""
    monkeypatch.setattr(remote, "_read", None)


@pytest.fixture
def here(source_folder, monkeypatch):
    """The source's folder as the present one, with features beside the images."""
    monkeypatch.chdir(source_folder)
    rng = np.random.default_rng(0)
    for split, count in (("train", 130), ("test", 40)):
        np.save(f"numbers_{split}.npy", rng.normal(size=(count, 6)).astype(np.float32))
    return source_folder


def of_images(run_count=3):
    return Order("tiny", Training(TINY, run_count, 0), find_images("source.toml", Path()), Path("images"))


def of_heads():
    """Some of two groups, each run trained on half of the examples."""
    training = Training(replace(HEADS, steps=1, subset=0.5), heads.GROUP + 2, 3)
    features = find_features("numbers_train.npy", ())
    return Order("heads", training, find_images("source.toml", Path()), Path("heads"), features=features)


def last_first(work, groups, engine, progress, *, step, gpus):
    """Call the work as other processes do, from its bytes, in an order of its own."""
    for number in reversed(range(len(groups))):
        yield number, pickle.loads(pickle.dumps(work))(groups[number])


def dying(work, groups, engine, progress, *, step, gpus):
    """Train two groups, and die."""
    yield 2, work(groups[2])
    yield 0, work(groups[0])
    raise KeyboardInterrupt


@pytest.fixture
def by(monkeypatch):
    """Return a function that trains an order on Ray, with other tasks in place of Ray's."""

    def train(order, tasks=last_first, **more):
        monkeypatch.setattr(remote, "run_tasks", tasks)
        return train_folder(replace(order, engine=RAY), **more)

    return train


def test_nothing_left_to_train_takes_no_cluster(here, by, in_process):
    train_folder(of_images())
    by(of_images(), tasks=None)


@pytest.mark.parametrize("order", [of_images, of_heads])
def test_runs_trained_elsewhere_are_those_trained_here(order, here, by, in_process):
    train_folder(order())
    by(replace(order(), folder=Path("there")))
    for name in RESULTS:
        assert sha256_of(order().folder / name) == sha256_of(Path("there") / name), name


def test_a_dead_driver_goes_on_with_the_missing_runs_whoever_trains_them(here, by, in_process):
    train_folder(of_images(run_count=5))
    resumed, outcomes = replace(of_images(run_count=5), folder=Path("there")), []
    with pytest.raises(KeyboardInterrupt):
        by(resumed, dying)
    by(resumed, finished=outcomes.extend)
    assert [run for run, _ in outcomes] == [4, 3, 1]
    for name in RESULTS:
        assert sha256_of(Path("images") / name) == sha256_of(Path("there") / name), name


def test_a_worker_reads_its_images_once(here, by, monkeypatch):
    reads, read = [], remote.ImageFiles.material
    monkeypatch.setattr(remote.ImageFiles, "material", lambda files: reads.append(files) or read(files))
    by(of_images())
    assert len(reads) == 1


@pytest.mark.parametrize(
    ("order", "change", "message"),
    [
        (of_images, lambda: os.unlink("test.parquet"), "test.parquet does not exist"),
        (of_images, lambda: shutil.copy("train.parquet", "test.parquet"), "test images are 130 with"),
        (of_heads, lambda: os.unlink("numbers_test.npy"), "numbers_test.npy cannot be read"),
        (of_heads, lambda: np.save("numbers_train.npy", np.eye(6)), "numbers_train.npy is another file"),
    ],
    ids=["no images", "other images", "no features", "other features"],
)
def test_a_node_that_lacks_the_files_says_so_in_one_line(order, change, message, here, by):
    def with_changed_files(work, groups, *_, **__):
        change()
        yield 0, work(groups[0])

    with pytest.raises(DataError, match=message) as refused:
        by(order(), with_changed_files)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("gpus", "device"), [(0.0, "cpu"), (0.25, "cuda")])
def test_a_group_of_runs_is_given_the_gpus_asked_for_and_uses_them(gpus, device, here, by):
    asked = []

    def noting(work, groups, engine, progress, *, step, gpus):
        asked.append((gpus, work.device, engine, step))
        yield from last_first(replace(work, device="cpu"), groups, engine, progress, step=step, gpus=gpus)

    by(replace(of_images(), gpus=gpus), noting)
    assert asked == [(gpus, device, RAY, "training 3 runs")]


def test_gpus_without_ray_are_refused(tmp_path):
    done = invoke("train", "digits", "--runs", 2, "--out", tmp_path / "out", "--num-gpus-per-run", 1)
    assert done.exit_code == 2
    assert "--num-gpus-per-run is for --engine ray" in done.stderr


@pytest.mark.slow
@needs_ray
def test_ray_trains_the_runs_that_are_trained_here(here, in_process):
    command = ["train", "cifar10-small", "--images", "source.toml", "--epochs", 1, "--runs", 3]
    with connected(workers=2):  # one cluster for both
        for folder, more in (("images", []), ("images-there", ["--engine", "ray", "--workers", 2])):
            done = invoke(*command, "--out", folder, *more)
            assert done.exit_code == 0, done.stderr
        train_folder(of_heads())
        train_folder(replace(of_heads(), folder=Path("heads-there"), engine=RAY))
    for kind, name in itertools.product(("images", "heads"), RESULTS):
        assert sha256_of(Path(kind) / name) == sha256_of(Path(f"{kind}-there") / name), (kind, name)
