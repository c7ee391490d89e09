"""The methods that the benchmark compares: our search, and other ways to the same answer.

`original` is the published algorithm. `faiss` and `sklearn` are exact search engines; both get the rows of
our own embedding, so only the engines are compared. `oracle` is the answer in float64, computed without any
of these.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.bench.stages import search_timed
from kernel_core.ensembles.opening import open_ensemble
from kernel_core.machine import Machine
from kernel_core.records import Ensemble
from kernel_core.search.tables import TopK
from kernel_core.similarity.kernel_rows import KernelRows
from kernel_core.spec import Split

CLOSE = 1e-6  # values that differ by less may swap places by float32 rounding
SAMPLE = 100  # query rows compared with the oracle
ROWS = 2_048  # rows embedded at a time
ORACLE_BYTES = 64_000_000  # size of a block of float64 rows


@dataclass(frozen=True)
class Job:
    """The task that every method gets: the k nearest of the first `database` training examples.

    They are found for each of the first `queries` test examples, over the first `run_count` runs in the
    files. precision: exact, certified or fast. budget: bytes of memory for our own search.
    """

    files: tuple[Path, ...]
    run_count: int
    queries: int
    database: int
    k: int
    device: str
    precision: str
    budget: int

    def open(self) -> Ensemble:
        """Return the ensemble in the files, memory-mapped and cut to size. Raises `DataError`."""
        ensemble = open_ensemble(self.files).first(self.run_count)
        counts: dict[Split, int] = {"test": self.queries, "train": self.database}
        parts = tuple({s: part[s][:, :n] for s, n in counts.items()} for part in ensemble.parts)
        return replace(ensemble, parts=parts)

    @property
    def sample(self) -> npt.NDArray[np.int64]:
        """Indices of the query rows compared with the oracle, evenly spaced."""
        return np.unique(np.linspace(0, self.queries - 1, min(SAMPLE, self.queries)).astype(np.int64))


class Laps:
    """Seconds per stage of a method; calling it with a stage's name ends that stage.

    core_seconds: those of stages that overlap.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.stages, self.core_seconds = device, dict[str, float](), dict[str, float]()
        self.last = self.now()

    def now(self) -> float:
        """Return the time in seconds, once the device has finished its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def __call__(self, stage: str) -> None:
        now = self.now()
        self.stages[stage], self.last = now - self.last, now


def ours(ensemble: Ensemble, job: Job, lap: Laps) -> TopK:
    """Search with Kernel Explorer. Its stages overlap, block by block: only their core-seconds are known."""
    machine = Machine(torch.device(job.device), job.budget)
    top, lap.core_seconds = search_timed(ensemble, job.k, job.precision, machine)
    return top


def original(ensemble: Ensemble, job: Job, lap: Laps) -> TopK:
    """Search with the published algorithm: one dense product per class, summed into a matrix, then its top-k.

    A class that does not vary over the runs gives NaN, as in the original.
    """
    device, M, C = torch.device(job.device), ensemble.run_count, ensemble.class_count

    def standardized(split: Split) -> Tensor:
        parts = [torch.from_numpy(np.asarray(part[split])).to(device).float() for part in ensemble.parts]
        z = torch.log_softmax(parts[0] if len(parts) == 1 else torch.cat(parts), -1)  # (M, N, C)
        return (z - z.mean(0)) / z.std(0)

    query, database = standardized("test"), standardized("train")
    lap("normalise")
    kernel = torch.zeros(query.shape[1], database.shape[1], device=device)
    for c in range(C):
        kernel += query[:, :, c].T @ database[:, :, c] / M
    kernel /= C  # the published values are sums over the classes, ours are means
    lap("product")
    values, indices = kernel.topk(job.k)
    lap("top-k")
    return TopK(indices.to(torch.int32).cpu().numpy(), values.cpu().numpy())


def _float32_rows(ensemble: Ensemble, split: Split) -> npt.NDArray[np.float32]:
    """Return all rows (N, D) of our embedding; the inner product of two is the kernel."""
    rows, cpu = KernelRows(ensemble, split), torch.device("cpu")
    embedded = np.empty((len(rows), rows.dim), np.float32)
    for start in range(0, len(rows), ROWS):
        stop = min(start + ROWS, len(rows))
        embedded[start:stop] = rows.block(start, stop, cpu).numpy()
    return embedded


def faiss_flat(ensemble: Ensemble, job: Job, lap: Laps) -> TopK:
    """Search with faiss's exact index of inner products, on the CPU."""
    faiss: Any = importlib.import_module("faiss")
    query, database = (_float32_rows(ensemble, split) for split in ("test", "train"))
    lap("normalise")
    index = faiss.IndexFlatIP(database.shape[1])
    index.add(database)
    del database  # the index has a copy
    lap("add")
    values, indices = index.search(query, job.k)
    lap("search")
    return TopK(indices.astype(np.int32), values)


