"""`kernel-explorer features`: a source without features gets them, or stays unchanged if anything fails."""

import errno
import json
import os
import sys
import types
from urllib.error import URLError

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_tensors

from kernel_core.cli.main import main
from kernel_core.networks import loading, training
from kernel_core.networks.loading import torchvision_network
from kernel_core.recipes import RECIPES
from kernel_core.records import Features
from kernel_core.sources import catalog
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import ImagesFrom, SourceRequest
from tests.support.command import ROOT

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Conv2d(3, 6, 3), nn.Linear(6, 5)
    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))

def make():
    return Net()

def darker(images):
    return images.float() / 510

def fails():
    raise ValueError("no weights today")

def wide():
    return nn.Sequential(nn.Flatten(), nn.Linear(7, 5))

answer = 42
text = str
"""


@pytest.fixture
def bare(source_folder, cache, tmp_path, monkeypatch):
    """Remove the planted source's features, comment its source.toml, and put a network beside it."""
    (source_folder / "penultimate.safetensors").unlink()
    toml = source_folder / "source.toml"
    toml.write_text("# mine\n" + toml.read_text().partition("[features]")[0] + "# the end")
    name = f"net_{tmp_path.name}"  # a new name, since a module is imported once
    (tmp_path / f"{name}.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return types.SimpleNamespace(
        folder=source_folder, toml=toml, net=name, file=source_folder / "penultimate.safetensors"
    )


def invoke(verb, *words):
    return CliRunner().invoke(main, [verb, *map(str, words)])


def refused(done, *messages, status=(1, 2)):
    assert isinstance(done.exception, SystemExit), done.exception  # anything else would be a traceback
    assert done.exit_code in status
    assert done.stdout == ""
    for message in messages:
        assert message in done.stderr


def features_by_hand(bare, scale=1 / 255):
    """Compute, per split, the mean over pixels after ReLU, in float64."""
    sys.path.insert(0, str(bare.folder.parent))
    model = __import__(bare.net).make().double()
    from kernel_core.sources.images import load_examples

    features = {}
    for split in ("train", "test"):
        images = load_examples(open_source(SourceRequest(str(bare.folder))).images, split).images
        x = torch.from_numpy(images).double().permute(0, 3, 1, 2) * scale
        features[split] = model.conv(x).relu().mean((2, 3)).detach().numpy()
    return features


def test_source_without_features_gets_them_and_the_app_shows_them(bare, planted, monkeypatch):
    before = bare.toml.read_text()
    assert json.loads(invoke("evaluate", bare.folder, "--json").stdout)["penultimate_knn3"] is None
    done = invoke("features", bare.folder, "--model", f"{bare.net}:make")
    assert done.exit_code == 0, done.output
    assert f"fc:input of {bare.net}:make (right on " in done.stdout
    assert "6 numbers per example" in done.stdout
    assert bare.toml.read_text() == before + '\n[features]\nfile = "penultimate.safetensors"\n'
    expected, stored = features_by_hand(bare), load_file(bare.file)
    for split in ("train", "test"):
        assert stored[split].dtype == np.float16
        np.testing.assert_allclose(stored[split], expected[split], rtol=1e-3, atol=1e-4)
    values = {split: stored[split].astype(np.float64) for split in stored}
    unit = {split: v / np.linalg.norm(v, axis=1, keepdims=True) for split, v in values.items()}
    nearest = np.argsort(-unit["test"] @ unit["train"].T, axis=1, kind="stable")[:, :3]
    votes = [np.bincount(row, minlength=5).argmax() for row in planted.train_labels[nearest]]
    evaluated = json.loads(invoke("evaluate", bare.folder, "--json").stdout)
    assert evaluated["penultimate_knn3"] == np.mean(votes == planted.test_labels)
    assert "penultimate, penultimate-euclidean" in invoke("build", bare.folder).stdout
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(bare.toml))
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30).run()
    assert not app.exception
    table = app.dataframe[0].value
    shown = dict(zip(table["Prediction by"], table["Accuracy"], strict=True))
    (value,) = [value for name, value in shown.items() if name == "Features (cosine), 3 nearest"]
    assert value == f"{evaluated['penultimate_knn3']:.2%}"


