"""Exact neighbors from half-precision products: candidates, an exact re-rank, and a proof for every row.

With x^ the row x rounded to float16, |<x, y> - <x^, y^>| <= |x - x^| |y| + |x^| |y - y^| (Cauchy-Schwarz).
Summing D products in float32 adds at most D * 2^-23 |x^| |y^|, whichever way a GPU rounds; long rows are
summed in pieces, so that D stays small. All norms are measured while rounding. If the exact value of the k-th
candidate exceeds the product of every other row by more than that bound, no other row belongs among the k:
the row is certified. The rest are searched again in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.errors import Unavailable
from kernel_core.machine import CPU, Machine, piece_bytes
from kernel_core.progress import Progress, no_progress
from kernel_core.search.products import half, half_scale, summing_error
from kernel_core.search.row_source import Range, RowSource, ranges, read_ahead
from kernel_core.search.running_topk import in_order
from kernel_core.search.topk import TopK, TopKSearch, top_k

LEAST_BUDGET = 64_000_000  # bytes; a GPU that runs out of memory with less is not tried again


@dataclass(frozen=True, eq=False)
class CertifiedTopK(TopK):
    """A top-k, and how it was found.

    certified: number of rows proved, None if every product was exact. redone: number of rows searched again
    in float32. budget: bytes it was found in; fewer than given if a GPU ran out of memory.
    """

    certified: int | None = None
    redone: int = 0
    budget: int = 0


def choose_precision(precision: str, device: torch.device) -> str:
    """Return the precision that a device uses if `precision` is asked for.

    A CPU is always exact: it has no half-precision product worth its rounding.
    """
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
) -> CertifiedTopK:
    """Return the k nearest database rows of every query row, as `topk.top_k` does.

    precision: exact (float32 products), certified (see the head of this module), or fast (as certified, but
        rows without a proof are left as they are).

    If a GPU runs out of memory, half the budget is tried. Raises `RequestError` as `top_k` does, and if that
    fails.
    """
    while True:
        try:
            if precision == "exact" or query.dtype == torch.float64:
                top = top_k(query, database, k, exclude_self=exclude_self, machine=machine, progress=progress)
                return CertifiedTopK(top.indices, top.values, top.product, budget=machine.budget)
            search = _CertifiedSearch(query, database, k, exclude_self, machine, progress)
            return search.compute(redo=precision == "certified")
        except torch.OutOfMemoryError:
            machine = replace(machine, budget=machine.budget // 2)
            if machine.budget < LEAST_BUDGET:
                raise Unavailable(
                    f"The GPU ran out of memory even in blocks of {2 * machine.budget / 1e6:,.0f} MB; "
                    "other programs "
                    "may hold the rest. Stop them, or use --device cpu."
                ) from None
            torch.cuda.empty_cache()


class _CertifiedSearch:
    """One certified search. Rows are of length 1 at most, about, so that one scale suits them all."""

    def __init__(
        self,
        query: RowSource,
        database: RowSource,
        k: int,
        exclude_self: bool,
        machine: Machine,
        progress: Progress,
    ) -> None:
        self.query, self.database, self.k = query, database, k
        self.exclude_self, self.machine, self.progress = exclude_self, machine, progress
        self.available = len(database) - exclude_self
        self.dim = query.run_count * query.width
        # 16 candidates beyond k proved every row in a trial.
        self.candidate_count = max(k, min(self.available, k + max(16, k // 4)))
        self.search = TopKSearch(
            query,
            database,
            self.candidate_count,
            exclude_self=exclude_self,
            product=half(self.dim),
            machine=machine,
            progress=progress,
        )

    def compute(self, *, redo: bool) -> CertifiedTopK:
        """Return the top-k; redo: search rows without a proof again in float32."""
        rounded = self.search.compute()[0]
        candidates = torch.from_numpy(rounded.indices).long()
        exact, bound = self._rerank(candidates)
        values, indices = in_order(exact, candidates)
        values, indices = values[:, : self.k], indices[:, : self.k]
        # No product outside the candidates can be larger.
        beyond = torch.from_numpy(rounded.values[:, -1]) + bound
        proved = (values[:, -1] > beyond) | (self.candidate_count == self.available)
        unproved = torch.nonzero(~proved).flatten()
        if redo:
            for first, last in ranges(0, len(unproved), self._rows_that_fit()):
                rows = unproved[first:last]
                again = self._search_exactly(rows)
                indices[rows] = torch.from_numpy(again.indices).long()
                values[rows] = torch.from_numpy(again.values)
        return CertifiedTopK(
            indices.to(torch.int32).numpy(),
            values.numpy(),
            rounded.product,
            certified=int(proved.sum()),
            redone=len(unproved) if redo else 0,
            budget=self.machine.budget,
        )

    def _rows_that_fit(self) -> int:
        """Return how many whole float32 rows a quarter of the budget holds."""
        return max(1, self.machine.budget // (4 * 4 * self.dim))

    def _search_exactly(self, rows: Tensor) -> TopK:
        """Return the top-k of some query rows by float32 products."""
        held = HeldRows(self.query, rows.tolist(), self.machine.device)
        own = rows if self.exclude_self else None
        search = TopKSearch(
            held, self.database, self.k, own=own, machine=self.machine, progress=self.progress
        )
        return search.compute()[0]

    def _rerank(self, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """Return exact products and the bound of each row.

        candidates: int64 (n, m), database rows. Returns their products (n, m), and a bound (n,) on the error
        of any rounded product of a row.
        """
        device, run_count = self.machine.device, self.query.run_count
        n, m = candidates.shape
        column, place = candidates.to(device).flatten().sort()
        row, exact = place // m, torch.zeros(n * m, device=device)
        of_query = _RoundingNorms(n, self.dim, device)
        of_database = _RoundingNorms(len(self.database), self.dim, device)
        runs_at_once = min(self.search.plan.slice_runs, self._rows_that_fit() * run_count // n)
        done, total = 0, n * m  # done: candidates times runs
        for first, last in ranges(0, run_count, max(1, runs_at_once)):
            run_slice = slice(first, last)
            rows = torch.cat([block for _, block in self._embedded(self.query, of_query, run_slice)])
            for (start, stop), block in self._embedded(self.database, of_database, run_slice):
                low, high = torch.searchsorted(column, torch.tensor((start, stop), device=device)).tolist()
                pairs_at_once = max(1, piece_bytes(device.type) // (4 * block.shape[1]))
                for i, j in ranges(low, high, pairs_at_once):
                    exact[place[i:j]] += (rows[row[i:j]] * block[column[i:j] - start]).sum(1)
                done += (high - low) * (last - first)
                self.progress("exact values of the candidates", done // run_count, total)
        slice_count = -(-run_count // self.search.plan.slice_runs)
        return exact.view(n, m).cpu(), _bound(of_query, of_database, self.dim, slice_count).cpu()

    def _embedded(
        self, source: RowSource, norms: _RoundingNorms, run_slice: slice
    ) -> Iterator[tuple[Range, Tensor]]:
        """Yield the rows block by block, and add to `norms` what rounding does to them."""
        blocks = ranges(0, len(source), self.search.plan.block_rows)
        for block, raw in read_ahead(source, blocks, run_slice, self.machine.device):
            rows = source.rows(raw, block[0], run_slice)
            norms.add(block, rows)
            yield block, rows


class _RoundingNorms:
    """Squared norms of n rows, of the rows rounded to float16, and of the difference: (n,) each.

    They are summed over slices of the rows.
    """

    def __init__(self, n: int, dim: int, device: torch.device) -> None:
        self.scale = half_scale(dim)
        self.exact, self.rounded, self.error = torch.zeros(3, n, device=device).unbind()

    def add(self, block: Range, rows: Tensor) -> None:
        """Add a slice of the rows of a block."""
        rounded = (rows * self.scale).half().float() / self.scale
        for total, part in ((self.exact, rows), (self.rounded, rounded), (self.error, rows - rounded)):
            total[slice(*block)] += part.square().sum(1)


def _bound(query: _RoundingNorms, database: _RoundingNorms, dim: int, slice_count: int) -> Tensor:
    """Return the bound at the head of this module, for each query row (n,) and any database row."""
    largest_exact, largest_rounded, largest_error = (
        squared.max().sqrt() for squared in (database.exact, database.rounded, database.error)
    )
    summing = summing_error(dim, slice_count) * query.rounded.sqrt() * largest_rounded
    bound: Tensor = query.error.sqrt() * largest_exact + query.rounded.sqrt() * largest_error + summing
    bound *= 1.001  # the norms themselves are rounded
    return bound


class HeldRows:
    """Some rows of another source, embedded whole and held on the CPU, as a source of their own."""

    work = 0

    def __init__(self, source: RowSource, indices: list[int], device: torch.device) -> None:
        self.run_count, self.width, self.raw_bytes = source.run_count, source.width, 4 * source.width
        self.held_bytes, self.dtype = source.held_bytes, source.dtype
        all_runs = slice(0, source.run_count)
        rows = [
            source.rows(torch.from_numpy(source.read(i, i + 1, all_runs)).to(device), i, all_runs)
            for i in indices
        ]
        self.values = torch.cat(rows).view(len(indices), source.width, source.run_count).cpu().numpy()

    def __len__(self) -> int:
        return len(self.values)

    def read(self, start: int, stop: int, run_slice: slice) -> npt.NDArray[np.float32]:
        """Return the rows start … stop-1: (b, width, m)."""
        return np.ascontiguousarray(self.values[start:stop, :, run_slice])

    def rows(self, raw: Tensor, _start: int, _run_slice: slice) -> Tensor:
        """Return what `read` returned as rows (b, width * m)."""
        return raw.reshape(len(raw), -1)
