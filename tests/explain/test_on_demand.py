"""One example's neighbors and ranks on demand, against float64 matrices and neighbors that a build kept."""

import numpy as np
import pytest

from kernel_core.explain import on_demand, traces
from kernel_core.pipeline import build
from kernel_core.results.nearby import Nearby
from kernel_core.results.store import Store
from kernel_core.similarities import KERNEL, PIXELS, of_features
from kernel_core.sources.source import SourceRequest
from tests.support.oracle import kernel as oracle_kernel

rng = np.random.default_rng(5)


def oracle(similarity, query, database):
    """The whole matrix in float64, the plain way."""
    q, d = (x.reshape(len(x), -1).astype(np.float64) for x in (query, database))
    if similarity == "penultimate-euclidean":
        return -np.linalg.norm(q[:, None] - d[None], axis=2)
    if similarity == "pixels":
        return np.corrcoef(q, d)[: len(q), len(q) :]
    if similarity == "kernel":
        return oracle_kernel(np.moveaxis(query, 2, 0), np.moveaxis(database, 2, 0), transform="none")
    if similarity == "penultimate":
        q, d = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, d))
    return q @ d.T


COSINE, EUCLIDEAN, DOT = of_features("penultimate", "Features", ("cosine", "euclidean", "dot"))
NAMED = {similarity.name: similarity for similarity in (KERNEL, PIXELS, COSINE, EUCLIDEAN, DOT)}
MADE = {
    "kernel": lambda n: traces.standardize(rng.normal(size=(n, 6, 25))).astype(np.float16),
    "penultimate": lambda n: rng.normal(size=(n, 9)).astype(np.float16),
    "penultimate-euclidean": lambda n: rng.normal(size=(n, 9)).astype(np.float16) + np.float16(20),
    "penultimate-dot": lambda n: rng.normal(size=(n, 9)).astype(np.float16) * np.float16(30),
    "pixels": lambda n: rng.integers(0, 256, (n, 4, 4, 3), dtype=np.uint8),
}


@pytest.mark.parametrize("similarity", MADE)
@pytest.mark.parametrize("block", [on_demand.BLOCK, 100])
def test_neighbors_and_ranks_are_those_of_the_whole_matrix(similarity, block, monkeypatch):
    monkeypatch.setattr(on_demand, "BLOCK", block)
    monkeypatch.setattr(on_demand, "ON_A_THREAD", 40 * block)
    a, b = MADE[similarity](30), MADE[similarity](80)
    b[40] = b[3]  # equal values stand in the order of their indices
    b[50] = a[7]
    query, database = (on_demand.prepare_vectors(NAMED[similarity], values) for values in (a, b))
    whole = oracle(similarity, a, b)
    for i in range(30):
        indices, values = on_demand.nearest(query, i, database, 12, excludes_self=False)
        expected = np.argsort(-whole[i].astype(np.float32), kind="stable")[:12]
        np.testing.assert_allclose(values, whole[i, expected], atol=1e-6, rtol=1e-6)
        np.testing.assert_allclose(whole[i, indices], whole[i, expected], atol=1e-6, rtol=1e-6)
        assert len(set(indices.tolist())) == 12
        for rank in (1, 5, 12):
            computed, value = on_demand.rank_of(
                query, i, database, int(indices[rank - 1]), excludes_self=False
            )
            assert computed == rank
            assert value == pytest.approx(values[rank - 1], abs=1e-6, rel=1e-6)
    twins = [on_demand.rank_of(query, 0, database, other, excludes_self=False)[0] for other in (3, 40)]
    assert twins[1] == twins[0] + 1


def test_kernel_of_some_runs_is_that_of_its_matrix():
    """Cut to fewer runs, traces have another variance in every class, which must not change the order."""
    cut = MADE["kernel"](300)[:, :, :8]
    vectors = on_demand.prepare_vectors(KERNEL, cut, of_some_runs=True)
    whole = oracle("kernel", cut.astype(np.float64), cut.astype(np.float64))
    np.fill_diagonal(whole, -np.inf)
    for i in range(0, 300, 50):
        indices, _ = on_demand.nearest(vectors, i, vectors, 20, excludes_self=True)
        expected = np.argsort(-whole[i])
        np.testing.assert_array_equal(indices, expected[:20])
        assert on_demand.rank_of(vectors, i, vectors, int(expected[149]), excludes_self=True)[0] == 150


@pytest.mark.parametrize("similarity", MADE)
def test_an_example_is_never_its_own_neighbor(similarity):
    vectors = on_demand.prepare_vectors(NAMED[similarity], MADE[similarity](20))
    for i in range(20):
        indices, _ = on_demand.nearest(vectors, i, vectors, 50, excludes_self=True)
        assert sorted(indices.tolist()) == [j for j in range(20) if j != i]
        assert on_demand.rank_of(vectors, i, vectors, int(indices[0]), excludes_self=True)[0] == 1
    alone = on_demand.prepare_vectors(NAMED[similarity], MADE[similarity](1))
    assert len(on_demand.nearest(alone, 0, alone, 5, excludes_self=True)[0]) == 0


def test_vectors_without_length_are_similar_to_nothing():
    values = np.zeros((3, 2, 2, 3), np.uint8)
    values[1] = 7  # constant: no correlation
    values[2] = rng.integers(0, 256, (2, 2, 3))
    vectors = on_demand.prepare_vectors(PIXELS, values)
    np.testing.assert_allclose(on_demand.approximate_similarities(vectors, 2, vectors), [0, 0, 1], atol=1e-6)
    assert on_demand.exact_similarities(vectors, 1, vectors, [0, 1, 2]).tolist() == [0, 0, 0]


def test_on_demand_is_what_the_build_kept(source_folder, cache):
    request = SourceRequest(str(source_folder))
    results = build(request)
    for similarity in ("penultimate", "penultimate-euclidean", "pixels"):
        vectors = Nearby(request, results, Store()).vectors(similarity)
        kept = results.neighbors_by(similarity)
        for i in range(0, 40, 3):
            indices, values = on_demand.nearest(vectors["test"], i, vectors["train"], 50, excludes_self=False)
            np.testing.assert_array_equal(indices, kept.indices[i])
            np.testing.assert_allclose(values, kept.values[i], atol=2e-6)


def test_on_demand_kernel_is_the_builds_but_for_float16(source_folder, cache, planted):
    request = SourceRequest(str(source_folder))
    results = build(request)
    vectors = Nearby(request, results, Store()).vectors("kernel")
    kept = results.neighbors_by("kernel")
    for i in range(40):
        indices, values = on_demand.nearest(vectors["test"], i, vectors["train"], 50, excludes_self=False)
        np.testing.assert_allclose(values, kept.values[i], atol=1e-3)
        assert indices[0] == kept.indices[i, 0]
        assert len(set(indices[:10]) & set(kept.indices[i, :10])) >= 9
    whole = oracle_kernel(planted.train.astype(np.float64), planted.train.astype(np.float64))
    np.fill_diagonal(whole, -np.inf)
    for i in range(0, 130, 9):
        indices, values = on_demand.nearest(vectors["train"], i, vectors["train"], 5, excludes_self=True)
        np.testing.assert_allclose(values, -np.sort(-whole[i])[:5], atol=1e-3)
        assert indices[0] == whole[i].argmax()
