"""From images without an ensemble to their neighbors: heads are trained by the build, piece by piece."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from kernel_core.engines import search as in_blocks
from kernel_core.engines.engine import Engine
from kernel_core.errors import DataError
from kernel_core.networks import heads as head_networks
from kernel_core.networks import patches
from kernel_core.networks.workers import train_here
from kernel_core.pipeline import build, heads
from kernel_core.recipes import PatchesRecipe
from kernel_core.results.nearby import Nearby
from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.sources import catalog
from kernel_core.sources.source import SourceRequest
from tests.support.app import open_page
from tests.support.command import ROOT, invoke

GROUP = head_networks.GROUP
PAGES = sorted(path.stem for path in (ROOT / "pages").glob("*.py") if path.stem not in ("map", "overview"))
TWINS = 12  # the first test images are training images again, darker and with noise


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of handwritten digits of 16×16 pixels: train/<class>/ and test/<class>/."""
    folder, rng = tmp_path_factory.mktemp("heads") / "handwriting", np.random.default_rng(0)
    digits = load_digits()
    gray = np.kron(np.round(digits.images * 255 / 16), np.ones((2, 2)))
    for i in range(400):
        save(folder / "train" / str(digits.target[i]) / f"{i:04}.png", gray[i])
    for i in range(TWINS):
        twin = np.clip(0.9 * gray[i] + rng.normal(0, 4, gray[i].shape), 0, 255)
        save(folder / "test" / str(digits.target[i]) / f"{i:04}.png", twin)
    for i in range(1000, 1060):
        save(folder / "test" / str(digits.target[i]) / f"{i:04}.png", gray[i])
    return folder


def save(path, gray):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(gray.astype(np.uint8)).save(path)


