"""Inner products of blocks of rows: the fastest exact one here, and one in half precision for candidates.

A product turns rows into operands once, and multiplies the operands many times.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from kernel_core.files import write_new_json
from kernel_core.machine import cpu_info, one_thread

QUERIES = 1_024  # rows that oneDNN is told of when it packs those they are multiplied with
Operand = Tensor  # rows in the form that a product multiplies: another dtype or memory layout


@dataclass(frozen=True)
class Product:
    """One way to multiply blocks of rows.

    operand: turns rows (n, D), float32 or float64, into what `multiply` takes.
    multiply: takes the operands of query rows (q, D) and of database rows (b, D), returns their inner
    products (q, b), at least float32.
    itemsize: bytes per number of an operand.
    packed: turns database rows into their operand; None where `operand` serves both sides.
    """

    name: str
    operand: Callable[[Tensor], Operand]
    multiply: Callable[[Operand, Operand], Tensor]
    itemsize: int
    packed: Callable[[Tensor], Operand] | None = None

    @property
    def database_operand(self) -> Callable[[Tensor], Operand]:
        """What turns database rows (b, D) into an operand."""
        return self.packed or self.operand


def _plain(q: Tensor, d: Tensor) -> Tensor:
    return q @ d.T


def _onednn_operand(rows: Tensor) -> Tensor:
    return rows.contiguous().to_mkldnn()


def _onednn(q: Tensor, d: Tensor) -> Tensor:
    return torch.nn.functional.linear(q, d).to_dense()


def _contiguous(rows: Tensor) -> Operand:
    return rows.contiguous()


def _onednn_packed(rows: Tensor) -> Operand:
    return torch.ops.mkldnn._reorder_linear_weight(rows.contiguous(), QUERIES)  # type: ignore[no-any-return]


def _onednn_by_packed(q: Tensor, d: Operand) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(q, d, None, "none", [], "")  # type: ignore[no-any-return]


PLAIN = Product("float32", _contiguous, _plain, 4)
DOUBLE = Product("float64", _contiguous, _plain, 8)
ONEDNN = Product("float32 by oneDNN", _onednn_operand, _onednn, 4)
# What torch.compile calls: database rows are brought into oneDNN's order once, not for every tile, and
# products are written where they stay. 1.05 (rows of 5,000 numbers) to 1.3 times (200) as fast as the former.
PACKED = Product("float32 by oneDNN, packed", _contiguous, _onednn_by_packed, 4, _onednn_packed)


BY_NAME = {product.name: product for product in (PLAIN, ONEDNN, PACKED, DOUBLE)}


def exact_product(
    device: torch.device, dim: int, dtype: torch.dtype = torch.float32, choices: Path | None = None
) -> Product:
    """Return the fastest product that does not round its operands, found by trying.

    dim: numbers per row. choices: folder in which it is recorded what was found, if anywhere. The products
    differ in the last digit of their sums: with a record, the same search gives the same bytes again.
    """
    if dtype == torch.float64:
        return DOUBLE
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return PLAIN
    dim = min(dim, 1_024)
    return _fastest_on_cpu(dim) if choices is None else _recorded_on_cpu(dim, choices)


def _recorded_on_cpu(dim: int, choices: Path) -> Product:
    """Return the product recorded for this processor and torch; find it if there is none.

    Of several processes that find one at once, all take that of the first.
    """
    here = {
        "cpu": cpu_info().get("model name", platform.machine()),
        "torch": torch.__version__,
        "dtype": "float32",
        "dim": dim,
        "among": [product.name for product in exact_on_cpu()],
    }
    name = hashlib.sha256(json.dumps(here, sort_keys=True).encode()).hexdigest()[:32]
    path = choices / f"{name}.json"
    known = _read_choice(path)
    if known is None:
        with suppress(OSError):
            path.unlink()  # it is damaged
        found = _fastest_on_cpu(dim)
        with suppress(OSError):  # a cache that cannot be written: found anew each time
            write_new_json(path, {**here, "product": found.name})
        known = _read_choice(path) or found
    return known


def _read_choice(path: Path) -> Product | None:
    try:
        return BY_NAME[json.loads(path.read_text(encoding="utf-8"))["product"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


@functools.cache
def exact_on_cpu() -> tuple[Product, ...]:
    """Return the products that round nothing and that this torch has; the last is not in its documents."""
    ones = torch.ones(2, 2)
    try:
        PACKED.multiply(PACKED.operand(ones), PACKED.database_operand(ones))
    except (AttributeError, RuntimeError, TypeError):
        return PLAIN, ONEDNN
    return PLAIN, ONEDNN, PACKED


@functools.cache
def _fastest_on_cpu(dim: int) -> Product:
    """Return the fastest exact product on one thread of this processor, by the time it works itself.

    A busy machine hardly changes that time. torch.mm calls MKL, which leaves AVX-512 unused on some AMD
    processors: there oneDNN is 2.4 times faster. On Intel they are equal.
    """
    _keep_freed_memory()
    q, d = torch.ones(512, dim), torch.ones(1_024, dim)
    operands = {product: (product.operand(q), product.database_operand(d)) for product in exact_on_cpu()}
    seconds = dict.fromkeys(operands, math.inf)
    with one_thread():
        for _ in range(8):  # in turn, as a build keeps the choice: a busy moment must not decide it
            for product, of_both in operands.items():
                seconds[product] = min(seconds[product], _timed(product, *of_both))
    return min(seconds, key=seconds.__getitem__)


def _keep_freed_memory() -> None:
    """Let the C library reuse the memory of tiles, which multiplies short rows up to 1.7 times faster.

    glibc maps blocks above a threshold anew each time, with a page fault per 4 KB. It raises that threshold
    to the size of the largest block freed so far, up to 32 MB. With other C libraries this does nothing.
    """
    torch.empty(31_000_000, dtype=torch.uint8)


def _timed(product: Product, q: Operand, d: Operand) -> float:
    started = time.thread_time()
    product.multiply(q, d)
    return time.thread_time() - started


# Numbers of a row that are summed at once: the bound on the rounding error of the sum grows with them.
SUMMED_AT_ONCE = 4_096


def half_scale(dim: int) -> float:
    """Return the power of two that brings the numbers of a row of unit length to about 1, inside float16."""
    return 2.0 ** round(math.log2(dim) / 2)


def summing_error(dim: int, slice_count: int) -> float:
    """Return the largest rounding error of a sum by `half`, relative to the product of the rows' lengths.

    dim: numbers per row. slice_count: number of slices in which a row is multiplied.
    """
    return (min(dim, SUMMED_AT_ONCE) + -(-dim // SUMMED_AT_ONCE) + 2 * slice_count) * 2.0**-23


def half(dim: int) -> Product:
    """Return the product that rounds operands to float16, and sums and returns products in float32.

    CUDA uses the tensor cores. Elsewhere the same rounding is followed by a float32 product: no faster, for
    tests.
    """
    scale = half_scale(dim)
    # Partial sums in float16 would break the bound; torch allows them unless told otherwise.
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False

    def operand(rows: Tensor) -> Tensor:
        return (rows * scale).half()

    def multiply(q: Tensor, d: Tensor) -> Tensor:
        pieces = zip(
            torch.split(q, SUMMED_AT_ONCE, dim=1), torch.split(d, SUMMED_AT_ONCE, dim=1), strict=True
        )
        products = (_half_product(of_q, of_d) for of_q, of_d in pieces)
        total = next(products)
        for product in products:
            total += product
        return total.mul_(scale**-2)

    return Product("float16", operand, multiply, 2)


def _half_product(q: Tensor, d: Tensor) -> Tensor:
    if q.is_cuda:
        return torch.mm(q, d.T, out_dtype=torch.float32)
    return q.float() @ d.float().T
