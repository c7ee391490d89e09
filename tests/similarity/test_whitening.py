"""Whitened rows and the common shift: hard cases, blocks that must not matter, what is refused."""

import numpy as np
import pytest
import torch

from kernel_core.errors import DataError, RequestError
from kernel_core.machine import Machine
from kernel_core.pipeline import build
from kernel_core.records import Ensemble
from kernel_core.results.store import Store
from kernel_core.results.upkeep import list_entries
from kernel_core.search import topk
from kernel_core.search.memory_plan import SearchSize, plan_memory
from kernel_core.similarity import whitening
from kernel_core.similarity.kernel_rows import KernelRows
from kernel_core.similarity.vectors import CosineRows
from kernel_core.similarity.whitening import WhitenedRows, fit_whitening
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import KernelSpec
from tests.support import oracle
from tests.support.matrix import DEVICES, use_plan

BUDGET = 10**9


def whitened_rows(test, train, device="cpu", **options):
    """Return query rows and database rows, whitened by the latter."""
    ensemble = Ensemble(("one file",), ({"test": test, "train": train},))
    query, database = (KernelRows(ensemble, split, **options) for split in ("test", "train"))
    fitted = fit_whitening(database, Machine(torch.device(device), BUDGET))
    return WhitenedRows(query, fitted), WhitenedRows(database, fitted)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("transform", ["log_softmax", "none", "centred", "shift"])
def test_block_sizes_do_not_change_whitened_neighbors(planted, monkeypatch, transform, device):
    whole = oracle.whitened(planted.test, planted.train, planted.train, transform)
    found = []
    for piece, plan in ((16_000_000, (40, 130, 40, 1)), (8 * 120 * 7, (11, 16, 3, 1))):
        monkeypatch.setattr(whitening, "PIECE_BYTES", piece)
        use_plan(monkeypatch, *plan)
        rows = whitened_rows(planted.test, planted.train, device, transform=transform)
        found.append(topk.top_k(*rows, 20, machine=Machine(torch.device(device), BUDGET)))
        oracle.assert_neighbors(found[-1].indices, found[-1].values, whole, 2e-6)
    np.testing.assert_array_equal(found[0].indices, found[1].indices)


def test_equal_examples_are_ordered_by_index(planted):
    train = np.concatenate([planted.train, planted.train[:, ::-1]], axis=1)  # i and 259 - i are equal
    top = topk.top_k(*whitened_rows(planted.test, train), 10)
    twins = 259 - top.indices[:, ::2]
    np.testing.assert_array_equal(top.indices[:, 1::2], twins)
    assert (top.indices[:, ::2] < twins).all()
    np.testing.assert_array_equal(top.values[:, ::2], top.values[:, 1::2])


def test_mean_of_the_classes_is_exact_beside_much_larger_logits():
    """Large logits that cancel leave a shift of 1e-3 and its variation over the runs, which float32 loses."""
    rng = np.random.default_rng(0)
    large = rng.uniform(1e4, 2e4, (20, 12, 1)) * [1, -1, 1, -1]
    logits = large + rng.normal(0, 1e-3, (20, 12, 4))
    for transform in ("shift", "centred"):
        ensemble = Ensemble(("one file",), ({"test": logits, "train": logits},))
        rows = KernelRows(ensemble, "test", transform=transform).block(0, 12, torch.device("cpu")).double()
        expected = oracle.kernel(logits, logits, transform)
        np.testing.assert_allclose((rows @ rows.T).numpy(), expected, atol=1e-6)


def test_variation_that_all_examples_share_no_longer_counts(planted):
    """Two groups of examples that vary alike: the kernel sees the groups, whitened only the twins remain."""
    rng = np.random.default_rng(1)
    group, own = rng.normal(size=(40, 2, 3)), rng.normal(size=(40, 100, 3))
    train = 3 * group[:, np.arange(100) % 2] + own
    test = train[:, :10] + 0.3 * rng.normal(size=(40, 10, 3))  # twins of the first ten
    query, database = whitened_rows(test, train, transform="none")
    best = topk.top_k(query, database, 2)
    np.testing.assert_array_equal(best.indices[:, 0], np.arange(10))
    whole = oracle.kernel(test, train, "none")
    assert np.median(whole[0, 2::2]) > 0.8, "the kernel of the group must be high"
    assert best.values[:, 1].max() < 0.5 < best.values[:, 0].min()


def test_covariance_is_part_of_the_memory_plan():
    rows = CosineRows(np.ones((3, 2)))
    size = SearchSize(100, 1_000, 1, 500, 20, held_bytes=0)
    more = SearchSize(100, 1_000, 1, 500, 20, held_bytes=10**8)
    assert plan_memory(more, BUDGET).bytes == plan_memory(size, BUDGET).bytes + 10**8
    with pytest.raises(RequestError, match="too small"):
        plan_memory(more, 10**8)
    assert WhitenedRows(rows, None).held_bytes > 8 * rows.width**2


def test_rows_that_are_all_equal_are_refused():
    with pytest.raises(DataError, match="nothing can be whitened"):
        fit_whitening(CosineRows(np.ones((50, 4))), Machine(torch.device("cpu"), BUDGET))


def test_covariance_beyond_the_budget_is_refused():
    with pytest.raises(RequestError, match=r"takes 864 MB; the memory budget is 500 MB. Give --memory 864MB"):
        fit_whitening(CosineRows(np.ones((2, 7_071))), Machine(torch.device("cpu"), 5 * 10**8))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("kernel.whitened", "kernel (whitened) of 24 runs takes a covariance of 120 × 120 numbers"),
        ("kernel.first-23.centred.whitened", "Use the first 20 runs: --runs 20."),
    ],
)
def test_too_wide_a_covariance_is_refused_before_anything_is_computed(
    name, said, source_folder, cache, monkeypatch
):
    monkeypatch.setattr(whitening, "WIDEST", 100)
    with pytest.raises(RequestError) as refused:
        build(SourceRequest(str(source_folder), similarities=(name,)))
    assert said in str(refused.value)
    assert {entry.kind for entry in list_entries(Store())} <= {"hashes", "examples", "images"}
    build(SourceRequest(str(source_folder), similarities=("kernel.first-20.whitened",)))


def test_names_and_entries_of_what_was_there_stay_as_they_were():
    assert KernelSpec("kernel", run_count=50, transform="none", classes=(0, 3)).to_json() == (
        '{"classes": [0, 3], "database": "train", "k": 50, "query": "test", "runs": 50, '
        '"similarity": "kernel", "transform": "none"}'
    )
    for name in ("kernel.first-50.centred.classes-0-3.whitened", "kernel.shift", "kernel.whitened"):
        spec = KernelSpec.named(name, KernelSpec("kernel"))
        assert spec.name == name
        assert KernelSpec.from_json(spec.to_json()) == spec
