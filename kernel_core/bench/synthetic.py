"""Logits like those of a real ensemble, made here: for measuring on a machine that has none.

Run r's logits of example i are

    L[r, i] = class mean + what is its own in all runs + sum over f of loading[i, f] * score[r, f] + noise[r, i]

with many factors f whose weights fall by a power law: runs differ in what they learnt, and examples that load on the
same factors move together. Some test examples are near-duplicates of training examples: their logits are those of
the training example in every run, but for a little noise.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from kernel_core.progress import Progress, no_progress

FACTORS = 192
DECAY = 0.7  # factor f weighs (f + 1) ** -DECAY
DUPLICATES = 0.05  # of the test examples
BYTES = 2  # of a float16 number


@dataclass(frozen=True)
class SyntheticSize:
    """How many test examples (queries), training examples (database), runs and classes, in how many files."""

    queries: int
    database: int
    runs: int
    classes: int
    files: int = 1

    @property
    def bytes(self) -> int:
        """What the logits take on disk."""
        return BYTES * self.runs * (self.queries + self.database) * self.classes


@dataclass(frozen=True)
class Synthetic:
    """Files written, and planted[i] = the training example that test example i is a near-duplicate of."""

    files: tuple[Path, ...]
    planted: dict[int, int]


def write_synthetic(
    folder: Path, size: SyntheticSize, *, seed: int = 0, progress: Progress = no_progress
) -> Synthetic:
    """Write `folder`/runs/part-XX/log.pt in the published layout: float16 (runs, examples, classes) a split.

    One run is held at a time, so that memory does not grow with the runs; the runs are the same in however many files.
    Raises `OSError` if the folder cannot be written.
    """
    planted = _planted(size, torch.Generator().manual_seed(seed))
    runs = _runs(size, planted, torch.Generator().manual_seed(seed + 1))
    files, done = [], 0
    for f in range(size.files):
        path = folder / "runs" / f"part-{f:02}" / "log.pt"
        path.parent.mkdir(parents=True)
        count = size.runs // size.files + (f < size.runs % size.files)
        logits = _empty_log(path, count, size)
        for r in range(count):
            run = next(runs)  # (test and training examples, C)
            logits["logits"][r], logits["logits_train"][r] = run[: size.queries], run[size.queries :]
            done += 1
            progress("writing synthetic logits", done, size.runs)
        files.append(path)
    return Synthetic(tuple(files), planted)


def _planted(size: SyntheticSize, generator: torch.Generator) -> dict[int, int]:
    count = min(max(1, round(DUPLICATES * size.queries)), size.database)
    queries = torch.randperm(size.queries, generator=generator)[:count]
    partners = torch.randperm(size.database, generator=generator)[:count]
    return dict(zip(queries.tolist(), partners.tolist(), strict=True))


def _runs(size: SyntheticSize, planted: dict[int, int], generator: torch.Generator) -> Iterator[Tensor]:
    """Run by run, the logits of the test and then the training examples: float32 (N, C)."""
    N, C = size.queries + size.database, size.classes

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    twins = torch.tensor(list(planted))
    originals = torch.tensor(list(planted.values())) + size.queries
    labels = torch.randint(C, (N,), generator=generator)
    weights = torch.arange(1, FACTORS + 1) ** -DECAY
    weights *= 1.5 / weights.norm()
    loadings = (
        0.5 * normal(C, FACTORS)[labels] + normal(N, FACTORS)
    ) * weights  # examples of a class share some
    always = 5 * torch.eye(C)[labels] + normal(N, C)
    for _ in range(size.runs):
        run = torch.addmm(always, loadings, normal(FACTORS, C)).add_(normal(N, C))
        run[twins] = run[originals] + 0.1 * normal(len(twins), C)
        yield run


def _empty_log(path: Path, runs: int, size: SyntheticSize) -> dict[str, Tensor]:
    """A log.pt whose tensors are maps of the file: what is written to them is written to it."""
    tensors = {
        "logits": torch.empty(runs, size.queries, size.classes, dtype=torch.half),
        "logits_train": torch.empty(runs, size.database, size.classes, dtype=torch.half),
    }
    with torch.serialization.skip_data():
        torch.save(tensors, path)
    with torch.serialization.set_default_mmap_options(mmap.MAP_SHARED):
        mapped: dict[str, Tensor] = torch.load(path, weights_only=True, mmap=True)
    return mapped
