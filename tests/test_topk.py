"""Exact top-k: an oracle, ties, self, and blocks that must not matter."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch

from kernel_core import topk
from kernel_core.errors import RequestError
from tests import oracle
from tests.conftest import ROOT

DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")])]  # fmt: skip


class Matrix:
    """Rows held as they are; counts the bytes handed out at a time."""

    dtype = torch.float32

    def __init__(self, rows):
        self.rows, self.dim, self.largest = torch.as_tensor(rows, dtype=torch.float32), rows.shape[1], 0

    def __len__(self):
        return len(self.rows)

    def block(self, start, stop, device):
        self.largest = max(self.largest, stop - start)
        return self.rows[start:stop].to(device)


def whole_numbers(n, dim, seed, high=3):
    """Small whole numbers: products are exact in float32 whatever the order, and full of ties."""
    return np.random.default_rng(seed).integers(-high, high + 1, (n, dim)).astype(np.float32)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("k", [1, 7, 60])
def test_top_k_is_exact_and_ties_go_to_the_smaller_index(k, device):
    q, d = whole_numbers(50, 6, 0), whole_numbers(300, 6, 1)
    indices, values = topk.top_k(Matrix(q), Matrix(d), k, device=device)
    similarity = (q @ d.T).astype(np.float64)
    assert (np.sort(similarity)[:, 1:] == np.sort(similarity)[:, :-1]).any(), "the data must have ties"
    oracle.assert_exact_order(indices, similarity)
    np.testing.assert_array_equal(values, np.take_along_axis(similarity, indices.astype(int), 1))


def test_every_value_equal_gives_the_first_indices():
    indices, values = topk.top_k(Matrix(np.ones((5, 2))), Matrix(np.ones((200, 2))), 9)
    np.testing.assert_array_equal(indices, np.tile(np.arange(9), (5, 1)))
    assert (values == 2).all()


@pytest.mark.parametrize(
    ("chunk", "block", "tile"), [(50, 300, 50), (7, 13, 3), (50, 1, 1), (1, 300, 1), (20, 8, 20)]
)
def test_block_sizes_do_not_change_the_answer(monkeypatch, chunk, block, tile):
    q, d = whole_numbers(50, 6, 2), whole_numbers(300, 6, 3)
    plan = topk.Plan(chunk, block, tile, 0)
    monkeypatch.setattr(topk, "plan_blocks", lambda *_, **__: plan)
    queries, database = Matrix(q), Matrix(d)
    indices, _ = topk.top_k(queries, database, 11)
    oracle.assert_exact_order(indices, (q @ d.T).astype(np.float64))
    assert database.largest <= block, "more rows were asked for than planned"


@pytest.mark.parametrize("device", DEVICES)
def test_self_never_appears_even_beside_exact_duplicates(device):
    rows = whole_numbers(120, 5, 4)
    rows[60:] = rows[:60]  # everyone has a twin, equal to self in value
    indices, _ = topk.top_k(Matrix(rows), Matrix(rows), 119, exclude_self=True, device=device)
    assert not (indices == np.arange(120)[:, None]).any()
    similarity = (rows @ rows.T).astype(np.float64)
    np.fill_diagonal(similarity, -np.inf)
    oracle.assert_exact_order(indices, similarity)


def test_self_is_masked_in_every_block(monkeypatch):
    monkeypatch.setattr(topk, "plan_blocks", lambda *_, **__: topk.Plan(17, 11, 5, 0))
    rows = whole_numbers(60, 4, 5)
    indices, _ = topk.top_k(Matrix(rows), Matrix(rows), 10, exclude_self=True)
    assert not (indices == np.arange(60)[:, None]).any()


def test_random_values_agree_with_the_oracle():
    rng = np.random.default_rng(6)
    q, d = rng.normal(size=(70, 40)).astype(np.float32), rng.normal(size=(900, 40)).astype(np.float32)
    indices, values = topk.top_k(Matrix(q), Matrix(d), 50)
    oracle.assert_neighbors(indices, values.numpy(), q.astype(np.float64) @ d.T.astype(np.float64), 1e-5)


@pytest.mark.parametrize("k", [0, 301])
def test_k_beyond_the_database_is_refused(k):
    with pytest.raises(RequestError, match="ask for 1 to 300"):
        topk.top_k(Matrix(np.ones((2, 2))), Matrix(np.ones((300, 2))), k)


def test_plan_fits_any_budget_that_it_accepts():
    rng = np.random.default_rng(7)
    for _ in range(300):
        n_query, n_database, dim = (int(x) for x in np.exp(rng.uniform(0, 12, 3)))
        budget = int(np.exp(rng.uniform(17, 24)))
        try:
            plan = topk.plan_blocks(n_query, n_database, dim, 50, budget)
        except RequestError:
            continue
        assert plan.bytes <= budget
        rows = (plan.query_chunk + plan.database_block) * dim * 4
        assert rows + plan.tile_rows * plan.database_block * 4 <= budget
        assert min(dataclasses.astuple(plan)) >= 1


def test_plan_says_how_much_is_needed():
    with pytest.raises(RequestError, match=r"takes 1\d MB"):
        topk.plan_blocks(10, 10, 100, 5, budget=1_000)


def test_small_budget_gives_the_same_answer():
    q, d = whole_numbers(400, 200, 8), whole_numbers(3_000, 200, 9)
    needed = topk.plan_blocks(400, 3_000, 200, 20, 10**9)
    small = topk.plan_blocks(400, 3_000, 200, 20, 17_000_000)
    assert small.bytes < needed.bytes
    roomy, tight = (topk.top_k(Matrix(q), Matrix(d), 20, budget=b)[0] for b in (10**9, 17_000_000))
    np.testing.assert_array_equal(roomy, tight)
    oracle.assert_exact_order(tight, (q @ d.T).astype(np.float64))


def test_search_stays_within_its_budget():
    """Peak resident memory of a process, before and after: rows that would take 160 MB, a budget of 60."""
    code = (
        "import resource, torch\n"
        "from kernel_core import topk\n"
        "class Rows:\n"
        "    dim, dtype = 4000, torch.float32\n"
        "    def __init__(self, n): self.n = n\n"
        "    def __len__(self): return self.n\n"
        "    def block(self, i, j, device):\n"
        "        return torch.randn(j - i, 4000, generator=torch.Generator().manual_seed(i))\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "topk.top_k(Rows(64), Rows(64), 5)\n"  # the libraries' own buffers are made
        "before = peak()\n"
        "topk.top_k(Rows(5_000), Rows(5_000), 50, budget=60_000_000)\n"
        "print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(done.stdout) < 80, "MB; 20 are left to the allocator"


def test_progress_reaches_the_end_once():
    seen = []
    topk.top_k(Matrix(np.ones((5, 2))), Matrix(np.ones((20, 2))), 3, progress=lambda *p: seen.append(p))
    assert seen[-1][1:] == (100, 100)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
