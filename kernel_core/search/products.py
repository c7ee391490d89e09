"""Inner products of blocks of rows: the quickest exact one here, and one of half precision for candidates.

A product turns rows into operands once, and multiplies operands many times.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Product:
    """operand: rows (n, D) float32 or float64 → what `multiply` takes. multiply: operands of (q, D) and (b, D) rows
    → their inner products (q, b), in float32 at least. itemsize: bytes an operand takes for a number.
    """

    name: str
    operand: Callable[[Tensor], Any]
    multiply: Callable[[Any, Any], Tensor]
    itemsize: int


def _plain(q: Tensor, d: Tensor) -> Tensor:
    return q @ d.T


def _onednn_operand(rows: Tensor) -> Tensor:
    return rows.contiguous().to_mkldnn()


def _onednn(q: Tensor, d: Tensor) -> Tensor:
    return torch.nn.functional.linear(q, d).to_dense()


PLAIN = Product("float32", lambda rows: rows.contiguous(), _plain, 4)
DOUBLE = Product("float64", lambda rows: rows.contiguous(), _plain, 8)
ONEDNN = Product("float32 by oneDNN", _onednn_operand, _onednn, 4)


def exact_product(device: torch.device, dim: int, dtype: torch.dtype = torch.float32) -> Product:
    """The quickest product that rounds no operand, found by trying."""
    if dtype == torch.float64:
        return DOUBLE
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return PLAIN
    return _quickest_on_cpu(min(dim, 1_024))


@functools.cache
def _quickest_on_cpu(dim: int) -> Product:
    """torch.mm calls MKL, which leaves AVX-512 unused on AMD: there oneDNN is 2.4 times faster; on Intel they equal."""
    _keep_freed_memory()
    q, d = torch.ones(512, dim), torch.ones(1_024, dim)
    seconds = {}
    for product in (PLAIN, ONEDNN):
        operands = product.operand(q), product.operand(d)
        tries = [_timed(product, *operands) for _ in range(4)]  # the first makes plans and buffers
        seconds[product] = min(tries)
    return min(seconds, key=seconds.__getitem__)


def _keep_freed_memory() -> None:
    """Let the C library reuse the memory of tiles: short rows multiply up to 1.7 times faster.

    glibc maps blocks above a threshold anew each time, with a page fault for every 4 KB, and raises that threshold to
    the largest block freed so far, up to 32 MB. Elsewhere this does nothing.
    """
    torch.empty(31_000_000, dtype=torch.uint8)


def _timed(product: Product, q: Any, d: Any) -> float:
    started = time.perf_counter()
    product.multiply(q, d)
    return time.perf_counter() - started


SPAN = 4_096  # numbers of a row that are summed at once: the bound on the error of summing grows with them


def half_scale(dim: int) -> float:
    """The power of two that brings rows of unit length to numbers of about 1, well inside what float16 can say."""
    return 2.0 ** round(math.log2(dim) / 2)


def summing_error(dim: int, slices: int) -> float:
    """How far the sum of `half` may be off, in units of the rows' lengths, where rows come in so many slices."""
    return (min(dim, SPAN) + -(-dim // SPAN) + 2 * slices) * 2.0**-23


def half(dim: int) -> Product:
    """Operands rounded to float16, products summed and returned in float32.

    On CUDA by the tensor cores; elsewhere the same rounding with a float32 product, for tests: it gains nothing there.
    """
    scale = half_scale(dim)
    # Partial sums in float16 would break the bound; torch allows them unless told otherwise.
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False

    def operand(rows: Tensor) -> Tensor:
        return (rows * scale).half()

    def multiply(q: Tensor, d: Tensor) -> Tensor:
        parts = zip(torch.split(q, SPAN, dim=1), torch.split(d, SPAN, dim=1), strict=True)
        products = (_half_product(a, b) for a, b in parts)
        total = next(products)
        for product in products:
            total += product
        return total.mul_(scale**-2)

    return Product("float16", operand, multiply, 2)


def _half_product(q: Tensor, d: Tensor) -> Tensor:
    if q.is_cuda:
        return torch.mm(q, d.T, out_dtype=torch.float32)
    return q.float() @ d.float().T
