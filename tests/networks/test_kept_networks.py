"""Networks of an ensemble from its folder: their inputs, and files that are of another run."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kernel_core.ensembles.folder import RunFiles
from kernel_core.errors import DataError
from kernel_core.lab.attributions import trak, trak_networks
from kernel_core.networks.kept_networks import kept_networks
from kernel_core.networks.kept_weights import find_weights
from kernel_core.networks.training import train_folder
from kernel_core.sources import images
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest
from tests.networks.test_kept_weights import PARTS, SMALL, WIDE, here, order

__all__ = ["here"]
pytestmark = pytest.mark.usefixtures("one_thread", "in_process")
PLACES = {"test": np.array([3, 8, 20]), "train": np.arange(0, 130, 7)}


def networks(runs=(0, 1), places=PLACES):
    source = open_source(SourceRequest("out"))
    examples = {}
    for split, kept in places.items():
        of = images.load_examples(source.images, split)
        examples[split] = replace(of, images=of.images[kept], labels=of.labels[kept])
    return kept_networks(source, runs, examples, places)


@pytest.mark.parametrize("recipe", [SMALL, WIDE, PARTS], ids=["cnn", "mlp", "heads"])
def test_networks_give_the_logits_of_the_examples_asked_about(recipe, here):
    train_folder(order(recipe, "out"))
    found = networks()
    assert list(found.states) == [0, 1]
    for run, state in found.states.items():
        logits = RunFiles(Path("out")).logits(run)
        for split, kept in PLACES.items():
            rows = slice(1, 3)
            with torch.no_grad():
                of_rows = torch.func.functional_call(found.module, state, found.inputs(split, rows))
            np.testing.assert_allclose(of_rows, logits[split][kept[rows]], atol=4e-3)


@pytest.mark.parametrize("recipe", [SMALL, WIDE, PARTS], ids=["cnn", "mlp", "heads"])
def test_gradients_of_many_examples_are_those_of_each_alone(recipe, here):
    train_folder(order(recipe, "out"))
    found = networks(runs=[1])
    labels = {"test": np.array([0, 1, 1]), "train": np.zeros(19, np.int64)}
    whole = trak.projection(found.module, None, 0)
    gradients, _ = trak._features(found, found.states[1], "test", labels, whole)
    found.module.load_state_dict(found.states[1])
    weights = [found.module.get_parameter(name) for name in trak.trained_weights(found.module)]
    for i, label in enumerate(labels["test"].tolist()):
        logits = found.module(found.inputs("test", slice(i, i + 1)))[0]
        others = torch.cat([logits[:label], logits[label + 1 :]])
        alone = torch.autograd.grad(logits[label] - others.logsumexp(0), weights)
        expected = torch.cat([of.flatten() for of in alone]).numpy()
        np.testing.assert_allclose(gradients[i], expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_weights_of_another_run_are_refused(here):
    train_folder(order(WIDE, "out"))
    first, second = find_weights(Path("out")).values()
    shutil.copy(first, second)
    assert list(networks(runs=[0]).states) == [0]
    with pytest.raises(DataError, match=r"run-000001.safetensors is not of run 1: its logits differ"):
        networks()


def test_weights_of_several_recipes_are_refused(here):
    train_folder(order(WIDE, "out"))
    train_folder(order(replace(WIDE, hidden=(8, 8)), "other"))
    shutil.copy(find_weights(Path("other"))[1], find_weights(Path("out"))[1])
    with pytest.raises(DataError, match="holds runs of several recipes"):
        networks()


def test_heads_without_their_features_say_which(here):
    train_folder(order(PARTS, "out"))
    toml = Path("out/source.toml")
    toml.write_text(toml.read_text().replace("features.numbers_train", "features.others"))
    with pytest.raises(DataError, match="has no features called numbers_train"):
        networks()


def test_question_looks_into_the_first_networks_that_are_kept(here, monkeypatch):
    train_folder(order(WIDE, "out", runs=4, checkpoints=3))
    find_weights(Path("out"))[1].unlink()
    setting = SimpleNamespace(
        keys=SimpleNamespace(source=open_source(SourceRequest("out"))), ensemble=SimpleNamespace(run_count=4)
    )
    asked = SimpleNamespace(setting=setting, runs=SimpleNamespace(numbers=None))
    assert trak_networks.own_runs(asked) == [0, 2]
    held_out = SimpleNamespace(setting=setting, runs=SimpleNamespace(numbers=(1, 2, 3)))
    assert trak_networks.own_runs(held_out) == [2]
    monkeypatch.setattr(trak_networks, "MOST", 1)
    assert trak_networks.own_runs(asked) == [0]
    whole = SimpleNamespace(setting=setting, runs=held_out.runs, examples={"train": range(130)})
    held_out.runs.are_own = True
    size = find_weights(Path("out"))[2].stat().st_size
    for limit, fits in ((130 * size, True), (130 * size - 1, False)):
        monkeypatch.setattr(trak_networks, "LIMIT", limit)
        assert trak_networks.can_look_into(whole) == fits
    shutil.rmtree("out/checkpoints")
    assert not trak_networks.can_look_into(whole)
    assert trak_networks.own_runs(asked) == []
