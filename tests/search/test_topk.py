"""Exact top-k: an oracle, ties, self, and blocks that must not matter."""

import dataclasses
import threading

import numpy as np
import pytest
import torch

from kernel_core.errors import RequestError
from kernel_core.machine import Machine
from kernel_core.search import products, topk
from kernel_core.search.memory_plan import SearchSize, plan_memory
from tests.support import forked, oracle
from tests.support.matrix import DEVICES, Matrix, use_plan


def whole_numbers(n, dim, seed, high=3):
    """Return small whole numbers: their products are exact in float32 in any order, and full of ties."""
    return np.random.default_rng(seed).integers(-high, high + 1, (n, dim)).astype(np.float32)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("k", [1, 7, 60])
def test_top_k_is_exact_and_ties_go_to_the_smaller_index(k, device):
    q, d = whole_numbers(50, 6, 0), whole_numbers(300, 6, 1)
    top = topk.top_k(Matrix(q), Matrix(d), k, machine=Machine(torch.device(device), 10**9))
    indices, values = top.indices, top.values
    similarity = (q @ d.T).astype(np.float64)
    assert (np.sort(similarity)[:, 1:] == np.sort(similarity)[:, :-1]).any(), "the data must have ties"
    oracle.assert_exact_order(indices, similarity)
    np.testing.assert_array_equal(values, np.take_along_axis(similarity, indices.astype(int), 1))


def test_every_value_equal_gives_the_first_indices():
    top = topk.top_k(Matrix(np.ones((5, 2))), Matrix(np.ones((200, 2))), 9)
    np.testing.assert_array_equal(top.indices, np.tile(np.arange(9), (5, 1)))
    assert (top.values == 2).all()


@pytest.mark.parametrize("runs", [1, 6])
@pytest.mark.parametrize(
    ("chunk", "block", "tile"),
    [(26, 150, 26), (7, 13, 3), (26, 1, 26), (26, 13, 1), (1, 150, 1), (20, 8, 20), (26, 64, 26)],
)
def test_block_sizes_do_not_change_the_answer(monkeypatch, chunk, block, tile, runs):
    q, d = whole_numbers(26, 6, 2), whole_numbers(150, 6, 3)
    for slice_runs in {1, 2, runs}:
        use_plan(monkeypatch, chunk, block, tile, slice_runs)
        queries, database = Matrix(q, runs), Matrix(d, runs)
        top = topk.top_k(queries, database, 11)
        oracle.assert_exact_order(top.indices, (q @ d.T).astype(np.float64))
        assert database.largest <= block, "more rows were asked for than planned"
        assert database.most_runs <= slice_runs, "more runs were asked for than planned"


@pytest.fixture
def with_threads():
    """Return a function that searches with a number of threads, and gives the number back at the end."""
    before = torch.get_num_threads()

    def search(count, find, *arguments, **options):
        torch.set_num_threads(count)
        return find(*arguments, **options)

    yield search
    torch.set_num_threads(before)


@pytest.mark.parametrize("plan", [(300, 64, 32, 6), (128, 64, 64, 6), (300, 300, 32, 4), (128, 64, 32, 1)])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_number_of_threads_changes_no_bit(monkeypatch, with_threads, plan, exclude_self):
    use_plan(monkeypatch, *plan)
    rng = np.random.default_rng(3)
    q, d = (rng.normal(size=(n, 24)).astype(np.float32) for n in (300, 500))
    d[100:200] = d[300:400]  # ties that different threads find
    database = q if exclude_self else d
    for find in (topk.top_k, topk.top_k_by_class):
        found = [
            with_threads(count, find, Matrix(q, 6), Matrix(database, 6), 40, exclude_self=exclude_self)
            for count in (1, 2, 5)
        ]
        for tops in found[1:]:
            for top, first in zip(np.atleast_1d(tops), np.atleast_1d(found[0]), strict=True):
                np.testing.assert_array_equal(top.indices, first.indices)
                np.testing.assert_array_equal(top.values, first.values)
    assert torch.get_num_threads() == 5, "the limit of one is for the search alone"


@pytest.mark.parametrize("order", ["rising", "falling"])
def test_values_sorted_along_the_database_are_no_special_case(monkeypatch, order):
    """Rising values replace in every block all that was held; falling ones change nothing after the first."""
    use_plan(monkeypatch, 9, 200, 4, 1)
    d = np.arange(3_000, dtype=np.float32)[:, None]
    d = d if order == "rising" else d[::-1].copy()
    top = topk.top_k(Matrix(np.ones((9, 1))), Matrix(d), 70)
    oracle.assert_exact_order(top.indices, np.tile(d.T.astype(np.float64), (9, 1)))


