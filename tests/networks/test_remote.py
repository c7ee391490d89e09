"""Runs trained as tasks of their own: the same files as here, one line where files are missing."""

import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kernel_core.errors import DataError
from kernel_core.files import sha256_of
from kernel_core.networks import heads, remote
from kernel_core.networks.fixed_features import find_features
from kernel_core.networks.remote import Elsewhere
from kernel_core.networks.training import Order, train_folder
from kernel_core.recipes import CIFAR10_SMALL, HEADS, Training
from kernel_core.sources.catalog import find_images

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = replace(CIFAR10_SMALL, widths=(8, 8), epochs=1, batch=32)
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


def last_first(work, groups, progress):
    """Call the work as other processes do, from its bytes, in an order of its own."""
    for group in reversed(groups):
        yield pickle.loads(pickle.dumps(work))(group)


def dying(work, groups, progress):
    """Train two groups, and die."""
    yield work(groups[2])
    yield work(groups[0])
    raise KeyboardInterrupt


@pytest.mark.parametrize("order", [of_images, of_heads])
def test_runs_trained_elsewhere_are_those_trained_here(order, here, in_process):
    train_folder(order())
    train_folder(replace(order(), folder=Path("there"), elsewhere=Elsewhere(last_first)))
    for name in RESULTS:
        assert sha256_of(order().folder / name) == sha256_of(Path("there") / name), name


def test_a_dead_driver_goes_on_with_the_missing_runs_whoever_trains_them(here, in_process):
    train_folder(of_images(run_count=5))
    resumed = replace(of_images(run_count=5), folder=Path("there"), elsewhere=Elsewhere(dying))
    with pytest.raises(KeyboardInterrupt):
        train_folder(resumed)
    outcomes = []
    train_folder(replace(resumed, elsewhere=Elsewhere(last_first)), finished=outcomes.extend)
    assert [run for run, _ in outcomes] == [4, 3, 1]
    for name in RESULTS:
        assert sha256_of(Path("images") / name) == sha256_of(Path("there") / name), name


def test_a_worker_reads_its_images_once(here, monkeypatch):
    reads, read = [], remote.ImageFiles.material
    monkeypatch.setattr(remote.ImageFiles, "material", lambda files: reads.append(files) or read(files))
    train_folder(replace(of_images(), elsewhere=Elsewhere(last_first)))
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
)  # fmt: skip
def test_a_node_that_lacks_the_files_says_so_in_one_line(order, change, message, here):
    def with_changed_files(work, groups, progress):
        change()
        yield work(groups[0])

    with pytest.raises(DataError, match=message) as refused:
        train_folder(replace(order(), elsewhere=Elsewhere(with_changed_files)))
    assert "\n" not in str(refused.value)
