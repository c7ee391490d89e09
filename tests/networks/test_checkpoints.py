"""Ensembles from the weights of trained networks, in any usual form, and never code run from a file."""

import os

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from kernel_core import write_checkpoints
from kernel_core.ensembles.opening import open_ensemble
from kernel_core.errors import DataError, RequestError, StoreError
from kernel_core.networks import checkpoints
from kernel_core.networks.loading import load_weights
from kernel_core.networks.outputs import outputs
from kernel_core.sources.features import load_features
from kernel_core.sources.source_toml import read_source_file
from tests.support.planted import Bomb
from tests.support.writer_processes import CLASSES, contents
from tests.support.writer_processes import images as planted_images

IMAGES = planted_images()


def network(seed=None):
    if seed is not None:
        torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 5), nn.ReLU(), nn.Linear(5, CLASSES))


@pytest.fixture
def paths(tmp_path):
    """Save the weights of three networks in three forms."""
    states = [network(seed).state_dict() for seed in range(3)]
    saved = [tmp_path / name for name in ("a.pt", "b.safetensors", "c.pth")]
    torch.save(states[0], saved[0])
    save_file(states[1], saved[1])
    torch.save({"epoch": 3, "model": states[2], "optimizer": {"lr": 0.1}}, saved[2])
    return saved


def test_each_checkpoint_is_a_run(tmp_path, paths):
    steps = []
    source = write_checkpoints(
        tmp_path / "e", paths, network, images=IMAGES, layer="2", batch=4, name="mine",
        progress=lambda *step: steps.append(step),
    )  # fmt: skip
    source = read_source_file(source)
    ensemble = open_ensemble(source.logits, source.root)
    assert (ensemble.run_count, source.name) == (3, "mine")
    for split, (pixels, _) in IMAGES.items():
        for run in range(3):
            np.testing.assert_array_equal(
                ensemble.parts[0][split][run], outputs(network(run), pixels)[0].astype(np.float16)
            )
    features = load_features(*source.feature_sets)
    assert (features.run, features.layer) == ("0", "2")
    expected = outputs(network(0), IMAGES["test"][0], layer="2")[1]
    np.testing.assert_array_equal(features.values["test"], expected.astype(np.float16))
    assert ("running b.safetensors", 8, 9) in steps


def test_interrupted_call_is_resumed_and_a_longer_list_adds(tmp_path, paths):
    expected = write_checkpoints(tmp_path / "whole", paths, network, images=IMAGES).parent
    made = []

    def failing():
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(1)
        return network()

    with pytest.raises(KeyboardInterrupt):
        write_checkpoints(tmp_path / "e", paths, failing, images=IMAGES)
    made.clear()
    write_checkpoints(tmp_path / "e", paths, failing, images=IMAGES)
    assert len(made) == 1, "finished runs are not repeated"
    assert contents(tmp_path / "e") == contents(expected)
    torch.save(network(9).state_dict(), tmp_path / "0.pt")
    made.clear()
    source = write_checkpoints(tmp_path / "e", [tmp_path / "0.pt", *paths], failing, images=IMAGES)
    assert len(made) == 1
    logits = open_ensemble(read_source_file(source).logits).parts[0]["test"]
    for run, seed in enumerate((0, 1, 2, 9)):  # the new one comes last, wherever it is listed
        np.testing.assert_array_equal(
            logits[run], outputs(network(seed), IMAGES["test"][0])[0].astype(np.float16)
        )


def test_same_checkpoint_twice_is_refused_before_anything_is_written(tmp_path, paths):
    twin = tmp_path / "twin.pt"
    twin.write_bytes(paths[0].read_bytes())
    with pytest.raises(RequestError, match=r"twin\.pt and .*a\.pt are the same checkpoint"):
        write_checkpoints(tmp_path / "e", [*paths, twin], network, images=IMAGES)
    with pytest.raises(DataError, match=r"absent\.pt does not exist"):
        write_checkpoints(tmp_path / "e", [*paths, tmp_path / "absent.pt"], network, images=IMAGES)
    with pytest.raises(RequestError, match="There are no images"):
        write_checkpoints(tmp_path / "e", paths, network, images=None)
    assert not (tmp_path / "e").exists()


def test_other_layer_in_the_same_folder_is_refused(tmp_path, paths):
    write_checkpoints(tmp_path / "e", paths, network, images=IMAGES, layer="2")
    with pytest.raises(RequestError, match='layer is "2" there, "1" here'):
        write_checkpoints(tmp_path / "e", paths, network, images=IMAGES, layer="1")


def test_checkpoint_that_diverged_is_named(tmp_path, paths):
    state = network(4).state_dict()
    state["3.bias"][1] = torch.nan
    torch.save(state, tmp_path / "d.pt")
    with pytest.raises(DataError, match=r"d\.pt: The logits of example 0 are NaN"):
        write_checkpoints(tmp_path / "e", [*paths, tmp_path / "d.pt"], network, images=IMAGES)
    write_checkpoints(tmp_path / "e", paths, network, images=IMAGES)


def test_factory_without_a_network_and_full_disk(tmp_path, paths, monkeypatch):
    with pytest.raises(RequestError, match="model_factory returned a dict"):
        write_checkpoints(tmp_path / "e", paths, dict, images=IMAGES)
    monkeypatch.setattr(
        checkpoints, "write_json", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(StoreError, match=r"checkpoints\.json could not be written .No space left"):
        write_checkpoints(tmp_path / "f", paths, network, images=IMAGES)


# Weights


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "model._orig_mod."])
def test_prefix_of_a_wrapper_is_removed(tmp_path, prefix):
    state = {prefix + name: tensor for name, tensor in network(1).state_dict().items()}
    torch.save({"state_dict": {**state, "metric.total": torch.zeros(1)}, "epoch": 1}, tmp_path / "a.ckpt")
    loaded = network(2)
    load_weights(loaded, tmp_path / "a.ckpt")
    assert torch.equal(loaded[1].weight, network(1)[1].weight)


MISFITS = {
    "missing": (lambda s: s.pop("3.bias"), "'3.bias' missing from the file"),
    "unexpected": (
        lambda s: s.update(fc=torch.zeros(1), gc=torch.zeros(1)), "'fc' and 1 more unknown to the network",
    ),
    "shape": (
        lambda s: s.update({"3.bias": torch.zeros(4)}),
        r"3\.bias is \(4,\) in the file, \(3,\) in the network",
    ),
    "no tensor": (lambda s: s.update(epoch=3), "holds 'epoch' that is not a tensor; expected a state_dict"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISFITS)
def test_weights_that_do_not_fit_name_the_first_one(tmp_path, case):
    change, message = MISFITS[case]
    state = network(0).state_dict()
    change(state)
    torch.save(state, tmp_path / "a.pt")
    model = network(1)
    with pytest.raises(DataError, match=message):
        load_weights(model, tmp_path / "a.pt")
    assert torch.equal(model[1].weight, network(1)[1].weight)


@pytest.mark.parametrize("content", [network(), [1, 2], Bomb("code-was-run"), 3])
def test_file_of_more_than_tensors_is_refused_and_not_run(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(DataError, match=r"a\.pt (is refused: .* of tensors and plain values|holds a)"):
        load_weights(network(), tmp_path / "a.pt")
    assert not os.path.exists("code-was-run")


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04 not a zip"])
def test_damaged_weights_are_refused(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=r"is (damaged|refused|an empty file|plain text|a zip)"):
        load_weights(network(), tmp_path / name)