@pytest.mark.parametrize("device", DEVICES)
def test_self_never_appears_even_beside_exact_duplicates(device):
    rows = whole_numbers(120, 5, 4)
    rows[60:] = rows[:60]  # everyone has a twin, equal to self in value
    machine = Machine(torch.device(device), 10**9)
    indices = topk.top_k(Matrix(rows), Matrix(rows), 119, exclude_self=True, machine=machine).indices
    assert not (indices == np.arange(120)[:, None]).any()
    oracle.assert_exact_order(indices, without_self(rows))


def without_self(rows):
    similarity = (rows @ rows.T).astype(np.float64)
    np.fill_diagonal(similarity, -np.inf)
    return similarity


@pytest.mark.parametrize(
    ("chunk", "block", "tile", "slice_runs"), [(16, 8, 4, 4), (32, 16, 8, 4), (60, 60, 7, 4), (16, 16, 16, 1)]
)
def test_one_split_against_itself_multiplies_each_pair_once(monkeypatch, chunk, block, tile, slice_runs):
    use_plan(monkeypatch, chunk, block, tile, slice_runs)
    multiplied = []
    product = products.Product(
        "counting", lambda r: r, lambda q, d: multiplied.append(len(q) * len(d)) or q @ d.T, 4
    )
    monkeypatch.setattr(topk, "exact_product", lambda *_: product)
    rows = whole_numbers(60, 8, 5)
    top = topk.top_k(Matrix(rows, 4), Matrix(rows, 4), 10, exclude_self=True)
    oracle.assert_exact_order(top.indices, without_self(rows))
    slices = 4 // slice_runs
    assert sum(multiplied) <= slices * (60 * 60 + 60 * block) / 2, "products below the diagonal"


def test_each_class_alone_and_their_mean_in_one_pass(monkeypatch):
    q, d = whole_numbers(50, 12, 6), whole_numbers(300, 12, 7)  # 3 classes of 4 runs
    by_class = [q[:, 4 * c : 4 * c + 4] @ d[:, 4 * c : 4 * c + 4].T for c in range(3)]
    for slice_runs in (4, 2):
        use_plan(monkeypatch, 20, 64, 9, slice_runs)
        whole, *classes = topk.top_k_by_class(Matrix(q, 4), Matrix(d, 4), 11)
        oracle.assert_exact_order(whole.indices, sum(by_class).astype(np.float64))
        for top, values in zip(classes, by_class, strict=True):
            oracle.assert_exact_order(top.indices, values.astype(np.float64))
            np.testing.assert_array_equal(top.values[:, 0], 3 * values.max(1))


def test_random_values_agree_with_the_oracle():
    rng = np.random.default_rng(6)
    q, d = rng.normal(size=(70, 40)).astype(np.float32), rng.normal(size=(900, 40)).astype(np.float32)
    top = topk.top_k(Matrix(q), Matrix(d), 50)
    oracle.assert_neighbors(top.indices, top.values, q.astype(np.float64) @ d.T.astype(np.float64), 1e-5)


@pytest.mark.parametrize("k", [0, 301])
def test_k_beyond_the_database_is_refused(k):
    with pytest.raises(RequestError, match="ask for 1 to 300"):
        topk.top_k(Matrix(np.ones((2, 2))), Matrix(np.ones((300, 2))), k)


def test_plan_fits_any_budget_that_it_accepts():
    rng = np.random.default_rng(7)
    sliced = 0
    for _ in range(200):
        n_query, n_database, runs, width = (int(x) for x in np.exp(rng.uniform(0, [12, 12, 8, 4])))
        parts, symmetric = (width, False) if rng.random() < 0.2 else (1, n_query == n_database)
        budget = int(np.exp(rng.uniform(17, 24)))
        size = SearchSize(
            n_query, n_database, runs, width, 50, raw_bytes=2 * width, parts=parts, symmetric=symmetric
        )
        try:
            plan = plan_memory(size, budget)
        except RequestError:
            continue
        assert plan.bytes <= budget
        sliced += plan.slice_runs < runs
        held = plan.block_rows * plan.slice_runs * width * 4 + parts * plan.tile_rows * plan.block_rows * 4
        if plan.slice_runs == runs:
            held += plan.chunk_rows * runs * width * 4
        else:
            held += parts * plan.chunk_rows * plan.block_rows * 4
        assert held <= budget
        assert min(dataclasses.astuple(plan)) >= 1
    assert sliced > 10, "long rows must have been planned slice by slice"


