"""Checkpoints: weights of the first runs, kept beside them, which give the runs' logits again."""

import errno
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kernel_core.ensembles.folder import RunFiles
from kernel_core.errors import DataError, RequestError, StoreError
from kernel_core.files import sha256_of
from kernel_core.networks import heads, kept_weights, mlp, remote, training
from kernel_core.networks.fixed_features import find_features
from kernel_core.networks.kept_weights import find_weights, read_weights
from kernel_core.networks.modules import module_of
from kernel_core.networks.training import Order, train_folder
from kernel_core.recipes import CIFAR10, CIFAR10_SMALL, DIGITS, HEADS, RECIPES, Training, as_json, recipe_of
from kernel_core.sources import images
from kernel_core.sources.catalog import find_images
from kernel_core.tensor_files import read_metadata, write_arrays
from tests.support.command import invoke
from tests.support.trainings import listing

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = replace(CIFAR10_SMALL, widths=(8, 8), epochs=1, batch=32)
LARGE = replace(CIFAR10, widths=(8, 8), epochs=1, batch=32)
WIDE = replace(DIGITS, hidden=(16, 8, 8), epochs=1)
PARTS = replace(HEADS, steps=3, share=0.5, subset=0.5)


@pytest.fixture
def here(source_folder, monkeypatch):
    """The source's folder as the present one, with features beside the images."""
    monkeypatch.chdir(source_folder)
    rng = np.random.default_rng(0)
    for split, count in (("train", 130), ("test", 40)):
        np.save(f"numbers_{split}.npy", rng.normal(2, 3, (count, 12)).astype(np.float32))
    return source_folder


def order(recipe, folder, *, runs=3, checkpoints=2, **more):
    features = find_features("numbers_train.npy", ()) if recipe is PARTS else None
    taken = find_images("source.toml", Path())
    return Order(
        "tiny", Training(recipe, runs, 0), taken, Path(folder), features=features, checkpoints=checkpoints,
        **more,
    )  # fmt: skip


def inputs(recipe, split):
    if recipe is PARTS:
        return torch.from_numpy(np.load(f"numbers_{split}.npy"))
    examples = images.load_examples(find_images("source.toml", Path()), split)
    if recipe is WIDE:
        return mlp.gray(examples)
    return torch.from_numpy(examples.images).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("recipe", [SMALL, LARGE, WIDE, PARTS], ids=["small cnn", "cnn", "mlp", "heads"])
def test_kept_weights_give_the_logits_of_their_run(recipe, here, in_process):
    train_folder(order(recipe, "out"))
    files = find_weights(Path("out"))
    assert [path.name for path in files.values()] == [f"tiny-run-00000{run}.safetensors" for run in (0, 1)]
    for run, path in files.items():
        weights, made_by, features = read_weights(path)
        assert features == ("numbers_train" if recipe is PARTS else "")
        assert made_by["recipe"].pop("name") == "tiny"
        assert read_metadata(path)["run"] == str(run)
        network = module_of(recipe_of(made_by["recipe"]), weights, size=16)
        for split, logits in RunFiles(Path("out")).logits(run).items():
            with torch.no_grad():
                np.testing.assert_allclose(network(inputs(recipe, split)), logits, atol=4e-3)


def test_recipes_are_read_back_from_a_manifest():
    for recipe in (*RECIPES.values(), HEADS):
        assert recipe_of(as_json(recipe)) == recipe
    with pytest.raises(ValueError, match="no recipe has the values hidden"):
        recipe_of({"hidden": 3})


def test_head_keeps_the_numbers_of_its_features(here, in_process):
    train_folder(order(PARTS, "out"))
    first, second = (read_weights(path)[0]["columns"] for path in find_weights(Path("out")).values())
    assert len(first) == len(second) == 6
    assert not np.array_equal(first, second)
    every = np.load("numbers_train.npy")
    np.testing.assert_allclose(
        read_weights(find_weights(Path("out"))[0])[0]["mean"], every[:, first].mean(0), rtol=1e-5
    )


