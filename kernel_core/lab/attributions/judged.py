"""What is found of a method: what it predicts for held-out sets, what it names first, what it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from kernel_core.lab.attributions.asked import Asked, Rows, Weights
from kernel_core.lab.attributions.datamodels import predicted
from kernel_core.lab.attributions.methods import Method
from kernel_core.lab.blocks import in_blocks
from kernel_core.machine import give_back_memory
from kernel_core.memory_watch import MemoryWatch
from kernel_core.search.running_topk import top_k_of_tile

LISTED, FIRST = 50, 20  # training examples of the largest weights: that are kept, and that answers speak of
ROWS = 64  # whose largest are found at a time
FORMAT = 2  # of an entry of a method


@dataclass(frozen=True, eq=False)
class Judged:
    """What is known of a method.

    predicted: float32 (m, n), of each held-out set and query example, but for constants.
    listed: int64 (n, k), the training examples of the largest weights, the largest first, ties by index.
    values: float32 (n, k), these weights.
    seconds: of the processor, all cores together. memory: bytes allocated at most while it was computed, with
    the weights of one range of query examples; mapped files do not count; NaN where that is not known.
    """

    method: Method
    predicted: npt.NDArray[np.float32]
    listed: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]
    seconds: float
    memory: float

    @property
    def first(self) -> npt.NDArray[np.int64]:
        """The training examples that the method names first."""
        return self.listed[:, :FIRST]


def judge(method: Method, asked: Asked) -> Judged:
    """Return what is found of a method, from the cache if it is known."""
    content = {
        "format": FORMAT, "of": "a method that finds weights", "method": method.name,
        "version": method.version(asked), "runs": asked.runs.content,
        "logits": asked.setting.keys.inputs["kernel"],
    }  # fmt: skip
    arrays = asked.setting.kept(content, lambda: _measured(method, asked), f"attributions by {method.title}")
    seconds, memory = arrays["taken"].tolist()
    listed = arrays["listed"].astype(np.int64)
    return Judged(method, arrays["predicted"], listed, arrays["values"], seconds, memory)


def _measured(method: Method, asked: Asked) -> dict[str, npt.NDArray[Any]]:
    """Find the weights, range by range of the query examples, and what is kept of them."""
    meter, sums, found = _Meter(), [], []
    with meter:
        rows = method.prepare(asked)
    for queries in asked.runs.ranges():
        with meter:
            weights = rows(queries)
        sums.append(predicted(weights, asked.runs.held_masks).astype(np.float32))
        found.append(largest(weights, LISTED))
        del weights
    listed, values = (np.concatenate(part) for part in zip(*found, strict=True))
    return {
        "predicted": np.concatenate(sums, axis=1),
        "listed": listed.astype(np.int32),
        "values": values.astype(np.float32),
        "taken": np.array([meter.seconds, meter.most - meter.before]),
    }


def predictions(name: str, count: int, rows_of: Callable[[int], Rows], asked: Asked) -> Weights:
    """Return what the weights of a number of runs predict, as in `Judged`, from the cache if it is known."""
    content = {"format": FORMAT, "of": "predictions by number of runs", "method": name, "count": count,
               "runs": asked.runs.content, "logits": asked.setting.keys.inputs["kernel"]}  # fmt: skip

    def compute() -> dict[str, npt.NDArray[Any]]:
        rows, held = rows_of(count), asked.runs.held_masks
        of_ranges = [predicted(rows(queries), held) for queries in asked.runs.ranges()]
        return {"predicted": np.concatenate(of_ranges, axis=1).astype(np.float32)}

    found: Weights = asked.setting.kept(content, compute, f"{name} from {count} runs")["predicted"]
    return found


def largest(weights: Weights, k: int) -> tuple[npt.NDArray[np.int64], Weights]:
    """Return the columns and the values of the k largest of each row, the largest first; ties by index."""
    tile, kept = torch.from_numpy(weights), min(k, weights.shape[1])
    found = [of for _, of in in_blocks(len(tile), ROWS, lambda some: top_k_of_tile(tile[some], kept))]
    columns, values = (torch.cat(part).numpy() for part in zip(*found, strict=True))
    return columns, values


class _Meter:
    """Seconds of the processor that blocks of code take in all, and the memory that is held in them at most.

    before, most: bytes allocated by this process before the first of them, and at most; NaN if not known.
    """

    def __init__(self) -> None:
        give_back_memory()  # what was freed before would hide what is allocated now
        with MemoryWatch() as memory:
            pass
        self.seconds, self.before = 0.0, memory.peak or np.nan
        self.most = self.before

    def __enter__(self) -> None:
        self._start, self._memory = time.process_time(), MemoryWatch()
        self._memory.__enter__()

    def __exit__(self, *error: object) -> None:
        self._memory.__exit__(*error)
        self.seconds += time.process_time() - self._start
        self.most = max(self.most, self._memory.peak or np.nan)
