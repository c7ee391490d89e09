"""A home that cannot be written: libraries keep what is theirs in our cache, or one line says what to set."""

import os

import pytest

from kernel_core import library_caches
from kernel_core.errors import RequestError
from kernel_core.library_caches import load_umap, prepare_matplotlib
from tests.support import forked

NO_HOME = {"HOME": "/proc/none", "NUMBA_CACHE_LOCATOR_CLASSES": "UserWideCacheLocator"}


@pytest.mark.slow  # numba compiles for 20 seconds
def test_map_is_drawn_without_a_home(digits_cache, tmp_path):
    environment = {**digits_cache, **NO_HOME, "KERNEL_EXPLORER_CACHE": str(tmp_path)}
    done = forked.run(
        forked.code, "from kernel_core import library_caches as l; l.load_umap()", env=environment
    )
    assert done.returncode == 0, done.stderr
    assert any((tmp_path / f"numba-{os.getuid()}").rglob("*.nbi"))


def refuse(*_, **__):
    raise RuntimeError("cannot cache function 'rdist': no locator available for file 'layouts.py'")


@pytest.fixture
def numba_settings(monkeypatch):
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(numba.config, "CACHE_LOCATOR_CLASSES", "UserWideCacheLocator")
    return numba.config


def test_numba_is_given_our_cache_when_it_finds_no_place(monkeypatch, cache, numba_settings):
    answers = iter([refuse, lambda: "UMAP"])
    monkeypatch.setattr(library_caches, "_umap", lambda: next(answers)())
    assert load_umap() == "UMAP"
    folder = cache / f"numba-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (numba_settings.CACHE_DIR, numba_settings.CACHE_LOCATOR_CLASSES) == (str(folder), "")


@pytest.mark.parametrize("problem", ["a file", "others may write"])
def test_one_line_says_what_to_set_where_our_cache_will_not_do(monkeypatch, cache, numba_settings, problem):
    monkeypatch.setattr(library_caches, "_umap", refuse)
    if problem == "a file":
        cache.write_text("no folder")
    else:
        (cache / f"numba-{os.getuid()}").mkdir(parents=True)
        (cache / f"numba-{os.getuid()}").chmod(0o777)
    with pytest.raises(RequestError, match="Set NUMBA_CACHE_DIR, or KERNEL_EXPLORER_CACHE, to a folder"):
        load_umap()


def test_other_errors_of_umap_stay(monkeypatch, cache):
    def fail():
        raise RuntimeError("another")

    monkeypatch.setattr(library_caches, "_umap", fail)
    with pytest.raises(RuntimeError, match="another"):
        load_umap()


def test_matplotlib_is_given_our_cache_only_without_a_home(monkeypatch, cache, tmp_path):
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    prepare_matplotlib()
    assert "MPLCONFIGDIR" not in os.environ
    monkeypatch.setenv("HOME", "/proc/none")
    prepare_matplotlib()
    assert os.environ["MPLCONFIGDIR"] == str(cache / f"matplotlib-{os.getuid()}")
    monkeypatch.delenv("MPLCONFIGDIR")
