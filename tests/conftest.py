"""What tests share: a planted ensemble, a source folder made of it, the command, and the machine's abilities.

Torch is loaded by what uses it: pytest-xdist's own process reads this file too, and the workers start after it.
"""

import functools
import os
import shutil
import sys
import threading
from pathlib import Path

# The processes share the cores; their threads would only be in each other's way. Set before torch is loaded.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import filelock
import pytest

from tests.support import forked
from tests.support.planted import plant, write_source

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


@pytest.fixture(scope="session")
def planted():
    return plant()


@pytest.fixture
def source_folder(tmp_path, planted):
    """`write_source`, for one test alone."""
    return write_source(tmp_path / "source", planted)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder of the test's own, which pages know nothing of yet."""
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", str(tmp_path / "cache"))
    forget_what_pages_opened()
    yield tmp_path / "cache"
    forget_what_pages_opened()


def forget_what_pages_opened():
    """Empty the process cache of pages, and end what prepares it.

    Its keys are ids made of content, and most tests have sources of the same content: what one test's page prepared, a
    second after it was drawn, would be found by the page of another test whose own cache lacks it.
    """
    if "pages.ui.load" not in sys.modules:
        return
    import streamlit as st

    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()
            thread.join()
    st.cache_resource.clear()
    st.cache_data.clear()


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


@pytest.fixture(scope="session")
def chromium():
    """Debian's Chromium, or another named by E2E_CHROMIUM."""
    path = os.environ.get("E2E_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        unavailable("browser", "no Chromium is installed (Debian: apt-get install chromium)")
    return path
