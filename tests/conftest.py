"""What tests share: a planted ensemble, a source folder made of it, the command, and the machine's abilities.

Torch is loaded by what uses it: pytest-xdist's own process reads this file too, and the workers start after it.
"""

import functools
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

if (
    "PYTEST_XDIST_WORKER" in os.environ
):  # the processes share the cores; their threads would only be in each other's way
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded

import filelock
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from safetensors.numpy import save_file

from tests import forked

ROOT = Path(__file__).resolve().parents[1]
REQUIRED = set(filter(None, os.environ.get("KERNEL_EXPLORER_REQUIRE", "").split(",")))


def unavailable(ability, why):
    """Skip, saying why; where the ability is required (in CI), fail."""
    if ability in REQUIRED:
        pytest.fail(f"{ability} is required here, but {why}")
    pytest.skip(why)


@pytest.fixture(scope="session")
def cifar10():
    """The source.toml of the real CIFAR-10 folder."""
    folder = os.environ.get("KERNEL_EXPLORER_CIFAR10")
    if not folder:
        unavailable("cifar10", "KERNEL_EXPLORER_CIFAR10 names no CIFAR-10 folder")
    return Path(folder) / "source.toml"


@pytest.fixture(scope="session")
def cifar10_cache(cifar10, tmp_path_factory):
    """A cache with CIFAR-10 in it. Building it takes most of a minute on two cores, mostly for pixels."""
    return built_once(cifar10, "cifar10-cache", tmp_path_factory)


def built_once(source, name, tmp_path_factory):
    """A cache in which a source is built, by whichever of the test processes comes first; the environment naming it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # each process has its own below it
    environment = dict(os.environ, KERNEL_EXPLORER_CACHE=str(folder / name))
    with filelock.FileLock(folder / f"{name}.lock"):
        if not (folder / f"{name}.built").exists():
            done = forked.cli("build", source, env=environment, timeout=230)
            assert done.returncode == 0, done.stderr
            (folder / f"{name}.built").touch()
    return environment


@dataclass(frozen=True)
class Planted:
    """An ensemble in which the answer is known.

    Test example i's logits equal train example `exact[i]`'s in every run; `near` ones differ by a little noise.
    Test example 7's exact duplicate has another label.
    """

    test: np.ndarray  # float16 (M, N1, C)
    train: np.ndarray  # float16 (M, N2, C)
    exact: dict
    near: dict
    test_labels: np.ndarray
    train_labels: np.ndarray


@pytest.fixture(scope="session")
def planted():
    rng = np.random.default_rng(0)
    M, N1, N2, C = 24, 40, 130, 5  # runs, test examples, train examples, classes
    train_labels, test_labels = np.arange(N2) % C, np.arange(N1) % C
    train = rng.normal(size=(M, N2, C)) + 3 * np.eye(C)[train_labels]
    test = rng.normal(size=(M, N1, C)) + 3 * np.eye(C)[test_labels]
    exact = {0: 100, 1: 21, 7: 53}  # 7 % 5 = 2, 53 % 5 = 3: the labels differ
    near = {4: 64, 9: 129}
    for i, j in exact.items():
        test[:, i] = train[:, j]
    for i, j in near.items():
        test[:, i] = train[:, j] + 0.3 * rng.normal(size=(M, C))
    return Planted(test.astype(np.float16), train.astype(np.float16), exact, near, test_labels, train_labels)


def write_log(path, test, train):
    """A log.pt in the published layout."""
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    accs = torch.full((len(test),), 0.9)
    content = {
        "logits": torch.from_numpy(test),
        "logits_train": torch.from_numpy(train),
        "accs": accs,
        "code": "# code",
    }
    torch.save(content, path)


def png(image):
    import io

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(path, images, labels, names):
    """Hub-style Parquet, class names in the schema's metadata."""
    import json

    cells = [{"bytes": png(image), "path": f"{i}.png"} for i, image in enumerate(images)]
    features = {"img": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
    table = pa.table({"img": cells, "label": pa.array(labels, pa.int64())})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), path)