@pytest.mark.parametrize("budget", [150_000_000, 250_000_000, 1_000_000_000])
def test_plan_counts_what_threads_hold_while_they_make_rows_of_large_images(budget):
    width = 224 * 224 * 3  # numbers of a row, a byte each as they are stored
    plan = plan_memory(SearchSize(2_000, 8_000, 1, width, 50, raw_bytes=width, threads=2), budget)
    of_threads = 2 * max(plan.tile_rows, plan.block_rows) * width * (1 + 4)
    assert of_threads + plan.chunk_rows * width * 4 <= budget


def test_plan_of_thousands_of_runs_takes_little_more_than_of_a_thousand():
    size = SearchSize(10_000, 50_000, 1_000, 10, 50, raw_bytes=20)
    plans = [plan_memory(dataclasses.replace(size, run_count=runs), 10**9) for runs in (1_000, 4_000, 20_000)]
    assert plans[0].slice_runs == 1_000, "short rows are held"
    assert plans[2].slice_runs < 1_000, "long ones are not"
    assert max(plan.bytes for plan in plans) <= 1.5 * plans[0].bytes


def test_plan_says_how_much_is_needed():
    with pytest.raises(RequestError, match=r"takes 1\d MB"):
        plan_memory(SearchSize(10, 10, 1, 100, 5), budget=1_000)


def test_small_budget_gives_the_same_answer():
    q, d = whole_numbers(400, 200, 8), whole_numbers(3_000, 200, 9)
    size = SearchSize(400, 3_000, 10, 20, 20, raw_bytes=80)
    assert plan_memory(size, 17_000_000).bytes < plan_memory(size, 10**9).bytes
    roomy, tight = (
        topk.top_k(Matrix(q, 10), Matrix(d, 10), 20, machine=Machine(torch.device("cpu"), budget))
        for budget in (10**9, 17_000_000)
    )
    np.testing.assert_array_equal(roomy.indices, tight.indices)
    oracle.assert_exact_order(tight.indices, (q @ d.T).astype(np.float64))


@pytest.mark.parametrize("runs", [1, 40])
def test_search_stays_within_its_budget(runs):
    """Compare the peak resident memory of a process before and after: 160 MB of rows, a budget of 60 MB."""
    code = (
        "import resource, numpy as np, torch\n"
        "from kernel_core.search import topk\n"
        "from kernel_core.machine import Machine\n"
        "class Rows:\n"
        f"    run_count, width, dtype, raw_bytes = {runs}, {4000 // runs}, torch.float32, {16000 // runs}\n"
        "    held_bytes = work = 0\n"
        "    def __init__(self, n): self.n = n\n"
        "    def __len__(self): return self.n\n"
        "    def read(self, i, j, run_slice):\n"
        "        m = len(range(*run_slice.indices(self.run_count)))\n"
        "        return np.random.default_rng(i).random((j - i, m * self.width), dtype=np.float32)\n"
        "    def rows(self, raw, start, run_slice): return raw\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "topk.top_k(Rows(64), Rows(64), 5)\n"  # lets the libraries make their own buffers
        "before = peak()\n"
        "topk.top_k(Rows(5_000), Rows(5_000), 50, machine=Machine(torch.device('cpu'), 60_000_000))\n"
        "print(peak() - before)"
    )
    done = forked.run(forked.code, code)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 80, "MB; 20 are left to the allocator"


def test_progress_reaches_the_end_once():
    seen = []
    topk.top_k(Matrix(np.ones((5, 2))), Matrix(np.ones((20, 2))), 3, progress=lambda *p: seen.append(p))
    assert seen[-1][1:] == (100, 100)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


@pytest.mark.parametrize("device", DEVICES)
def test_a_search_that_fails_leaves_no_thread(device):
    """On CUDA a thread reads ahead; it must have ended when the error leaves the search."""

    def fail(_step, done, _total):
        if done:
            raise ArithmeticError

    rows = Matrix(np.ones((20_000, 2)))
    threads = threading.enumerate()
    with pytest.raises(ArithmeticError) as error:
        topk.top_k(
            Matrix(np.ones((5, 2))), rows, 3, machine=Machine(torch.device(device), 10**9), progress=fail
        )
    assert set(threading.enumerate()) <= set(threads)
    assert error.tb is not None
