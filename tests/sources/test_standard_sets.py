"""Well-known data sets, and images of the Hub alone, over HTTP, from stand-ins for the hosts."""

import hashlib
import io
import os

import numpy as np
import pytest
import scipy.io

from kernel_core.cli.main import main as cli
from kernel_core.errors import DownloadError, NotBuilt, SourceError
from kernel_core.sources import hub_images, images
from kernel_core.sources.catalog import BUILT_IN, HEADS_TRAINING, open_source
from kernel_core.sources.hub import Listing
from kernel_core.sources.source import BUILT_IN_NAMES, SourceRequest
from kernel_core.sources.standard_sets import STANDARD_SETS
from tests.sources.test_hub import build, run
from tests.support.hub_server import Hub
from tests.support.planted import write_parquet

HOST = "housenumbers.example/data"  # the repository that stands for torchvision's host
FOLDERS = {"mnist": "mnist/", "svhn": "cropped_digits/", "cifar100": "cifar100/", "cifar10": "plain_text/"}
COUNT = {"train": 40, "test": 20}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The Hub with small copies of every data set, under their real names, and one without a test split."""
    path, repos = tmp_path_factory.mktemp("parquet") / "file", {}
    for name, of in STANDARD_SETS.items():
        repository, side = of.hub.removeprefix("hub:").partition("?")[0], 28 if "mnist" in name else 32
        files = {}
        for split, count in COUNT.items():
            pixels = np.random.default_rng(count).integers(0, 256, (count, side, side, 1), dtype=np.uint8)
            write_parquet(path, np.repeat(pixels, 3, axis=3), np.arange(count) % 4, ("a", "b", "c", "d"))
            files[f"{FOLDERS.get(name, 'data/')}{split}-00000-of-00001.parquet"] = path.read_bytes()
        repos[repository] = files
    svhn = repos["ufldl-stanford/svhn"]
    svhn["full_numbers/train-00000-of-00001.parquet"] = b""
    repos["owner/one"] = {"data/train-00000-of-00001.parquet": path.read_bytes()}
    with Hub(repos) as running:
        yield running


@pytest.fixture
def hub(server):
    server.heal()
    yield server
    server.heal()


def download(hub, home, name):
    """Open a source with a verb that ends there, as heads have features already."""
    opened = run(hub, home, "features", name, "--train", "digits")
    assert "has penultimate features already" in opened.stderr


def test_every_built_in_name_can_be_opened_and_is_listed():
    assert set(BUILT_IN) == set(BUILT_IN_NAMES)
    assert set(STANDARD_SETS) == {"cifar10", "cifar100", "fashion-mnist", "mnist", "svhn"}
    assert "sources" in cli.commands


@pytest.mark.parametrize("name", ["mnist", "svhn"])
def test_copy_of_the_hub_stands_in_for_torchvision(hub, tmp_path, name):
    asked = run(hub, tmp_path, "check", name)
    assert asked.returncode == 0
    assert "is not downloaded in" in asked.stdout
    assert hub.log == []  # nothing is downloaded to look
    download(hub, tmp_path, name)
    assert {file.split("/")[0] for file in hub.fetched()} == {FOLDERS[name].rstrip("/")}
    hub.heal()
    asked, side = run(hub, tmp_path, "check", name).stdout, 28 if name == "mnist" else 32
    assert f"train: 40 images in 4 classes, {side}×{side} pixels" in asked
    download(hub, tmp_path, name)
    assert hub.log == []  # what is here is used as it is


def test_fine_labels_are_those_of_cifar100():
    assert hub_images.described(STANDARD_SETS["cifar100"].hub).columns == {"label": "fine_label"}
    assert hub_images.described(STANDARD_SETS["svhn"].hub).hub["config"] == "cropped_digits"


@pytest.mark.parametrize("name", ["hub:owner/one", "owner/one"])
def test_dataset_of_the_hub_is_a_source_and_held_out_from(hub, tmp_path, name):
    download(hub, tmp_path, name)
    hub.heal()
    asked = run(hub, tmp_path, "check", name)
    assert "test: 2 images in 4 classes, held out of 20" in asked.stdout
    assert hub.log == []


def test_name_of_nothing_says_where_it_was_looked_for(hub, tmp_path):
    refused = build(hub, tmp_path, "data/pictures")
    assert refused.returncode == 1
    assert "'data/pictures' does not exist here. The Hub did not list the dataset" in refused.stderr


@pytest.mark.parametrize(
    ("splits", "names", "held_out"),
    [
        (("train", "test"), {}, 0.0),
        (("train", "validation", "test"), {}, 0.0),
        (("train", "validation"), {"test": "validation"}, 0.0),
        (("train",), {}, 0.1),
        (("all",), {"train": "all"}, 0.1),
        (("test",), {"train": "test"}, 0.1),
    ],
)
def test_splits_of_a_dataset_are_those_it_has(monkeypatch, tmp_path, splits, names, held_out):
    listing = Listing("0" * 40, tuple(f"data/{s}-00000-of-00001.parquet" for s in splits), local=False)
    monkeypatch.setattr(hub_images, "list_files", lambda *_, **__: listing)
    monkeypatch.setattr(hub_images, "download", lambda _repo, file, *_, **__: tmp_path / file)
    found = open_source(SourceRequest("hub:owner/name")).images
    assert (found.split_names, found.held_out, found.choose_size) == (names, held_out, True)
    assert set(found.shards) == ({"train"} if held_out else {"train", "test"})


@pytest.fixture
def housenumbers(monkeypatch, tmp_path):
    """A host for torchvision with a small SVHN; its pixels and labels by split."""
    import torchvision  # seconds, for the tests of it alone

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    rng, files, expected = np.random.default_rng(0), {}, {}
    for split, count in COUNT.items():
        pixels, labels = rng.integers(0, 256, (32, 32, 3, count), dtype=np.uint8), np.arange(count) % 10 + 1
        content = io.BytesIO()
        scipy.io.savemat(content, {"X": pixels, "y": labels[:, None].astype(np.uint8)})
        files[f"{split}_32x32.mat"] = content.getvalue()
        expected[split] = pixels.transpose(3, 0, 1, 2), labels % 10  # 10 stands for the digit 0
    with Hub({HOST: files}) as running:
        places = {
            name.split("_")[0]: [f"{running.cdn}/cdn/{HOST}/{name}", name, hashlib.md5(content).hexdigest()]
            for name, content in files.items()
        }
        monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", places)
        running.expected, running.svhn = expected, torchvision.datasets.SVHN
        yield running


def test_house_numbers_come_by_torchvision(housenumbers, tmp_path):
    with pytest.raises(NotBuilt, match="SVHN is not downloaded"):
        open_source(SourceRequest("svhn"), offline=True)
    assert housenumbers.log == []
    source = open_source(SourceRequest("svhn"))
    assert (source.name, source.logits) == ("svhn", HEADS_TRAINING)
    assert sorted(os.listdir(tmp_path / "datasets/SVHN")) == ["test_32x32.mat", "train_32x32.mat"]
    for split, (pixels, labels) in housenumbers.expected.items():
        read = images.load_examples(source.images, split)
        np.testing.assert_array_equal(read.images, pixels)
        np.testing.assert_array_equal(read.labels, labels)
        assert read.class_names == tuple("0123456789")
    housenumbers.heal()
    assert open_source(SourceRequest("SVHN")).images == source.images
    assert housenumbers.log == []


def test_house_numbers_that_come_broken_are_refused(housenumbers, monkeypatch):
    monkeypatch.setattr(hub_images, "list_files", refuse_to_list)
    housenumbers.faults["test_32x32.mat"] = "cut always"
    with pytest.raises(DownloadError, match=r"could not fetch SVHN.*The Hub's copy failed too: no Hub"):
        open_source(SourceRequest("svhn"))


def refuse_to_list(*_, offline=False, **__):
    raise NotBuilt("none") if offline else DownloadError("no Hub")


def test_built_in_data_set_has_no_configurations():
    with pytest.raises(SourceError, match="mnist has no configurations"):
        open_source(SourceRequest("mnist/letters"))
