"""Products of blocks, and how much of the machine they use."""

import os
from dataclasses import replace

import pytest
import torch

from kernel_core import machine
from kernel_core.errors import RequestError
from kernel_core.search import products

CPU = torch.device("cpu")


def unit_rows(n, dim, seed):
    rows = torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))
    return rows / rows.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("dim", [1, 59, 5_000])
@pytest.mark.parametrize("product", products.BY_NAME.values(), ids=lambda p: p.name)
def test_every_exact_product_is_that_of_float64(product, dim):
    if product.name not in {products.DOUBLE.name, *(p.name for p in products.exact_on_cpu())}:
        pytest.skip("this torch is built without it")
    q, d = unit_rows(70, dim, 0), unit_rows(9, dim, 1)
    every = slice(None, None, 2)  # rows need not be contiguous
    computed = product.multiply(product.operand(q[:, every]), product.database_operand(d[:, every]))
    expected = q[:, every].double() @ d[:, every].double().T
    torch.testing.assert_close(computed.double(), expected, atol=1e-6, rtol=0)
    assert computed.is_contiguous()


@pytest.mark.parametrize("dim", [3, 4_096, 4_097, 20_000])
def test_half_precision_sums_long_rows_in_spans(dim):
    product = products.half(dim)
    q, d = unit_rows(5, dim, 2), unit_rows(6, dim, 3)
    computed = product.multiply(product.operand(q), product.operand(d))
    torch.testing.assert_close(computed.double(), q.double() @ d.double().T, atol=1e-3, rtol=0)
    assert product.operand(q).dtype == torch.float16


def test_the_quickest_exact_product_is_one_that_rounds_nothing():
    assert products.exact_product(CPU, 100) in products.exact_on_cpu()
    assert products.exact_product(CPU, 100, torch.float64) is products.DOUBLE


@pytest.fixture
def found(monkeypatch):
    """Make a function that makes one product win every trial, in a new process as it were."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch is built without oneDNN, so there is nothing to choose")

    def wins(winner):
        products._fastest_on_cpu.cache_clear()
        monkeypatch.setattr(products, "_timed", lambda product, *_: product is not winner)

    yield wins
    products._fastest_on_cpu.cache_clear()


def test_a_torch_without_what_packs_has_the_others(monkeypatch):
    for failure in (AttributeError, RuntimeError, TypeError):

        def fail(*_, failure=failure):
            raise failure

        products.exact_on_cpu.cache_clear()
        monkeypatch.setattr(products, "PACKED", replace(products.PACKED, packed=fail))
        assert products.exact_on_cpu() == (products.PLAIN, products.ONEDNN)
    products.exact_on_cpu.cache_clear()


def test_a_choice_among_other_products_is_made_anew(tmp_path, found, monkeypatch):
    found(products.PLAIN)
    products.exact_product(CPU, 100, choices=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(products, "exact_on_cpu", lambda: (products.ONEDNN,))
        products._fastest_on_cpu.cache_clear()
        assert products.exact_product(CPU, 100, choices=tmp_path) is products.ONEDNN


def test_the_choice_is_made_once_per_machine(tmp_path, found, one_thread):
    def choose(winner):
        found(winner)
        return products.exact_product(CPU, 100, choices=tmp_path / "products")

    assert choose(products.ONEDNN) is products.ONEDNN
    assert choose(products.PLAIN) is products.ONEDNN, "recorded"
    (file,) = (tmp_path / "products").iterdir()
    file.write_text("{")
    assert choose(products.PLAIN) is products.PLAIN, "a damaged record is made anew"
    torch.set_num_threads(2)
    assert choose(products.ONEDNN) is products.PLAIN, "another number of threads changes nothing"
    (tmp_path / "file").touch()
    found(products.PLAIN)
    assert products.exact_product(CPU, 100, choices=tmp_path / "file") is products.PLAIN


def test_of_two_that_choose_at_once_both_take_the_choice_of_the_first(tmp_path, found, monkeypatch):
    def choose_slowly(dim):
        patch.setattr(products, "_fastest_on_cpu", lambda dim: products.PLAIN)
        products.exact_product(CPU, dim, choices=tmp_path)
        return products.ONEDNN

    with monkeypatch.context() as patch:
        patch.setattr(products, "_fastest_on_cpu", choose_slowly)
        assert products.exact_product(CPU, 100, choices=tmp_path) is products.PLAIN


@pytest.mark.parametrize(
    ("quota", "threads"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None)]
)
def test_threads_keep_to_the_quota_of_a_container(tmp_path, quota, threads):
    (tmp_path / "cpu.max").write_text(quota)
    before = torch.get_num_threads()
    try:
        assert machine.use_allowed_cores(tmp_path) == (threads or before)
    finally:
        torch.set_num_threads(before)
    assert machine.use_allowed_cores(tmp_path / "no cgroup") == before


def test_pieces_fit_the_cache_where_it_is_known(monkeypatch):
    machine.piece_bytes.cache_clear()
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_LEVEL2_CACHE_SIZE": 2_000_000}[name])
    assert machine.piece_bytes("cpu") == 2_000_000
    machine.piece_bytes.cache_clear()
    monkeypatch.setattr(os, "sysconf", lambda name: 0)  # not known
    assert machine.piece_bytes("cpu") == 250_000
    machine.piece_bytes.cache_clear()


def test_an_absent_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine.choose_device("auto") == CPU
    with pytest.raises(RequestError, match="torch sees no CUDA device; use --device auto or cpu"):
        machine.choose_device("cuda")