CLASS_NAMES = ("ant", "bee", "cat", "dog", "elk")


def write_source(folder, planted):
    """A folder with source.toml: Parquet images, the planted ensemble in two files, features."""
    write_log(folder / "runs/a/log.pt", planted.test[:14], planted.train[:14])
    write_log(folder / "runs/b/log.pt", planted.test[14:], planted.train[14:])
    rng = np.random.default_rng(1)
    for split, labels in (("train", planted.train_labels), ("test", planted.test_labels)):
        images = rng.integers(0, 256, (len(labels), 8, 8, 3), dtype=np.uint8)
        write_parquet(folder / f"{split}.parquet", images, labels, CLASS_NAMES)
    features = {
        split: rng.normal(size=(n, 7)).astype(np.float16)
        for split, n in (("train", len(planted.train_labels)), ("test", len(planted.test_labels)))
    }
    save_file(features, folder / "penultimate.safetensors", metadata={"run": "0", "layer": "before the head"})
    (folder / "source.toml").write_text(
        'name = "planted"\n[images]\ntrain = "train.parquet"\ntest = "test.parquet"\n'
        '[ensemble]\nfiles = ["runs/*/log.pt"]\n[features]\nfile = "penultimate.safetensors"\n'
    )
    return folder


@pytest.fixture
def source_folder(tmp_path, planted):
    """`write_source`, for one test alone."""
    return write_source(tmp_path / "source", planted)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder of the test's own."""
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def digits_cache(tmp_path_factory):
    """A cache in which the digits are built, as `make run` builds them; the environment that names it."""
    return built_once("digits", "digits-cache", tmp_path_factory)


@pytest.fixture
def no_umap(monkeypatch):
    """Maps whose points lie where UMAP would start, which takes ten seconds to load, the first time forty."""
    from kernel_core.findings import map_layout

    monkeypatch.setattr(map_layout, "layout", lambda indices, *_: map_layout.starting_points(indices))


@pytest.fixture(scope="session", autouse=True)
def components_looked_for_once():
    """Streamlit's test driver looks through all installed packages for components at every first run, 0.3 s each."""
    from streamlit.components.v2 import manifest_scanner as scanner

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanner, "scan_component_manifests", functools.cache(scanner.scan_component_manifests))
        yield


@pytest.fixture
def one_thread():
    """As a worker has; small networks gain nothing from more, and on a busy machine lose much."""
    from kernel_core import machine

    with machine.one_thread():
        yield


def run_cli(*arguments, env=None, cwd=None, timeout=120):
    """The command as a user runs it, in a process of its own."""
    command = [sys.executable, "-m", "kernel_core", *map(str, arguments)]
    env = dict(env or os.environ, PYTHONPATH=str(ROOT))
    return subprocess.run(
        command, check=False, capture_output=True, text=True, env=env, cwd=cwd or ROOT, timeout=timeout
    )


def free_port():
    """A port on 127.0.0.1 that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_healthy(process, port):
    """Return once the app answers on the port; fail if its process ends or a minute and more passes."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as answer:
                assert answer.read() == b"ok"
            return
        except OSError:
            assert process.poll() is None, "the server ended"
            time.sleep(0.1)
    pytest.fail("the server did not answer")


def assert_no_torch(process):
    """The web process must not have loaded torch (read from Linux's list of what it has mapped)."""
    maps = Path(f"/proc/{process.pid}/maps")
    if maps.exists():
        assert "libtorch" not in maps.read_text()


@pytest.fixture(scope="session")
def chromium():
    """Debian's Chromium, or another named by E2E_CHROMIUM."""
    path = os.environ.get("E2E_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        unavailable("browser", "no Chromium is installed (Debian: apt-get install chromium)")
    return path