def sklearn_brute(ensemble: Ensemble, job: Job, lap: Laps) -> TopK:
    """Search with scikit-learn's exact neighbors by cosine, on the CPU.

    The kernel is (M-1)/M times the cosine.
    """
    neighbors: Any = importlib.import_module("sklearn.neighbors")
    query, database = (_float32_rows(ensemble, split) for split in ("test", "train"))
    lap("normalise")
    search = neighbors.NearestNeighbors(n_neighbors=job.k, algorithm="brute", metric="cosine").fit(database)
    lap("fit")
    distances, indices = search.kneighbors(query)
    lap("search")
    largest = (ensemble.run_count - 1) / ensemble.run_count
    return TopK(indices.astype(np.int32), (1 - distances) * largest)


def oracle(ensemble: Ensemble, job: Job, _lap: Laps) -> TopK:
    """Return the k + 1 nearest of the sampled query rows in float64, or all of a database of k rows."""
    M, C = ensemble.run_count, ensemble.class_count

    def standardized(split: Split, examples: slice | npt.NDArray[np.int64]) -> Tensor:
        logits = np.concatenate([np.asarray(part[split])[:, examples] for part in ensemble.parts])
        x = torch.from_numpy(logits).double()  # (M, b, C)
        z = x - torch.logsumexp(x, 2, keepdim=True)
        deviation = z - z.mean(0)
        std = z.std(0)
        varies = std > 1e-12 * z.abs().amax(0)
        return torch.where(varies, deviation / std, 0.0).permute(1, 0, 2).reshape(-1, M * C)

    query = standardized("test", job.sample)
    block = max(1, ORACLE_BYTES // (8 * M * C))
    starts = range(0, job.database, block)
    products = [query @ standardized("train", slice(i, i + block)).T / (M * C) for i in starts]
    values, indices = torch.cat(products, 1).topk(min(job.k + 1, job.database))
    return TopK(indices.to(torch.int32).numpy(), values.numpy())


METHODS: dict[str, Callable[[Ensemble, Job, Laps], TopK]] = {
    "ours": ours,
    "original": original,
    "faiss": faiss_flat,
    "faiss-skylakex": faiss_flat,
    "sklearn": sklearn_brute,
    "oracle": oracle,
}


def agreement(top: TopK, reference: TopK, sample: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return how well a method's answer agrees with the oracle's, on the sampled rows.

    rows: number of rows compared. same: rows with the same set of k neighbors. close: of the others, rows
    whose k-th and next value differ by less than `CLOSE`. largest_difference: between values of the same
    rank; None if one is NaN.
    """
    indices, values = top.indices[sample], top.values[sample]
    k = indices.shape[1]
    largest = float(np.abs(values - reference.values[:, :k]).max())
    same = (np.sort(indices, 1) == np.sort(reference.indices[:, :k], 1)).all(1)
    # 0 if k is the whole database; then no row differs.
    gap = reference.values[:, k - 1] - reference.values[:, -1]
    return {
        "rows": len(sample),
        "same": int(same.sum()),
        "close": int((~same & (gap < CLOSE)).sum()),
        "largest_difference": largest if np.isfinite(largest) else None,
    }