@pytest.mark.parametrize("recipe", [SMALL, WIDE, PARTS], ids=["cnn", "mlp", "heads"])
def test_weights_asked_for_later_are_those_asked_for_at_once(recipe, here, in_process):
    train_folder(order(recipe, "once", runs=4, checkpoints=3))
    train_folder(order(recipe, "later", runs=2, checkpoints=0))
    assert not Path("later/checkpoints").exists()
    before, outcomes = sha256_of(Path("later/runs/part-000/log.pt")), []
    train_folder(order(recipe, "later", runs=2, checkpoints=1), finished=outcomes.extend)
    assert [run for run, _ in outcomes] == [0], "the first run alone is trained again"
    assert sha256_of(Path("later/runs/part-000/log.pt")) == before
    train_folder(order(recipe, "later", runs=4, checkpoints=3), finished=outcomes.extend)
    assert sorted(run for run, _ in outcomes[1:]) == [1, 2, 3]
    train_folder(order(recipe, "later", runs=4, checkpoints=3), finished=outcomes.extend)
    assert len(outcomes) == 4, "nothing is left to train"
    names = ["runs/part-000/log.pt", "source.toml", "ensemble.json"]
    names += [f"checkpoints/tiny-run-00000{run}.safetensors" for run in range(3)]
    for name in names:
        assert sha256_of(Path("once") / name) == sha256_of(Path("later") / name), name


def test_workers_and_clusters_change_no_byte(here, monkeypatch, forked_workers):
    def last_first(work, groups, engine, progress, *, step, gpus):
        for number in reversed(range(len(groups))):
            yield number, pickle.loads(pickle.dumps(work))(groups[number])

    monkeypatch.setattr(remote, "run_tasks", last_first)
    monkeypatch.setattr(remote, "_read", None)
    train_folder(order(SMALL, "two", workers=2))
    train_folder(order(SMALL, "ray", engine=training.Engine("ray", workers=2)))
    two, ray = (
        {path.name: sha256_of(path) for path in find_weights(Path(folder)).values()}
        for folder in ("two", "ray")
    )
    assert len(two) == 2
    assert two == ray


def test_kill_between_weights_and_run_leaves_no_run_without_weights(here, monkeypatch, in_process):
    add = training.EnsembleWriter.add

    def dying(writer, run, **more):
        if run == 1:
            raise KeyboardInterrupt
        add(writer, run, **more)

    monkeypatch.setattr(training.EnsembleWriter, "add", dying)
    with pytest.raises(KeyboardInterrupt):
        train_folder(order(SMALL, "out"))
    assert set(RunFiles(Path("out")).run_numbers) <= set(find_weights(Path("out")))
    monkeypatch.setattr(training.EnsembleWriter, "add", add)
    train_folder(order(SMALL, "out"))
    train_folder(order(SMALL, "whole"))
    for run, path in find_weights(Path("whole")).items():
        assert sha256_of(path) == sha256_of(find_weights(Path("out"))[run])


def test_run_that_comes_out_otherwise_is_refused_and_keeps_no_weights(here, monkeypatch, in_process):
    train_folder(order(WIDE, "out", checkpoints=0))
    before = listing(Path("out"))
    draw = mlp._initial
    monkeypatch.setattr(
        mlp, "_initial", lambda *given: [(weights * 1.001, bias) for weights, bias in draw(*given)]
    )
    with pytest.raises(DataError, match="Run 0 was trained again for its weights, and its logits differ by"):
        train_folder(order(WIDE, "out"))
    assert listing(Path("out")) == before


def test_dropped_run_has_no_weights(here, monkeypatch, in_process):
    real = heads._trained_run

    def one_diverges(inputs, run, *rest):
        if run.number == 0:
            return heads.Diverged(0, "its loss went to NaN")
        return real(inputs, run, *rest)

    monkeypatch.setattr(heads, "_trained_run", one_diverges)
    train_folder(order(PARTS, "out"))
    assert list(find_weights(Path("out"))) == [1]


def test_more_checkpoints_than_runs_are_refused(here):
    with pytest.raises(RequestError, match="--checkpoints is 4, but 3 runs were requested"):
        train_folder(order(SMALL, "out", checkpoints=4))


def test_command_keeps_weights_and_says_where(here, in_process):
    done = invoke("train", "digits", "--images", "source.toml", "--runs", 2, "--epochs", 1, "--checkpoints",
                  2, "--out", "out")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "their weights, of the first 2, are in out/checkpoints" in done.stdout
    assert [path.name for path in find_weights(Path("out")).values()] == [
        "digits-run-000000.safetensors",
        "digits-run-000001.safetensors",
    ]


def test_full_disk_is_said_in_one_line_and_the_run_is_not_kept(here, monkeypatch, in_process):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kept_weights, "write_arrays", full)
    with pytest.raises(StoreError, match=r"Cannot write the weights of run 0 to .* \(No space left") as said:
        train_folder(order(SMALL, "out"))
    assert "\n" not in str(said.value)
    assert RunFiles(Path("out")).run_numbers == ()


def test_weights_of_another_program_are_named(tmp_path):
    write_arrays(tmp_path / "x.safetensors", {"a": np.ones(2)}, {})
    with pytest.raises(DataError, match="does not say what made it"):
        read_weights(tmp_path / "x.safetensors")
