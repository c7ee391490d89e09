"""A neighbor search in blocks, done by either engine; what is finished is kept, and not done again.

The driver makes the job, which decides every bit of the result, cuts it into blocks, and merges what comes in
whatever order. Workers open the same files, do a block on one thread each, and return its nearest alone.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from kernel_core.engines.engine import KIND, Engine
from kernel_core.engines.rows import RowsFrom
from kernel_core.engines.tasks import run_tasks
from kernel_core.errors import DataError
from kernel_core.held import remove
from kernel_core.machine import Machine, cpu_info
from kernel_core.printable import printable
from kernel_core.progress import Progress, no_progress
from kernel_core.results.store import Store, key_of
from kernel_core.search.blocks import Block, Part, SearchJob, cut, do, empty, merge, plan_job
from kernel_core.search.certified import HeldRows
from kernel_core.search.topk import TopK, TopKSearch
from kernel_core.similarity.rows import SimilarityRows

BUDGET = 1_000_000_000  # bytes per worker; the same everywhere, as the sizes of tiles depend on it
SAMPLE = 16  # query rows that are searched here too, where processors differ
CLOSE = 1e-6  # most that values may differ where processors do
log = logging.getLogger("kernel_core")


@dataclass(frozen=True, eq=False)
class Wanted:
    """What is searched.

    key: of the neighbors, which names all that they depend on. rows_from: where workers find the rows. parts:
    of a row, each of which has neighbors of its own.
    """

    query: SimilarityRows
    database: SimilarityRows
    k: int
    exclude_self: bool
    key: str
    rows_from: RowsFrom
    parts: int = 1


class BlockSearch:
    """A search in blocks. Raises `RequestError` if k exceeds what the database offers."""

    def __init__(
        self, wanted: Wanted, engine: Engine, machine: Machine, store: Store, progress: Progress = no_progress
    ) -> None:
        self.wanted, self.engine, self.store, self.progress = wanted, engine, store, progress
        self.machine = replace(machine, budget=min(machine.budget, BUDGET))
        self.job = self._known_job() or self._new_job()
        self.blocks = cut(self.job, engine.block_seconds)
        dtype = np.float64 if wanted.query.dtype == torch.float64 else np.float32
        self.whole = empty(self.job, dtype)

    def compute(self) -> list[TopK]:
        """Do the blocks that are not known yet, and return the nearest of every query row.

        By whole rows, then by each part of them if there are several.

        Raises what reading rows raises, and what `run_tasks` raises. Blocks that are finished are then kept.
        """
        missing = [block for block in self.blocks if not self._take_known(block)]
        known = len(self.blocks) - len(missing)
        if known:
            log.info("%d of %d blocks are known from an earlier build", known, len(self.blocks))
        done = self._on_ray(missing) if self.engine.is_ray else self._here(missing)
        for block, parts in done:
            self._keep(block, parts)
            self._take(parts)
        return [TopK(part.indices, part.values, self.job.product) for part in self.whole]

    def agree(self) -> None:
        """Write the plan of the search, unless there is one, for other processes to do its blocks too."""
        with self.store.lock(self._job_key):
            known = self._known_job()
            if known is None:
                self._write_job()
            else:
                self.job, self.blocks = known, cut(known, self.engine.block_seconds)

    def do_share(self, number: int, count: int) -> int:
        """Do and keep every count-th block from `number` on that is not known; return how many were done.

        Raises what reading rows raises.
        """
        own = [block for block in self.blocks if block.number % count == number]
        missing = [block for block in own if not self.store.has(KIND, self._key(block))]
        for block, parts in self._here(missing):
            self._keep(block, parts)
        return len(missing)

    def forget(self) -> None:
        """Remove the blocks from the cache: the result is written."""
        for key in (self._job_key, *map(self._key, self.blocks)):
            path = self.store.path(KIND, key)
            if path.exists():
                remove(path)

    def _known_job(self) -> SearchJob | None:
        """Return the job of a build that did not end: a new one may have other blocks."""
        entry = self.store.read(KIND, self._job_key)
        if entry is None:
            return None
        try:
            return SearchJob.from_json(entry[1]["job"])
        except (KeyError, TypeError, ValueError):  # of another version
            return None

    def _new_job(self) -> SearchJob:
        of = self.wanted
        return plan_job(
            of.query,
            of.database,
            of.k,
            exclude_self=of.exclude_self,
            parts=of.parts,
            machine=self.machine,
        )

    @property
    def _job_key(self) -> str:
        of = self.wanted
        return key_of({"kind": "job", "neighbors": of.key, "k": of.k, "parts": of.parts})

    def _key(self, block: Block) -> str:
        place = [list(block.query), list(block.database)]
        return key_of({"kind": KIND, "neighbors": self.wanted.key, "job": self.job.to_json(), "place": place})

    def _take_known(self, block: Block) -> bool:
        """Take in a block that the cache has; return whether it has it."""
        entry = self.store.read(KIND, self._key(block)) if len(self.blocks) > 1 else None
        if entry is None:
            return False
        arrays, meta = entry
        places = enumerate(zip(meta["first"], meta["table"], strict=True))
        self._take([Part(row, arrays[f"indices_{i}"], arrays[f"values_{i}"], of) for i, (row, of) in places])
        return True

    def _keep(self, block: Block, parts: list[Part]) -> None:
        """Write a finished block to the cache; a single one is no use, as the result follows at once."""
        if len(self.blocks) == 1:
            return
        if not self.store.has(KIND, self._job_key):
            self._write_job()
        arrays = {f"indices_{i}": part.indices for i, part in enumerate(parts)}
        arrays |= {f"values_{i}": part.values for i, part in enumerate(parts)}
        meta = {"first": [part.first_row for part in parts], "table": [part.table for part in parts]}
        about = f"block {block.number + 1} of {len(self.blocks)} of a search that goes on"
        self.store.write(KIND, self._key(block), arrays, meta, about=about)

    def _write_job(self) -> None:
        about = "the plan of a search that goes on"
        self.store.write(KIND, self._job_key, {}, {"job": self.job.to_json()}, about=about)

    def _take(self, parts: list[Part]) -> None:
        """Merge what a block found into the whole; arrays that came from elsewhere are read-only."""
        for part in parts:
            rows, whole = slice(part.first_row, part.first_row + len(part.indices)), self.whole[part.table]
            known = replace(part, indices=whole.indices[rows], values=whole.values[rows])
            merged = merge(known, replace(part, indices=part.indices.copy(), values=part.values.copy()))
            whole.indices[rows], whole.values[rows] = merged.indices, merged.values

    def _here(self, blocks: list[Block]) -> Iterator[tuple[Block, list[Part]]]:
        of, threads = self.wanted, self.engine.workers or torch.get_num_threads()
        before = len(self.blocks) - len(blocks)
        for number, block in enumerate(blocks):

            def progress(step: str, done: int, total: int, number: int = before + number) -> None:
                """Report all blocks as one step, as if they had as many pairs each."""
                self.progress(step, number * total + done, len(self.blocks) * total)

            yield block, do(self.job, block, of.query, of.database, threads=threads, progress=progress)

    def _on_ray(self, blocks: list[Block]) -> Iterator[tuple[Block, list[Part]]]:
        known = len(self.blocks) - len(blocks)

        def progress(step: str, done: int, total: int) -> None:
            self.progress(step, done + known, total + known)

        task = functools.partial(find_block, self.wanted.rows_from, self.job.to_json())
        processors = Processors()
        for number, (processor, parts) in run_tasks(task, blocks, self.engine, progress, step="blocks"):
            processors.add(processor)
            yield blocks[number], parts
        if processors.differ:
            self._check_sample()

    def _check_sample(self) -> None:
        """Search some rows here as well. Raises `DataError` if their values are not close to those found."""
        of = self.wanted
        rows = np.linspace(0, self.job.n_query - 1, min(SAMPLE, self.job.n_query)).astype(np.int64)
        own = torch.from_numpy(rows) if of.exclude_self else None
        held = HeldRows(of.query, rows.tolist(), self.machine.device)
        here = TopKSearch(held, of.database, of.k, own=own, machine=self.machine).compute()[0]
        far = np.abs(here.values - self.whole[0].values[rows]).max()
        if not far <= CLOSE * max(1.0, float(np.abs(here.values).max())):
            raise DataError(
                f"Values that the nodes found differ by {far:.1e} from those found here; expected at most "
                f"{CLOSE:.0e}. Use nodes with the processor of this machine, or --engine local."
            )
        log.info("%d rows were searched here too: values differ by %.1e at most", len(rows), far)


class Processors:
    """The processors that blocks were found on: results are equal to the bit on equal ones alone."""

    def __init__(self) -> None:
        self.here = cpu_info().get("model name", "")
        self.others = set[str]()

    def add(self, model: str) -> None:
        """Note a processor, and warn of the first of each other kind."""
        if model != self.here and model not in self.others:
            self.others.add(model)
            log.warning(
                "a node has another processor (%s) than this machine (%s): values may differ slightly",
                printable(model),
                self.here,
            )

    @property
    def differ(self) -> bool:
        """Whether there is more than one kind."""
        return bool(self.others)


def find_block(rows_from: RowsFrom, job: Mapping[str, Any], block: Block) -> tuple[str, list[Part]]:
    """Do one block on a worker; return the model of its processor, and what it found.

    Raises what opening and reading rows raises.
    """
    torch.set_num_threads(1)
    query, database = _opened(rows_from)
    parts = do(SearchJob.from_json(dict(job)), block, query, database, threads=1)
    return cpu_info().get("model name", ""), parts


_open: dict[str, tuple[SimilarityRows, SimilarityRows]] = {}  # of this worker: the rows of its last search


def _opened(rows_from: RowsFrom) -> tuple[SimilarityRows, SimilarityRows]:
    if rows_from.id not in _open:
        _open.clear()
        _open[rows_from.id] = rows_from.open()
    return _open[rows_from.id]
