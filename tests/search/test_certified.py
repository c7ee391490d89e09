"""Half-precision candidates, the exact re-rank and its proof: the answer must always be that of float32."""

import numpy as np
import pytest
import torch

from kernel_core.errors import RequestError
from kernel_core.machine import Machine
from kernel_core.search import certified, topk
from kernel_core.search.products import half
from kernel_core.spec import PRECISIONS
from tests.support import oracle
from tests.support.matrix import DEVICES, Matrix, use_plan


def unit_rows(n, dim, seed):
    rows = np.random.default_rng(seed).normal(size=(n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def crowded_rows(n, dim, seed, spread):
    """Return rows near one direction: their products with it differ by far less than float16 rounds."""
    rows = unit_rows(1, dim, 0) + spread * unit_rows(n, dim, seed)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def exact_products(q, d):
    return q.astype(np.float64) @ d.astype(np.float64).T


@pytest.mark.parametrize("device", DEVICES)
def test_every_row_of_ordinary_data_is_certified_and_exact(device):
    q, d = unit_rows(80, 300, 1), unit_rows(900, 300, 2)
    machine = Machine(torch.device(device), 10**9)
    top = certified.nearest(Matrix(q), Matrix(d), 20, precision="certified", machine=machine)
    oracle.assert_neighbors(top.indices, top.values, exact_products(q, d), 1e-6)
    assert (top.certified, top.redone) == (80, 0)


def test_crowded_rows_are_not_certified_but_searched_again_exactly():
    q, d = crowded_rows(40, 300, 1, 1e-3), crowded_rows(900, 300, 2, 1e-3)
    proved = certified.nearest(Matrix(q), Matrix(d), 20, precision="certified")
    exact = certified.nearest(Matrix(q), Matrix(d), 20)
    assert proved.certified < 40
    assert proved.redone == 40 - proved.certified
    np.testing.assert_array_equal(proved.indices, exact.indices)
    fast = certified.nearest(Matrix(q), Matrix(d), 20, precision="fast")
    assert (fast.certified, fast.redone) == (proved.certified, 0)
    assert (fast.indices != exact.indices).any(), "the data must be too crowded for float16"


@pytest.mark.parametrize("spread", [0.1, 0.15, 0.2, 0.3])
def test_a_certificate_is_never_wrong(spread):
    """Between ordinary and crowded data, some rows are certified: they are exact without a second search."""
    in_doubt = 0
    for seed in range(3):
        q, d = crowded_rows(60, 200, seed, spread), crowded_rows(800, 200, 100 + seed, spread)
        bound_holds(q, d)
        fast = certified.nearest(Matrix(q), Matrix(d), 10, precision="fast")
        similarity = exact_products(q, d)
        true = np.argsort(-similarity, axis=1)[:, :10]
        right = [set(a) == set(b) for a, b in zip(fast.indices.tolist(), true.tolist(), strict=True)]
        in_doubt += fast.certified < 60
        assert fast.certified <= sum(right), "more rows were certified than are right"
    assert in_doubt or spread > 0.15, "some rows must be in doubt where they are crowded"


def bound_holds(q, d):
    """Assert that no product of rounded rows is farther from the true one than the bound."""
    search = certified._CertifiedSearch(
        Matrix(q), Matrix(d), 10, False, Machine(torch.device("cpu"), 10**9), lambda *_: None
    )
    _, bound = search._rerank(torch.zeros(len(q), 1, dtype=torch.int64))
    product = half(q.shape[1])
    rounded = product.multiply(product.operand(torch.from_numpy(q)), product.operand(torch.from_numpy(d)))
    error = np.abs(rounded.double().numpy() - exact_products(q, d)).max(1)
    assert (error <= bound.numpy()).all()
    assert (bound.numpy() < 300 * error).all(), "a bound this loose proves nothing"


@pytest.mark.parametrize("plan", [(80, 256, 80, 30), (80, 100, 13, 4), (33, 64, 32, 1)])
def test_blocks_and_slices_do_not_change_a_certified_answer(monkeypatch, plan):
    use_plan(monkeypatch, *plan)
    q, d = unit_rows(80, 300, 3), unit_rows(900, 300, 4)
    top = certified.nearest(Matrix(q, 30), Matrix(d, 30), 20, precision="certified")
    oracle.assert_neighbors(top.indices, top.values, exact_products(q, d), 1e-6)
    assert top.certified == 80


def test_self_is_excluded_from_certified_neighbors_and_from_those_found_again():
    rows = np.concatenate([unit_rows(200, 100, 5), crowded_rows(200, 100, 6, 1e-3)])
    top = certified.nearest(Matrix(rows), Matrix(rows), 15, precision="certified", exclude_self=True)
    similarity = exact_products(rows, rows)
    np.fill_diagonal(similarity, -np.inf)
    assert 0 < top.certified < 400
    oracle.assert_neighbors(top.indices, top.values, similarity, 1e-6)


def test_a_database_no_larger_than_the_candidates_needs_no_proof():
    q, d = crowded_rows(5, 50, 7, 1e-4), crowded_rows(12, 50, 8, 1e-4)
    top = certified.nearest(Matrix(q), Matrix(d), 12, precision="certified")
    assert (top.certified, top.redone) == (5, 0)
    oracle.assert_neighbors(top.indices, top.values, exact_products(q, d), 1e-6)


def test_gpu_out_of_memory_falls_to_smaller_blocks_then_says_so(monkeypatch):
    tried, real = [], topk.top_k

    def hungry(*args, machine, **options):
        tried.append(machine.budget)
        if machine.budget > least:
            raise torch.OutOfMemoryError
        return real(*args, machine=machine, **options)

    monkeypatch.setattr(certified, "top_k", hungry)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    q, d = unit_rows(5, 20, 9), unit_rows(50, 20, 10)
    machine, least = Machine(torch.device("cpu"), 10**9), 3 * 10**8
    top = certified.nearest(Matrix(q), Matrix(d), 3, machine=machine)
    assert tried == [10**9, 5 * 10**8, 25 * 10**7]
    assert top.budget == 25 * 10**7
    oracle.assert_neighbors(top.indices, top.values, exact_products(q, d), 1e-6)
    least = 0
    with pytest.raises(RequestError, match="other programs may hold the rest"):
        certified.nearest(Matrix(q), Matrix(d), 3, machine=machine)


def test_half_precision_is_never_used_on_a_cpu():
    assert {certified.choose_precision(p, torch.device("cpu")) for p in PRECISIONS} == {"exact"}
    assert certified.choose_precision("auto", torch.device("cuda")) == "certified"
    assert certified.choose_precision("fast", torch.device("cuda")) == "fast"
