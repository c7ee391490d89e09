"""Aligned pixels and the twin score along the whole line: cache, directions, verb and door."""

import json

import numpy as np
import pandas as pd
import pytest

import kernel_core
from kernel_core import pipeline
from kernel_core.errors import NotBuilt, RequestError
from kernel_core.explain.aligned_pixels import aligned_pixels
from kernel_core.findings.twins import COLUMNS
from kernel_core.results.directions import in_direction
from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest
from tests.support.command import invoke
from tests.support.planted import write_source


@pytest.fixture(scope="module")
def place(planted, tmp_path_factory):
    """The planted source, and the environment that names its cache."""
    folder = tmp_path_factory.mktemp("twins")
    source = write_source(folder / "source", planted) / "source.toml"
    return source, {"KERNEL_EXPLORER_CACHE": str(folder / "cache")}


@pytest.fixture
def source(place, monkeypatch):
    for name, value in place[1].items():
        monkeypatch.setenv(name, value)
    return str(place[0])


def test_build_compares_pixels_of_the_kernel_in_its_direction(source):
    built = pipeline.build(SourceRequest(source))
    assert list(built.aligned) == ["kernel"]
    images = [built.examples[split].images for split in ("test", "train")]
    expected = aligned_pixels(*images, built.neighbors["kernel"].indices[:, :10])
    np.testing.assert_allclose(built.aligned["kernel"].values, expected, atol=2e-6)


def test_results_open_without_aligned_pixels_and_the_next_build_adds_them(source):
    pipeline.build(SourceRequest(source))
    store = Store()
    for path in (store.root / "aligned").iterdir():
        path.unlink()
    opened = open_results(SourceRequest(source))
    assert "kernel" not in opened.aligned
    with pytest.raises(NotBuilt):
        open_results(SourceRequest(source), complete=True)
    pipeline.build(SourceRequest(source))
    assert "kernel" in opened.aligned  # noticed without opening again
    assert len(opened.aligned["kernel"].values) == 40


def test_aligned_pixels_by_any_similarity_in_any_direction(source):
    whole = pipeline.build(SourceRequest(source))
    request = SourceRequest(source, query="train", database="train")
    for by in ("pixels", "kernel.raw"):
        built = pipeline.build_aligned(request, by)
        within = in_direction(whole, SourceRequest(source), Store(), "train", "train")
        np.testing.assert_array_equal(within.aligned[by].values, built.values)
        assert built.values.shape == (130, 10)
        assert by not in whole.aligned
    assert set(within.aligned) == {"kernel.raw", "pixels"}


def test_verb_and_door_give_the_same_pairs(source, place, tmp_path):
    file = tmp_path / "pairs.csv"
    arguments = ("pairs", source, "--order", "twin", "--aligned", "0.2")
    done = invoke(*arguments, "--csv", file, env=place[1])
    assert done.exit_code == 0, done.output
    table = pd.read_csv(file)
    door = kernel_core.open(source).pairs(order="twin", aligned=0.2)
    assert table["twin"].is_monotonic_decreasing
    assert (table["aligned"] >= 0.2).all()
    assert table["rank"].tolist() == door["rank"].tolist()
    np.testing.assert_allclose(table[COLUMNS[:4]], door[COLUMNS[:4]], rtol=1e-6)
    answer = json.loads(invoke(*arguments, "--json", env=place[1]).stdout)
    assert [answer["order"], answer["count"], len(answer["pairs"])] == ["twin", 40, len(table)]


def test_door_says_what_is_missing_and_builds_it(source):
    explorer = kernel_core.open(source, build=True).within("test", build=True)
    with pytest.raises(NotBuilt, match="build=True"):
        explorer.pairs(order="twin", by="kernel")
    pairs = explorer.pairs(order="twin", build=True)
    assert len({frozenset(pair) for pair in pairs[["query", "database"]].to_numpy().tolist()}) == len(pairs)
    neighbors = explorer.neighbors(pairs["query"][0], k=10, database="test")
    assert pairs["aligned"][0] == pytest.approx(
        neighbors.set_index("example")["aligned"][pairs["database"][0]], abs=1e-6
    )
    with pytest.raises(RequestError, match="no twin score"):
        kernel_core.open(source).pairs(by="penultimate-euclidean", order="twin")


def test_groups_by_the_twin_score_link_pairs_of_every_direction(source, place):
    explorer = kernel_core.open(source, build=True)
    with pytest.raises(NotBuilt, match="build=True"):
        explorer.groups(order="twin", by="pixels")
    table = explorer.groups(0.3, order="twin", build=True)
    counts, near = {"test": 40, "train": 130}, set()
    for query, database in (("test", "train"), ("test", "test"), ("train", "train")):
        part = in_direction(explorer.results, explorer.request, explorer.store, query, database)
        neighbors, pixels = part.neighbors_by("kernel"), part.aligned["kernel"].values
        for i in range(counts[query]):
            for j in range(10):
                score = neighbors.values[i, j] - neighbors.values[i, :5].mean() / 2 + pixels[i, j] / 2
                if score >= 0.3:
                    near.add(frozenset({f"{query}:{i}", f"{database}:{neighbors.indices[i, j]}"}))
    assert set(table["example"]) == set().union(*near)
    of = table.set_index("example")["group"]
    assert all(len({of[name] for name in pair}) == 1 for pair in near)
    arguments = ("groups", source, "--order", "twin", "--threshold", "0.3", "--json")
    answer = json.loads(invoke(*arguments, env=place[1]).stdout)
    assert [answer["order"], answer["pairs"], answer["count"]] == ["twin", len(near), table["group"].max()]
    default = json.loads(invoke("groups", source, "--order", "twin", "--json", env=place[1]).stdout)
    assert default["threshold"] >= 0.8