@pytest.fixture
def trained(monkeypatch):
    """Train in this process, on few features, and note the groups."""
    groups = []
    monkeypatch.setattr(heads, "PATCHES", PatchesRecipe(side=5, directions=40, cells=2))
    monkeypatch.setattr(patches, "SAMPLE", 5000)
    short = replace(catalog.HEADS_TRAINING.recipe, steps=100)
    monkeypatch.setattr(catalog, "HEADS_TRAINING", replace(catalog.HEADS_TRAINING, recipe=short))

    def here(work, wanted, *, device, workers, progress):
        for runs in train_here(work, wanted, device, progress):
            groups.append(runs[0].run // GROUP)
            yield runs

    monkeypatch.setattr(heads, "train_groups", here)
    return groups


def request(folder, run_count=2 * GROUP):
    return SourceRequest(str(folder), run_count)


def names(folder, split):
    """Names of a split's images, in the order in which they are read."""
    return [path.name for path in sorted((folder / split).rglob("*.png"))]


@pytest.mark.usefixtures("cache", "one_thread")
def test_planted_twins_are_found_without_an_ensemble(images, trained):
    results = build(request(images))
    assert trained == [0, 1]
    assert list(results.neighbors) == [
        "kernel", "penultimate", "penultimate-euclidean", "patches", "pixels",
    ]  # fmt: skip
    assert results.run_count == 2 * GROUP
    test, train = names(images, "test"), names(images, "train")
    for similarity, least in {"kernel": TWINS - 2, "patches": TWINS}.items():
        nearest = results.neighbors[similarity].indices[:, 0]
        found = [train[nearest[i]] == name for i, name in enumerate(test) if int(name[:4]) < TWINS]
        assert len(found) == TWINS
        assert sum(found) >= least, similarity
    assert f"{2 * GROUP} small networks (heads)" in results.about
    assert results.features_layer == "hidden layer, after ReLU"


@pytest.mark.usefixtures("one_thread")
def test_a_stopped_build_goes_on_where_it_was(images, trained, cache, tmp_path, monkeypatch):
    real = heads.HeadEntries.write_group

    def stopped(self, group, runs):
        if group == 1:
            raise KeyboardInterrupt
        real(self, group, runs)

    with monkeypatch.context() as patched:
        patched.setattr(heads.HeadEntries, "write_group", stopped)
        with pytest.raises(KeyboardInterrupt):
            build(request(images))
    assert trained == [0, 1]
    monkeypatch.setattr(heads, "compute_patches", None)  # they are not computed again
    resumed = build(request(images))
    assert trained == [0, 1, 1]
    monkeypatch.setattr(heads, "compute_patches", patches.compute_patches)
    undisturbed = build(request(images), store=Store(tmp_path / "other"))
    for name, neighbors in undisturbed.neighbors.items():
        np.testing.assert_array_equal(resumed.neighbors[name].values, neighbors.values, name)


@pytest.mark.usefixtures("cache", "one_thread")
def test_more_runs_add_to_those_that_are_there(images, trained):
    few, many = build(request(images, GROUP + 4)), build(request(images, 2 * GROUP + 1))
    assert trained == [0, 1, 2]
    assert (few.run_count, many.run_count) == (GROUP + 4, 2 * GROUP + 1)
    np.testing.assert_array_equal(few.predictions.single, many.predictions.single[: GROUP + 4])
    build(request(images, GROUP))
    assert trained == [0, 1, 2]


@pytest.mark.usefixtures("one_thread")
def test_workers_of_a_cluster_open_what_was_trained_here(images, trained, tmp_path, monkeypatch, caplog):
    """This process in the place of the workers: it makes the rows from the cache."""
    here = build(request(images, GROUP), store=Store(tmp_path))
    shutil.rmtree(tmp_path / "neighbors")
    run_tasks, done = in_blocks.run_tasks, []

    def noting(task, blocks, _engine, *more, **options):
        done.append(task.args[0].spec.similarity)
        return run_tasks(task, blocks, Engine(workers=1), *more, **options)

    monkeypatch.setattr(in_blocks, "run_tasks", noting)
    monkeypatch.setattr("kernel_core.pipeline.blocks.refuse_missing", lambda _: None)
    there = build(request(images, GROUP), store=Store(tmp_path), engine=Engine("ray"))
    assert done == list(here.neighbors)
    for name, neighbors in here.neighbors.items():
        np.testing.assert_array_equal(there.neighbors[name].indices, neighbors.indices)
        np.testing.assert_array_equal(there.neighbors[name].values, neighbors.values)
    assert f"on this machine, not on the cluster: the training of {GROUP} networks" in caplog.text


@pytest.mark.usefixtures("one_thread")
def test_a_damaged_group_is_trained_again(images, trained, cache):
    before = build(request(images))
    store = Store()
    for path in [*cache.glob("predictions/*"), *cache.glob("hashes/*")]:
        path.unlink()
    largest = max(cache.glob("trained/*"), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[-1] ^= 1
    largest.write_bytes(content)
    after = build(request(images))
    assert len(trained) == 3
    for name in ("classes", "mean", "votes"):
        np.testing.assert_array_equal(getattr(before.predictions, name), getattr(after.predictions, name))
    assert open_results(request(images), store).id == after.id


@pytest.mark.usefixtures("cache", "one_thread")
@pytest.mark.parametrize("similarity", ["patches", "penultimate", "kernel"])
def test_neighbors_in_the_other_direction_come_from_the_cache(images, trained, similarity):
    results = build(request(images))
    nearby = Nearby(request(images), results, Store())
    indices, values = nearby.nearest(("train", 5), 3, similarity, "test")
    other = replace(request(images), query="train", database="test", similarities=(similarity,))
    built = build(other).neighbors[similarity]
    np.testing.assert_array_equal(indices, built.indices[5, :3])
    np.testing.assert_allclose(values, built.values[5, :3], atol=2e-3)  # traces are kept in float16


@pytest.mark.usefixtures("cache", "one_thread", "trained")
def test_images_of_one_color_are_refused_in_one_line(tmp_path):
    for i in range(20):
        save(tmp_path / "flat" / "ab"[i % 2] / f"{i}.png", np.full((16, 16), 10 * i))
    with pytest.raises(DataError, match=r"images of flat cannot be told apart: their patches are all zero"):
        build(request(tmp_path / "flat"))


@pytest.mark.usefixtures("cache", "one_thread", "trained")
def test_pages_say_where_the_networks_come_from_and_offer_patches(images, monkeypatch):
    build(request(images))
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(images))
    monkeypatch.setenv("KERNEL_EXPLORER_RUNS", str(2 * GROUP))
    overview = open_page("overview")
    assert "came without an ensemble, so 32 small networks (heads) were trained" in overview.info[0].value
    assert "held out" not in overview.info[0].value
    for page in PAGES:
        open_page(page)
    pairs = open_page("near_duplicates", by="patches")
    assert pairs.get_by_key("by").value == "patches"
    assert not pairs.error


@pytest.mark.slow
@pytest.mark.usefixtures("cache", "one_thread", "trained")
def test_report_trains_as_many_as_it_is_asked_about(images):
    short = ["report", images, "--runs", f"4,{2 * GROUP}", "--json"]
    assert [row["runs"] for row in json.loads(invoke(*short).stdout)["by_runs"]] == [4, 2 * GROUP]
    more = ["report", images, "--runs", f"4,{9 * GROUP}", "--json"]
    assert [row["runs"] for row in json.loads(invoke(*more).stdout)["by_runs"]] == [4, 9 * GROUP]


@pytest.mark.usefixtures("cache", "one_thread", "trained")
def test_a_tenth_is_held_out_where_there_is_no_test_set(images, monkeypatch):
    results = build(request(images / "train", GROUP))
    assert results.example_counts == {"train": 360, "test": 40}
    assert "There was no test set: 10% of the images of each class are held out" in results.about
