"""Synthetic logits that resemble a real ensemble's, for machines that have none.

The logits of example i in run r are

    L[r, i] = class mean + offset[i] + sum over f of loading[i, f] * score[r, f] + noise[r, i]

The weights of the factors f follow a power law: runs differ in what they have learned, and examples that load
on the same factors vary together. Some test examples are near-duplicates: in every run, their logits are
those of a training example plus a little noise.
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
DECAY = 0.7  # factor f has the weight (f + 1) ** -DECAY
DUPLICATES = 0.05  # share of the test examples
BYTES = 2  # size of a float16 number


@dataclass(frozen=True)
class SyntheticSize:
    """Numbers of test examples (queries), training examples (database), runs, classes and files."""

    queries: int
    database: int
    run_count: int
    class_count: int
    file_count: int = 1

    @property
    def bytes(self) -> int:
        """Size of the logits on disk."""
        return BYTES * self.run_count * (self.queries + self.database) * self.class_count


@dataclass(frozen=True)
class Synthetic:
    """The files written. planted[i]: the training example that test example i is a near-duplicate of."""

    files: tuple[Path, ...]
    planted: dict[int, int]


def write_synthetic(
    folder: Path, size: SyntheticSize, *, seed: int = 0, progress: Progress = no_progress
) -> Synthetic:
    """Write `folder`/runs/part-XX/log.pt in the published layout.

    That is float16 (runs, examples, classes) per split. Holds one run in memory at a time. The number of
    files does not change the runs. Raises `OSError` if the folder cannot be written.
    """
    planted = _planted(size, torch.Generator().manual_seed(seed))
    runs = _runs(size, planted, torch.Generator().manual_seed(seed + 1))
    files, done = [], 0
    runs_per_file, remainder = divmod(size.run_count, size.file_count)
    for f in range(size.file_count):
        path = folder / "runs" / f"part-{f:02}" / "log.pt"
        path.parent.mkdir(parents=True)
        run_count = runs_per_file + 1 if f < remainder else runs_per_file
        logits = _create_log(path, run_count, size)
        for r in range(run_count):
            run = next(runs)  # (test examples then training examples, C)
            logits["logits"][r], logits["logits_train"][r] = run[: size.queries], run[size.queries :]
            done += 1
            progress("writing synthetic logits", done, size.run_count)
        files.append(path)
    return Synthetic(tuple(files), planted)


def _planted(size: SyntheticSize, generator: torch.Generator) -> dict[int, int]:
    """Draw the near-duplicates: test index → training index."""
    count = min(max(1, round(DUPLICATES * size.queries)), size.database)
    queries = torch.randperm(size.queries, generator=generator)[:count]
    partners = torch.randperm(size.database, generator=generator)[:count]
    return dict(zip(queries.tolist(), partners.tolist(), strict=True))


def _runs(size: SyntheticSize, planted: dict[int, int], generator: torch.Generator) -> Iterator[Tensor]:
    """Yield each run's logits as float32 (N, C), test examples first."""
    N, C = size.queries + size.database, size.class_count

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    twins = torch.tensor(list(planted))
    originals = torch.tensor(list(planted.values())) + size.queries
    labels = torch.randint(C, (N,), generator=generator)
    weights = torch.arange(1, FACTORS + 1) ** -DECAY
    weights *= 1.5 / weights.norm()
    # Examples of one class share part of their loadings.
    loadings = (0.5 * normal(C, FACTORS)[labels] + normal(N, FACTORS)) * weights
    offsets = 5 * torch.eye(C)[labels] + normal(N, C)
    for _ in range(size.run_count):
        run = torch.addmm(offsets, loadings, normal(FACTORS, C)).add_(normal(N, C))
        run[twins] = run[originals] + 0.1 * normal(len(twins), C)
        yield run


def _create_log(path: Path, run_count: int, size: SyntheticSize) -> dict[str, Tensor]:
    """Create a log.pt, and return its tensors mapped from the file: writing to them writes to it."""
    tensors = {
        "logits": torch.empty(run_count, size.queries, size.class_count, dtype=torch.half),
        "logits_train": torch.empty(run_count, size.database, size.class_count, dtype=torch.half),
    }
    with torch.serialization.skip_data():
        torch.save(tensors, path)
    with torch.serialization.set_default_mmap_options(mmap.MAP_SHARED):
        mapped: dict[str, Tensor] = torch.load(path, weights_only=True, mmap=True)
    return mapped
