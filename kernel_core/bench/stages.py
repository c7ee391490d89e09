"""What our search spends its core-seconds on, and how fast the product alone is on as many threads.

Core-seconds are seconds of a core at work for this process. Other programs change them far less than the time
that passes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ParamSpec, TypeVar

import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.machine import Machine
from kernel_core.records import Ensemble
from kernel_core.search.certified import nearest
from kernel_core.search.memory_plan import BLOCK, TILE
from kernel_core.search.products import Product, exact_product
from kernel_core.search.tables import TopK
from kernel_core.search.topk import TopKSearch
from kernel_core.similarity.kernel_rows import KernelRows
from kernel_core.spec import Split
from kernel_core.threads import each, thread_count

P = ParamSpec("P")
R = TypeVar("R")

LONG = 2_048  # numbers per row; longer rows do not multiply faster
ROUNDS = 3  # the best counts


class Stages:
    """Core-seconds per stage, summed over the threads."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    def call(self, stage: str, work: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
        """Return what `work` returns, and count what this thread does meanwhile."""
        started = time.thread_time()
        result = work(*args, **options)
        spent = time.thread_time() - started
        with self._lock:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent
        return result


class _TimedRows(KernelRows):
    """The kernel's rows, and what reading and making them takes."""

    def __init__(self, ensemble: Ensemble, split: Split, stages: Stages) -> None:
        super().__init__(ensemble, split)
        self.stages = stages

    def read(self, start: int, stop: int, run_slice: slice) -> npt.NDArray[Any]:
        return self.stages.call("rows", super().read, start, stop, run_slice)

    def rows(self, raw: Tensor, start: int, run_slice: slice) -> Tensor:
        return self.stages.call("rows", super().rows, raw, start, run_slice)


def search_timed(
    ensemble: Ensemble, k: int, precision: str, machine: Machine
) -> tuple[TopK, dict[str, float]]:
    """Search with Kernel Explorer; return the top-k, and the core-seconds of two stages.

    product: multiplying. rows: reading logits and making operands of them. What is missing of the whole is
    selection, and everything else. Empty where half precision is used.
    """
    stages = Stages()
    query, database = (_TimedRows(ensemble, split, stages) for split in ("test", "train"))
    if precision != "exact":
        return nearest(query, database, k, precision=precision, machine=machine), {}
    product = exact_product(machine.device, query.dim, query.dtype, machine.choices)
    timed = replace(
        product,
        operand=lambda rows: stages.call("rows", product.operand, rows),
        packed=lambda rows: stages.call("rows", product.database_operand, rows),
        multiply=lambda q, d: stages.call("product", product.multiply, q, d),
    )
    return TopKSearch(query, database, k, product=timed, machine=machine).compute()[0], stages.seconds


def choose_product(ensemble: Ensemble, device: torch.device) -> None:
    """Find the fastest product now, as a build has it on record: it is kept in this process."""
    rows = KernelRows(ensemble, "test")
    exact_product(device, rows.dim, rows.dtype)


@dataclass(frozen=True)
class Rates:
    """GFLOP/s of the product alone, its best of a few rounds.

    On a CPU, a second is a core-second. peak: of long rows. this_length: of rows as long as those searched.
    by: how blocks of them are multiplied.
    """

    peak: float
    this_length: float
    by: str


def product_rates(dim: int, device: torch.device) -> Rates:
    """Return how fast products are here and now, on as many threads at once as a search has.

    dim: numbers per row.
    """
    peak = _rate(exact_product(device, LONG), LONG, device)
    product = exact_product(device, dim)
    return Rates(peak, _rate(product, dim, device) if dim < LONG else peak, product.name)


def _rate(product: Product, dim: int, device: torch.device) -> float:
    # A tile and a block of the search; of long rows, whose rate depends little on it, a quarter of a block.
    shape = TILE[device.type], BLOCK[device.type] // (4 if dim == LONG else 1)
    q, d = (torch.rand(n, dim, device=device) for n in shape)
    q, d = product.operand(q), product.database_operand(d)
    threads = thread_count(device)
    seconds = []
    for _ in range(1 + ROUNDS):  # the first round makes plans and buffers
        started = _clock(device)
        list(each(lambda _: product.multiply(q, d).shape, range(threads), threads))
        seconds.append(_clock(device) - started)
    return threads * 2 * shape[0] * shape[1] * dim / min(seconds) / 1e9


def _clock(device: torch.device) -> float:
    """Return core-seconds of this process; on CUDA the seconds when the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()
