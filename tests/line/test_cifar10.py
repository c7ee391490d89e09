"""The real input: CIFAR-10 with 59 small CNNs, held against the figures of an independent computation."""

import json

import pandas as pd
import pytest

from tests.support.command import run_cli

pytestmark = pytest.mark.cifar10


def test_evaluate_meets_the_independent_figures(cifar10, cifar10_cache):
    """Single 79.03 %, ensemble 82.12, kernel 3-NN 81.46, weighted 82.60, penultimate 76.06, pixels 41.5."""
    accuracy = json.loads(run_cli("evaluate", cifar10, "--json", env=cifar10_cache).stdout)
    assert accuracy["runs"] == 59
    expected = {
        "single": 0.7903, "ensemble": 0.8212, "kernel_knn3": 0.8146, "kernel_weighted20": 0.8260,
        "penultimate_knn3": 0.7606, "pixels_knn3": 0.415,
    }  # fmt: skip
    for key, value in expected.items():
        assert accuracy[key] == pytest.approx(value, abs=6e-4), key


def test_pairs_of_the_cards_window(cifar10, cifar10_cache, tmp_path):
    done = run_cli("pairs", cifar10, "--csv", tmp_path / "pairs.csv", env=cifar10_cache)
    assert done.returncode == 0, done.stderr
    pairs = pd.read_csv(tmp_path / "pairs.csv")
    assert pairs["rank"].tolist() == list(range(601, 649))
    assert pairs["similarity"].between(0.51, 0.53).all()
    first = pairs.iloc[0]
    assert (first["query_index"], first["database_index"]) == (9887, 14437)  # seen: the same dog, cropped


@pytest.mark.parametrize(
    ("runs", "knn3", "weighted"),
    [(5, 0.739, 0.768), pytest.param(20, 0.805, 0.815, marks=pytest.mark.slow)],
)
def test_first_runs_meet_the_independent_figures(cifar10, cifar10_cache, runs, knn3, weighted):
    done = run_cli("evaluate", cifar10, "--json", "--runs", runs, env=cifar10_cache)
    accuracy = json.loads(done.stdout)
    assert accuracy["kernel_knn3"] == pytest.approx(knn3, abs=1e-3)
    assert accuracy["kernel_weighted20"] == pytest.approx(weighted, abs=1e-3)
