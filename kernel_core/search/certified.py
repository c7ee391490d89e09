"""Exact neighbors from half-precision products: candidates, an exact re-rank, and a proof for every row.

With x^ the row x rounded to float16, |<x, y> - <x^, y^>| <= |x - x^| |y| + |x^| |y - y^| (Cauchy-Schwarz), and summing
D products in float32 adds at most D * 2^-23 |x^| |y^|, whichever way a GPU rounds (long rows are summed in spans, so
that D stays small). All norms are measured while rounding. If the exact value of the k-th candidate exceeds every other
row's product by more than that bound, no other row belongs among the k: the row is certified. The rest are searched
again in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.errors import RequestError
from kernel_core.machine import CPU, Machine, piece_bytes
from kernel_core.progress import Progress, no_progress
from kernel_core.search.products import half, half_scale, summing_error
from kernel_core.search.running_topk import in_order
from kernel_core.search.topk import RowSource, Search, Span, Top, read_ahead, spans, top_k

LEAST_BUDGET = 64_000_000  # a GPU out of memory with less is not given another try


@dataclass(frozen=True, eq=False)
class Found(Top):
    """A top-k and how it was found.

    certified: rows proved, None where none had to be. redone: rows searched again in float32. budget: the bytes it
    was found in, fewer than were given if a GPU ran out of memory.
    """

    certified: int | None = None
    redone: int = 0
    budget: int = 0


def choose_precision(precision: str, device: torch.device) -> str:
    """What a device really does: CPUs have no half-precision product worth its rounding, so theirs is exact."""
    if device.type == "cpu":
        return "exact"
    return "certified" if precision == "auto" else precision


def nearest(
    query: RowSource,
    database: RowSource,
    k: int,
    *,
    precision: str = "exact",
    exclude_self: bool = False,
    machine: Machine = CPU,
    progress: Progress = no_progress,
) -> Found:
    """The k nearest database rows of every query row, as `topk.top_k`.

    precision: exact (float32 products), certified (as the head of this module says), or fast (the same, but rows
    without a proof are left as they are).
    A GPU out of memory is tried again with half the budget. Raises `RequestError` like `top_k`, and if that fails.
    """
    while True:
        try:
            if precision == "exact" or query.dtype == torch.float64:
                top = top_k(query, database, k, exclude_self=exclude_self, machine=machine, progress=progress)
                return Found(top.indices, top.values, budget=machine.budget)
            certified = _Certified(query, database, k, exclude_self, machine, progress)
            return certified.run(redo=precision == "certified")
        except torch.OutOfMemoryError:
            machine = replace(machine, budget=machine.budget // 2)
            if machine.budget < LEAST_BUDGET:
                raise RequestError(
                    f"The GPU ran out of memory even in blocks of {2 * machine.budget / 1e6:,.0f} MB; other programs "
                    "may hold the rest. Stop them, or use --device cpu."
                ) from None
            torch.cuda.empty_cache()


class _Certified:
    """One certified search. The rows' length is at most about 1, so that one scale suits them all."""

    def __init__(
        self,
        query: RowSource,
        database: RowSource,
        k: int,
        exclude_self: bool,
        machine: Machine,
        progress: Progress,
    ) -> None:
        self.query, self.database, self.k, self.machine = query, database, k, machine
        self.progress = progress
        self.exclude_self = exclude_self
        self.available = len(database) - exclude_self
        self.dim = query.runs * query.width
        self.count = max(k, min(self.available, k + max(16, k // 4)))  # 16 more proved every row in a trial
        self.search = Search(
            query, database, self.count, exclude_self=exclude_self, product=half(self.dim), machine=machine,
            progress=progress,
        )  # fmt: skip

    def run(self, *, redo: bool) -> Found:
        top = self.search.run()[0]
        candidates = torch.from_numpy(top.indices).long()
        exact, bound = self._rerank(candidates)
        values, indices = in_order(exact, candidates)
        values, indices = values[:, : self.k], indices[:, : self.k]
        # No product outside the candidates can be larger.
        beyond = torch.from_numpy(top.values[:, -1]) + bound
        proved = (values[:, -1] > beyond) | (self.count == self.available)
        unproved = torch.nonzero(~proved).flatten()
        if redo:
            for first, last in spans(0, len(unproved), self._rows_held()):
                rows = unproved[first:last]
                again = self._exactly(rows)
                indices[rows] = torch.from_numpy(again.indices).long()
                values[rows] = torch.from_numpy(again.values)
        return Found(
            indices.to(torch.int32).numpy(), values.numpy(), certified=int(proved.sum()),
            redone=len(unproved) if redo else 0, budget=self.machine.budget,
        )  # fmt: skip

    def _rows_held(self) -> int:
        """How many whole float32 rows a quarter of the budget holds."""
        return max(1, self.machine.budget // (4 * 4 * self.dim))

    def _exactly(self, rows: Tensor) -> Top:
        """The top-k of some query rows by float32 products."""
        held = _Held(self.query, rows.tolist(), self.machine.device)
        own = rows if self.exclude_self else None
        return Search(
            held, self.database, self.k, own=own, machine=self.machine, progress=self.progress
        ).run()[0]

    def _rerank(self, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """Exact products of the candidates (n, m), and a bound (n,) on the error of any rounded product of a row."""
        device = self.machine.device
        n, m = candidates.shape
        column, place = candidates.to(device).flatten().sort()
        row, exact = place // m, torch.zeros(n * m, device=device)
        of_query = _Rounding(n, self.dim, device)
        of_database = _Rounding(len(self.database), self.dim, device)
        at_a_time = min(self.search.plan.slice_runs, self._rows_held() * self.query.runs // n)
        done, whole = 0, n * m
        for first, last in spans(0, self.query.runs, max(1, at_a_time)):
            runs = slice(first, last)
            rows = torch.cat([part for _, part in self._embedded(self.query, of_query, runs)])
            for span, part in self._embedded(self.database, of_database, runs):
                low, high = torch.searchsorted(column, torch.tensor(span, device=device)).tolist()
                at_once = max(1, piece_bytes(device.type) // (4 * part.shape[1]))
                for i, j in spans(low, high, at_once):
                    exact[place[i:j]] += (rows[row[i:j]] * part[column[i:j] - span[0]]).sum(1)
                done += (high - low) * (last - first)
                self.progress("exact values of the candidates", done // self.query.runs, whole)
        slices = -(-self.query.runs // self.search.plan.slice_runs)
        return exact.view(n, m).cpu(), _bound(of_query, of_database, self.dim, slices).cpu()

    def _embedded(self, side: RowSource, rounding: _Rounding, runs: slice) -> Iterator[tuple[Span, Tensor]]:
        """Rows span by span, and what rounding would do to them."""
        blocks = spans(0, len(side), self.search.plan.database_block)
        for span, raw in read_ahead(side, blocks, runs, self.machine.device):
            rows = side.rows(raw, span[0], runs)
            rounding.add(span, rows)
            yield span, rows


class _Rounding:
    """Squared norms of n rows, of the rows rounded, and of the difference, summed over slices of the rows."""

    def __init__(self, n: int, dim: int, device: torch.device) -> None:
        self.scale = half_scale(dim)
        self.norm, self.rounded, self.error = torch.zeros(3, n, device=device).unbind()

    def add(self, span: Span, rows: Tensor) -> None:
        """Add a slice of rows span[0] … span[1]-1."""
        rounded = (rows * self.scale).half().float() / self.scale
        for total, part in ((self.norm, rows), (self.rounded, rounded), (self.error, rows - rounded)):
            total[slice(*span)] += part.square().sum(1)


def _bound(query: _Rounding, database: _Rounding, dim: int, slices: int) -> Tensor:
    """The bound of this module's head, for each query row (n,) and any database row."""
    largest = {name: getattr(database, name).max().sqrt() for name in ("norm", "rounded", "error")}
    summing = summing_error(dim, slices) * query.rounded.sqrt() * largest["rounded"]
    bound: Tensor = query.error.sqrt() * largest["norm"] + query.rounded.sqrt() * largest["error"] + summing
    bound *= 1.001  # the norms themselves are rounded
    return bound


class _Held:
    """Some rows of another embedding, whole, as an embedding of their own."""

    dtype = torch.float32

    def __init__(self, rows: RowSource, picked: list[int], device: torch.device) -> None:
        self.runs, self.width, self.raw_bytes = rows.runs, rows.width, 4 * rows.width
        every = slice(0, rows.runs)
        made = [rows.rows(torch.from_numpy(rows.read(i, i + 1, every)).to(device), i, every) for i in picked]
        self.values = torch.cat(made).view(len(picked), rows.width, rows.runs).cpu().numpy()

    def __len__(self) -> int:
        return len(self.values)

    def read(self, start: int, stop: int, runs: slice) -> npt.NDArray[np.float32]:
        """The rows (b, width, m), held on the CPU."""
        return np.ascontiguousarray(self.values[start:stop, :, runs])

    def rows(self, raw: Tensor, _start: int, _runs: slice) -> Tensor:
        """The same as rows (b, width * m)."""
        return raw.reshape(len(raw), -1)
