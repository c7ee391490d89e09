"""What `kernel-explorer bench` compares: our search, and other ways to the same answer.

`original` is the published algorithm. `faiss` and `sklearn` are exact search engines, given the rows that our own
embedding makes, so that they are compared as engines. `oracle` is the answer in float64, written without any of these.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.ensembles.log_file import open_ensemble
from kernel_core.machine import Machine
from kernel_core.records import Ensemble
from kernel_core.search import certified
from kernel_core.search.topk import Top
from kernel_core.similarity.embed import KernelRows
from kernel_core.spec import Split

CLOSE = 1e-6  # values nearer than this may swap places by float32 rounding
SAMPLE = 100  # query rows that are compared with the oracle
ROWS = 2_048  # embedded at a time
ORACLE_BYTES = 64_000_000  # of a block of float64 rows
PEAK_TILE = 1_024, 4_096
PEAK_DIM = 20_000  # longer rows multiply no faster


@dataclass(frozen=True)
class Job:
    """What every method is given. queries, database: the first so many test and training examples of the files."""

    files: tuple[Path, ...]
    runs: int
    queries: int
    database: int
    k: int
    device: str
    precision: str  # one of `certify.PRECISIONS`
    budget: int  # bytes

    def open(self) -> Ensemble:
        """The ensemble of the files, mapped, cut to size. Raises `DataError`."""
        ensemble = open_ensemble(self.files).first(self.runs)
        count: dict[Split, int] = {"test": self.queries, "train": self.database}
        parts = tuple({s: part[s][:, :n] for s, n in count.items()} for part in ensemble.parts)
        return Ensemble(ensemble.names, parts, ensemble.files)

    @property
    def sample(self) -> npt.NDArray[np.int64]:
        """The query rows compared with the oracle, evenly spaced."""
        return np.unique(np.linspace(0, self.queries - 1, min(SAMPLE, self.queries)).astype(np.int64))


class Laps:
    """Seconds of each stage of a method, on a device."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.stages = device, dict[str, float]()
        self.last = self.now()

    def now(self) -> float:
        """Seconds, once the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def __call__(self, stage: str) -> None:
        now = self.now()
        self.stages[stage], self.last = now - self.last, now


def ours(ensemble: Ensemble, job: Job, _lap: Laps) -> Top:
    """Kernel Explorer's own search. It has no stages: they overlap, block by block."""
    return certified.nearest(
        KernelRows(ensemble, "test"),
        KernelRows(ensemble, "train"),
        job.k,
        precision=job.precision,
        machine=Machine(torch.device(job.device), job.budget),
    )


def original(ensemble: Ensemble, job: Job, lap: Laps) -> Top:
    """The published algorithm: all logits in float32, a dense product a class into a dense matrix, its top-k.

    A class that does not vary over the runs gives NaN, as it does there.
    """
    device, M, C = torch.device(job.device), ensemble.run_count, ensemble.class_count

    def normalised(split: Split) -> Tensor:
        parts = [torch.from_numpy(part[split]).to(device).float() for part in ensemble.parts]
        z = torch.log_softmax(parts[0] if len(parts) == 1 else torch.cat(parts), -1)  # (M, N, C)
        return (z - z.mean(0)) / z.std(0)

    query, database = normalised("test"), normalised("train")
    lap("normalise")
    kernel = torch.zeros(query.shape[1], database.shape[1], device=device)
    for c in range(C):
        kernel += query[:, :, c].T @ database[:, :, c] / M
    kernel /= C  # the published values are sums over the classes
    lap("product")
    values, indices = kernel.topk(job.k)
    lap("top-k")
    return Top(indices.to(torch.int32).cpu().numpy(), values.cpu().numpy())


def _float32_rows(ensemble: Ensemble, split: Split) -> npt.NDArray[np.float32]:
    """All rows (N, D) of our embedding: the inner product of two is the kernel."""
    rows, cpu = KernelRows(ensemble, split), torch.device("cpu")
    made = np.empty((len(rows), rows.dim), np.float32)
    for start in range(0, len(rows), ROWS):
        stop = min(start + ROWS, len(rows))
        made[start:stop] = rows.block(start, stop, cpu).numpy()
    return made


