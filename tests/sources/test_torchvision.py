"""CIFAR-10 by torchvision, over HTTP, from a stand-in for its host."""

import hashlib
import io
import pickle
import re
import shutil
import socket
import tarfile

import numpy as np
import pytest

from kernel_core.errors import DataError, DownloadError, NotBuilt
from kernel_core.sources import images, torchvision_images
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest
from tests.support.hub_server import CLOSED, Hub
from tests.support.planted import CIFAR10_CLASSES, write_log

HOST = "www.host.example/~cifar"  # the repository that stands for torchvision's host
ARCHIVE = "cifar-10-python.tar.gz"


def batches(rng):
    """Make an archive like CIFAR-10's with 4 examples per batch.

    Returns the archive, the content of each file, the images (N, 32, 32, 3), and the labels (N,).
    """
    packed, arrays, labels = {}, [], []
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"):
        rows = rng.integers(0, 256, (4, 3072), dtype=np.uint8)  # per row: all red, all green, all blue
        numbers = rng.integers(0, 10, 4).tolist()
        content = {"batch_label": name, "labels": numbers, "data": rows, "filenames": ["a.png"] * 4}
        packed[name] = pickle.dumps(content, protocol=2)
        arrays.append(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels += numbers
    packed["batches.meta"] = pickle.dumps({"label_names": list(CIFAR10_CLASSES), "num_vis": 3072}, protocol=2)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in packed.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue(), packed, np.concatenate(arrays), np.array(labels)


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A host for torchvision with a small CIFAR-10, and a source.toml that names it."""
    import torchvision  # seconds, for the tests of it alone

    archive, packed, pixels, labels = batches(np.random.default_rng(0))
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in packed.items()}
    names = list(packed)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Hub({HOST: {ARCHIVE: archive}}) as running:
        cifar10 = torchvision.datasets.CIFAR10
        monkeypatch.setattr(cifar10, "url", f"{running.cdn}/cdn/{HOST}/{ARCHIVE}")
        monkeypatch.setattr(cifar10, "tgz_md5", hashlib.md5(archive).hexdigest())
        monkeypatch.setattr(cifar10, "train_list", [[name, md5[name]] for name in names[:5]])
        monkeypatch.setattr(cifar10, "test_list", [[names[5], md5[names[5]]]])
        meta = {"filename": names[6], "key": "label_names", "md5": md5[names[6]]}
        monkeypatch.setattr(cifar10, "meta", meta)
        running.expected = {"train": (pixels[:20], labels[:20]), "test": (pixels[20:], labels[20:])}
        running.datasets = torchvision.datasets
        running.source = tmp_path / "source.toml"
        running.source.write_text(
            '[images]\ntorchvision = "CIFAR10"\nroot = "data"\n[ensemble]\nfiles = ["runs/log.pt"]\n'
        )
        write_log(
            tmp_path / "runs/log.pt", np.zeros((2, 4, 10), np.float16), np.zeros((2, 20, 10), np.float16)
        )
        yield running


def open_toml(host, offline=False):
    return open_source(SourceRequest(str(host.source)), offline=offline)


def assert_in_order(source, host):
    for split, (pixels, labels) in host.expected.items():
        examples = images.load_examples(source.images, split)
        np.testing.assert_array_equal(examples.images, pixels)
        np.testing.assert_array_equal(examples.labels, labels)
        assert examples.class_names == CIFAR10_CLASSES


def test_torchvision_downloads_and_reads_in_order(host, capsys):
    with pytest.raises(NotBuilt):
        open_toml(host, offline=True)
    assert host.log == []
    assert_in_order(open_toml(host), host)
    assert set(host.fetched()) == {ARCHIVE}
    assert capsys.readouterr().out == ""
    host.heal()
    assert_in_order(open_toml(host, offline=True), host)
    open_toml(host)
    assert host.log == []


def test_torchvision_host_out_of_reach_is_refused_each_time(host, monkeypatch):
    monkeypatch.setattr(host.datasets.CIFAR10, "url", f"{CLOSED}/{ARCHIVE}")
    for _ in range(2):
        with pytest.raises(
            DownloadError, match=r"could not fetch CIFAR10 into .*refused.*Run the command again"
        ):
            open_toml(host)


def test_torchvision_host_that_falls_silent_is_refused(host, monkeypatch):
    monkeypatch.setattr(torchvision_images, "TIMEOUT", 0.2)
    host.faults[ARCHIVE] = "stall"
    with pytest.raises(DownloadError, match=r"could not fetch CIFAR10 .*timed out"):
        open_toml(host)
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize("fault", ["cut always", "reset", "short", "flip", "503 body"])
def test_torchvision_archive_that_comes_broken_is_refused_and_heals(host, fault):
    host.faults[ARCHIVE] = fault
    with pytest.raises(DownloadError, match="could not fetch CIFAR10"):
        open_toml(host)
    host.heal()
    assert_in_order(open_toml(host), host)


def test_torchvision_extraction_that_broke_off_is_done_anew(host):
    """The folder is there, but a file in it is missing."""
    source = open_toml(host)
    (source.images.paths["root"] / "cifar-10-batches-py/data_batch_5").unlink()
    assert_in_order(open_toml(host), host)


def test_torchvision_file_that_is_damaged_is_refused_and_the_advice_helps(host):
    source = open_toml(host)
    folder = source.images.paths["root"] / "cifar-10-batches-py"
    (folder / "data_batch_5").write_bytes(b"")
    with pytest.raises(
        DataError, match=f"cannot read CIFAR10 .* delete {re.escape(str(folder))} and run again"
    ):
        images.load_examples(open_toml(host).images, "train")
    shutil.rmtree(folder)
    assert_in_order(open_toml(host), host)


def test_torchvision_download_that_failed_is_tried_again(host, monkeypatch):
    """torchvision makes the folder of a dataset such as MNIST before it requests anything."""
    monkeypatch.setattr(host.datasets.MNIST, "mirrors", [f"{CLOSED}/"])
    host.source.write_text(host.source.read_text().replace("CIFAR10", "MNIST"))
    for _ in range(2):
        with pytest.raises(DownloadError, match="could not fetch MNIST"):
            open_toml(host)
