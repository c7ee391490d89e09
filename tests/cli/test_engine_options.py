"""An engine that cannot be had is refused at once, in one line, even if nothing is left to compute."""

import sys

import pytest

from tests.support.command import invoke

VERBS = [
    ("build", "digits"),  # which the cache has
    ("map", "digits"),
    ("train", "digits", "--runs", 2, "--out", "out"),
]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_ray_that_is_not_installed_is_named(verb, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = invoke(*verb, "--engine", "ray")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: --engine ray needs Ray, which is not installed here (No module named 'ray'): pip install "
        '"kernel-explorer[ray]". Or leave --engine ray out.\n'
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_a_cluster_that_does_not_answer_is_named(verb, tmp_path, monkeypatch):
    monkeypatch.setattr("kernel_core.engines.ray_cluster.importlib.util.find_spec", lambda _: sys)
    done = invoke(*verb, "--engine", "ray", "--address", "127.0.0.1:1")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: There is no Ray cluster at 127.0.0.1:1 (")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