@pytest.mark.parametrize("name", ["run.pt", "run.pth", "run.safetensors"])
def test_weights_transform_and_layer_are_used(bare, name, tmp_path):
    sys.path.insert(0, str(tmp_path))
    state = __import__(bare.net).make().state_dict()
    state["conv.weight"] = -state["conv.weight"]
    if name.endswith("safetensors"):
        save_tensors(state, tmp_path / name)
    else:
        torch.save({"epoch": 3, "state_dict": state} if name == "run.pt" else state, tmp_path / name)
    options = ["--model", f"{bare.net}:make", "--weights", name, "--transform", f"{bare.net}:darker"]
    done = invoke("features", bare.folder, *options, "--layer", "conv")
    assert done.exit_code == 0, done.output
    assert f"conv of {bare.net}:make, {name}" in done.stdout
    assert f"images seen by {bare.net}:darker" in done.stdout
    model = __import__(bare.net).make().double()
    model.load_state_dict({key: value.double() for key, value in state.items()})
    from kernel_core.sources.images import load_examples

    images = load_examples(open_source(SourceRequest(str(bare.folder))).images, "test").images
    x = torch.from_numpy(images).double().permute(0, 3, 1, 2) / 510
    expected = model.conv(x).mean((2, 3)).detach().numpy()
    np.testing.assert_allclose(load_file(bare.file)["test"], expected, rtol=1e-3, atol=1e-4)


def test_existing_features_are_replaced_only_on_request(bare):
    old = {split: np.zeros((n, 2), np.float16) for split, n in (("train", 130), ("test", 40))}
    save_file(old, bare.folder / "mine.safetensors")
    bare.toml.write_text(bare.toml.read_text() + '\n[features] # made\nfile = "mine.safetensors" # by me\n')
    before = bare.toml.read_bytes(), (bare.folder / "mine.safetensors").read_bytes()
    asked = ["features", bare.folder, "--model", f"{bare.net}:make"]
    refused(invoke(*asked), "has penultimate features already", "mine.safetensors", "--replace")
    assert bare.toml.read_bytes() == before[0]
    assert invoke(*asked, "--replace").exit_code == 0
    assert bare.toml.read_text() == before[0].decode().replace("mine.saf", "penultimate.saf")
    assert (bare.folder / "mine.safetensors").read_bytes() == before[1]  # the user's own file is kept
    named, made = bare.toml.read_bytes(), bare.file.read_bytes()
    assert invoke(*asked, "--replace", "--transform", f"{bare.net}:darker").exit_code == 0
    assert (bare.toml.read_bytes(), bare.file.read_bytes() != made) == (named, True)
    refused(
        invoke("features", "digits", *asked[2:]), "digits has penultimate features already", "trained here"
    )


def test_features_in_a_file_per_split_are_replaced_by_one_file(bare):
    for split, count in (("train", 130), ("test", 40)):
        np.save(bare.folder / f"{split}.npy", np.random.default_rng(0).normal(size=(count, 3)))
    before = bare.toml.read_text()
    bare.toml.write_text(before + '\n[features]\ntrain = "train.npy"\ntest = "test.npy"\n')
    asked = ["features", bare.folder, "--model", f"{bare.net}:make"]
    refused(invoke(*asked), "has penultimate features already", "train.npy", "--replace")
    assert invoke(*asked, "--replace").exit_code == 0
    assert bare.toml.read_text() == before + '\n[features]\nfile = "penultimate.safetensors"\n'


@pytest.mark.parametrize(
    ("fails_on", "had"),
    [("source.toml", False), ("penultimate.safetensors", False), ("penultimate.safetensors", True)],
)
def test_full_disk_leaves_everything_unchanged(bare, monkeypatch, fails_on, had):
    asked = ["features", bare.folder, "--model", f"{bare.net}:make", "--replace"]
    if had:
        assert invoke(*asked).exit_code == 0
    before = {path.name: path.read_bytes() for path in bare.folder.iterdir() if path.is_file()}
    really = os.replace

    def replace(source, target):
        if str(target).endswith(fails_on):
            raise OSError(errno.ENOSPC, "No space left on device")
        really(source, target)

    monkeypatch.setattr("os.replace", replace)
    refused(
        invoke(*asked, "--transform", f"{bare.net}:darker"),
        "No space left on device",
        "nothing there was changed",
    )
    assert {path.name: path.read_bytes() for path in bare.folder.iterdir() if path.is_file()} == before


