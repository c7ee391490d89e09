"""Fixtures of all tests: a planted ensemble, a source made of it, built caches, the machine's abilities.

Torch is loaded only where it is used: pytest-xdist's main process reads this file too, before it starts the
workers.
"""

import functools
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # Set before torch is loaded: the workers share the cores, more threads would slow each other down.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A suite that a script runs in the background inherits this, and hands it on to what tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

import filelock
import pytest

from tests.support import forked
from tests.support.caches import copied
from tests.support.planted import plant, write_source

REQUIRED = set(filter(None, os.environ.get("KERNEL_EXPLORER_REQUIRE", "").split(",")))


def unavailable(ability, why):
    """Skip and say why, or fail if the ability is required, as it is in CI."""
    if ability in REQUIRED:
        pytest.fail(f"{ability} is required here, but {why}")
    pytest.skip(why)


@pytest.fixture(scope="session")
def cifar10():
    """The source.toml of the real CIFAR-10."""
    folder = os.environ.get("KERNEL_EXPLORER_CIFAR10")
    if not folder:
        unavailable("cifar10", "KERNEL_EXPLORER_CIFAR10 does not name a CIFAR-10 folder")
    return Path(folder) / "source.toml"


@pytest.fixture(scope="session")
def cifar10_cache(cifar10, tmp_path_factory):
    """The environment of a cache that holds CIFAR-10. Building it takes most of a minute on two cores."""
    return built_once(cifar10, "cifar10-cache", tmp_path_factory)


def built_once(source, name, tmp_path_factory):
    """Build a source in a cache that all test processes share; return the environment that names the cache.

    The process that comes first builds; the others wait. This takes as long as it takes: pytest's time limit
    is for tests, not for their fixtures.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # shared by the workers; each has its own folder in it
    environment = dict(os.environ, KERNEL_EXPLORER_CACHE=str(folder / name))
    with filelock.FileLock(folder / f"{name}.lock"):
        if not (folder / f"{name}.built").exists():
            done = forked.cli("build", source, env=environment)
            assert done.returncode == 0, done.stderr
            (folder / f"{name}.built").touch()
    return environment


@pytest.fixture(scope="session", autouse=True)
def verdicts_elsewhere(tmp_path_factory):
    """Keep verdicts on built-in sources out of the user's folder. Tests that write some name a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data-home")))
        patch.delenv("KERNEL_EXPLORER_VERDICTS", raising=False)
        yield


@pytest.fixture(scope="session")
def planted():
    """The planted ensemble."""
    return plant()


@pytest.fixture
def source_folder(tmp_path, planted):
    """A folder written by `write_source`, for this test only."""
    return write_source(tmp_path / "source", planted)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, for this test only; the pages have opened nothing of it yet."""
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", str(tmp_path / "cache"))
    forget_what_pages_opened()
    yield tmp_path / "cache"
    forget_what_pages_opened()


def forget_what_pages_opened():
    """Clear the pages' process cache, and stop what would still fill it.

    Its keys are made from content, and most tests have sources with the same content. Without this, a page
    could find what an earlier test's page has prepared, although its own cache on disk lacks it.
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
def built_digits(tmp_path_factory):
    """The folder of a cache that holds the digits as `make run` builds them. Nothing is ever added to it."""
    return Path(built_once("digits", "built-digits", tmp_path_factory)["KERNEL_EXPLORER_CACHE"])


@pytest.fixture(scope="session")
def digits_cache(built_digits, tmp_path_factory):
    """The environment of a copy of that cache, for all tests of this process that only read it."""
    return dict(
        os.environ, KERNEL_EXPLORER_CACHE=str(copied(built_digits, tmp_path_factory.mktemp("digits")))
    )


@pytest.fixture
def own_digits_cache(built_digits, tmp_path, monkeypatch):
    """A copy of that cache for one test, which may add to it; set in the environment."""
    folder = copied(built_digits, tmp_path / "own-digits-cache")
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def digits_stay_as_built(request):
    """Fail the test that adds neighbors to the digits that others read, and would find unbuilt."""
    if "digits_cache" not in request.fixturenames:
        yield
        return
    neighbors = Path(request.getfixturevalue("digits_cache")["KERNEL_EXPLORER_CACHE"]) / "neighbors"
    before = set(os.listdir(neighbors))
    yield
    added = set(os.listdir(neighbors)) - before
    assert not added, f"{sorted(added)} are new in the cache that tests share: use own_digits_cache"


@pytest.fixture
def no_umap(monkeypatch):
    """Place a map's points where UMAP would start; loading UMAP takes ten seconds, forty the first time."""
    from kernel_core.findings import map_layout

    monkeypatch.setattr(map_layout, "layout", lambda indices, *_: map_layout.starting_points(indices))


@pytest.fixture(scope="session", autouse=True)
def components_looked_for_once():
    """Scan the installed packages for Streamlit components once.

    Otherwise Streamlit's test driver scans them at the first run of every page, for 0.3 s.
    """
    from streamlit.components.v2 import manifest_scanner as scanner

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanner, "scan_component_manifests", functools.cache(scanner.scan_component_manifests))
        yield


@pytest.fixture
def one_thread():
    """Compute in one thread, as a worker does.

    Small networks gain nothing from more, and lose on a busy machine.
    """
    from kernel_core import machine

    with machine.one_thread():
        yield


@pytest.fixture(scope="session")
def chromium():
    """The path of Chromium: the one on PATH, or the one that E2E_CHROMIUM names."""
    path = os.environ.get("E2E_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        unavailable("browser", "no Chromium is installed (Debian: apt-get install chromium)")
    return path