def faiss_flat(ensemble: Ensemble, job: Job, lap: Laps) -> Top:
    """faiss' exact index of inner products, on the CPU."""
    faiss: Any = importlib.import_module("faiss")
    query, database = (_float32_rows(ensemble, split) for split in ("test", "train"))
    lap("normalise")
    index = faiss.IndexFlatIP(database.shape[1])
    index.add(database)
    del database  # the index has a copy
    lap("add")
    values, indices = index.search(query, job.k)
    lap("search")
    return Top(indices.astype(np.int32), values)


def sklearn_brute(ensemble: Ensemble, job: Job, lap: Laps) -> Top:
    """scikit-learn's exact neighbors by cosine, on the CPU; the kernel is (M-1)/M times the cosine."""
    neighbors: Any = importlib.import_module("sklearn.neighbors")
    query, database = (_float32_rows(ensemble, split) for split in ("test", "train"))
    lap("normalise")
    search = neighbors.NearestNeighbors(n_neighbors=job.k, algorithm="brute", metric="cosine").fit(database)
    lap("fit")
    distances, indices = search.kneighbors(query)
    lap("search")
    largest = (ensemble.run_count - 1) / ensemble.run_count
    return Top(indices.astype(np.int32), (1 - distances) * largest)


def oracle(ensemble: Ensemble, job: Job, _lap: Laps) -> Top:
    """The k + 1 nearest of the sampled query rows (all, if there are no more), in float64."""
    M, C = ensemble.run_count, ensemble.class_count

    def normalised(split: Split, which: slice | npt.NDArray[np.int64]) -> Tensor:
        logits = np.concatenate([part[split][:, which] for part in ensemble.parts])
        x = torch.from_numpy(logits).double()  # (M, b, C)
        z = x - torch.logsumexp(x, 2, keepdim=True)
        deviation = z - z.mean(0)
        std = z.std(0)
        varies = std > 1e-12 * z.abs().amax(0)
        return torch.where(varies, deviation / std, 0.0).permute(1, 0, 2).reshape(-1, M * C)

    query = normalised("test", job.sample)
    block = max(1, ORACLE_BYTES // (8 * M * C))
    starts = range(0, job.database, block)
    products = [query @ normalised("train", slice(i, i + block)).T / (M * C) for i in starts]
    values, indices = torch.cat(products, 1).topk(min(job.k + 1, job.database))
    return Top(indices.to(torch.int32).numpy(), values.numpy())


def product_peak(dim: int, device: torch.device) -> dict[str, float]:
    """The best GFLOP/s of a float32 product of 1,024 and 4,096 rows of `dim` numbers, by each way torch has."""
    (m, n), dim = PEAK_TILE, min(dim, PEAK_DIM)
    q, d, out = (torch.rand(*shape, device=device) for shape in ((m, dim), (n, dim), (m, n)))
    ways: dict[str, Callable[[], Tensor]] = {"torch.mm": lambda: torch.mm(q, d.T, out=out)}
    if device.type == "cpu" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        a, b = q.to_mkldnn(), d.to_mkldnn()
        ways["oneDNN"] = lambda: torch.nn.functional.linear(a, b)
    best = {}
    for name, product in ways.items():
        product()  # makes plans and buffers
        seconds = []
        for _ in range(3):
            laps = Laps(device)
            product()
            seconds.append(laps.now() - laps.last)
        best[name] = 2 * m * n * dim / min(seconds) / 1e9
    return best


METHODS: dict[str, Callable[[Ensemble, Job, Laps], Top]] = {
    "ours": ours,
    "original": original,
    "faiss": faiss_flat,
    "faiss-skylakex": faiss_flat,
    "sklearn": sklearn_brute,
    "oracle": oracle,
}


def agreement(top: Top, reference: Top, sample: npt.NDArray[np.int64]) -> dict[str, Any]:
    """How far an answer is the oracle's, on the sampled rows.

    rows: how many were compared. same: of them, those with the same set of k. close: of the others, those whose k-th
    and next value are nearer than `CLOSE`. largest_difference: between the values of the same rank; None
    where one is NaN.
    """
    indices, values = top.indices[sample], top.values[sample]
    k = indices.shape[1]
    largest = float(np.abs(values - reference.values[:, :k]).max())
    same = (np.sort(indices, 1) == np.sort(reference.indices[:, :k], 1)).all(1)
    gap = reference.values[:, k - 1] - reference.values[:, -1]  # 0 if k is all there are: then no row differs
    return {
        "rows": len(sample),
        "same": int(same.sum()),
        "close": int((~same & (gap < CLOSE)).sum()),
        "largest_difference": largest if np.isfinite(largest) else None,
    }
