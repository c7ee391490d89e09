"""Rows for the search that need no embedding, and the memory plans and devices that its tests go through."""

import pytest
import torch

from kernel_core.search import topk
from kernel_core.search.memory_plan import MemoryPlan

NO_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.cuda, NO_CUDA])]


class Matrix:
    """Float32 rows held in memory, cut into runs.

    largest, most_runs: the most rows and the most runs that one call of `read` asked for.
    """

    dtype = torch.float32
    held_bytes = work = 0

    def __init__(self, rows, runs=1):
        self.values = torch.as_tensor(rows, dtype=torch.float32).reshape(len(rows), -1, runs)
        self.run_count, self.width, self.raw_bytes = runs, self.values.shape[1], 4 * self.values.shape[1]
        self.largest = self.most_runs = 0

    def __len__(self):
        return len(self.values)

    def read(self, start, stop, run_slice):
        raw = self.values[start:stop, :, run_slice].contiguous().numpy()
        self.largest, self.most_runs = max(self.largest, stop - start), max(self.most_runs, raw.shape[2])
        return raw

    def rows(self, raw, start, run_slice):
        return raw.reshape(len(raw), -1)


def use_plan(monkeypatch, *sizes):
    """Make every memory plan one of these sizes (chunk, block, tile, slice), whatever the budget."""
    monkeypatch.setattr(topk, "plan_memory", lambda *_, **__: MemoryPlan(*sizes, 0))