def test_read_only_folder_is_refused_before_a_network_runs(bare, monkeypatch):
    monkeypatch.setattr(loading, "own_network", lambda *_: pytest.fail("ran"))
    monkeypatch.setattr("os.access", lambda path, mode: False)
    done = invoke("features", bare.folder, "--model", f"{bare.net}:make")
    refused(done, "it is read-only", "copy source.toml into a folder that can be written")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "NET:make", "--layer", "body"], "Its layers: conv, fc"),
        (["--model", "NET:made"], "has no function 'made'; it has Net, make"),
        (["--model", "NET:answer"], "has no function 'answer'"),
        (["--model", "NET:fails"], "no weights today"),
        (["--model", "NET:text"], "returned a str; expected a torch.nn.Module"),
        (["--model", "NET:wide"], "failed on images (b, 3, 8, 8)"),
        (["--model", "nowhere_at_all:make"], "cannot be imported (ModuleNotFoundError"),
        (["--model", "NET"], "expected MODULE:FUNCTION"),
        (["--model", "NET:make", "--weights", "none.pt"], "none.pt does not exist"),
        (["--torchvision", "resnet81"], "it has resnet18"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_network_that_cannot_run_gives_one_message_and_writes_nothing(bare, options, message):
    before = bare.toml.read_bytes()
    refused(invoke("features", bare.folder, *(word.replace("NET", bare.net) for word in options)), message)
    assert bare.toml.read_bytes() == before
    assert not bare.file.exists()


@pytest.mark.parametrize(
    "options",
    [[], ["--model", "a:b", "--torchvision", "resnet18"], ["--train", "digits", "--layer", "fc"],
     ["--model", "a:b", "--seed", "3"]],
    ids=" ".join,
)  # fmt: skip
def test_options_that_conflict_are_usage_errors(bare, options):
    refused(invoke("features", bare.folder, *options), "Usage:", status=(2,))


def test_torchvision_weights_of_a_file_say_how_images_are_seen(bare, tmp_path):
    from torchvision import models  # takes seconds, in this test and the next alone

    small = "shufflenet_v2_x0_5"
    for classes in (5, 1_000):
        torch.save(models.get_model(small, num_classes=classes).state_dict(), tmp_path / f"{classes}.pth")
    network = torchvision_network(small, tmp_path / "1000.pth", None)
    assert network.transform(torch.zeros(2, 3, 8, 8, dtype=torch.uint8)).shape == (2, 3, 224, 224)
    assert "torchvision's transforms for ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1" in network.seen
    done = invoke("features", bare.folder, "--torchvision", small, "--weights", "5.pth")
    assert done.exit_code == 0, done.output
    assert "fc:input of shufflenet_v2_x0_5, 5.pth (right on" in done.stdout
    assert load_file(bare.file)["train"].shape == (130, 1024)


def test_failed_download_says_what_to_do(bare, monkeypatch):
    def unreachable(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", unreachable)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    done = invoke("features", bare.folder, "--torchvision", "shufflenet_v2_x0_5")
    refused(done, "no route to host", "pass it with --weights")


def test_features_of_a_downloaded_source_are_kept_beside_the_cache_entries(bare, cache, monkeypatch):
    logs = tuple(sorted(bare.folder.glob("runs/*/log.pt")))
    here = ImagesFrom("parquet", shards={s: (bare.folder / f"{s}.parquet",) for s in ("train", "test")})
    monkeypatch.setattr(catalog.published, "fetch_logits", lambda *_, **__: (bare.folder, logs))
    monkeypatch.setattr(catalog, "standard_images", lambda *_, **__: here)
    done = invoke("features", "cifar10-multirun/airbench", "--model", f"{bare.net}:make")
    assert done.exit_code == 0, done.output
    file = cache / "sources/cifar10-multirun-airbench/penultimate.safetensors"
    assert open_source(SourceRequest("cifar10-multirun/airbench")).features == file
    assert open_source(SourceRequest("cifar10-multirun")).features is None
    assert "penultimate-euclidean" in invoke("build", "cifar10-multirun/airbench").stdout
    assert "removed from" in invoke("cache", "clear").stdout
    assert file.is_file()


def test_features_that_float16_cannot_hold_are_kept_in_float32(bare, monkeypatch):
    def train_features(recipe, examples, *, seed, device, progress):
        assert recipe is RECIPES["digits"]
        values = {split: np.full((len(e), 3), 1e6 + seed, np.float32) for split, e in examples.items()}
        return Features(values, layer="before the head", run=f"seed {seed}")

    monkeypatch.setattr(training, "train_features", train_features)
    done = invoke("features", bare.folder, "--train", "digits", "--seed", 4)
    assert done.exit_code == 0, done.output
    assert "before the head of one run of digits" in done.stdout
    assert (load_file(bare.file)["test"] == 1e6 + 4).all()  # float32, which float16 cannot hold
