"""Training groups of runs, in this process or in several at once."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event

import torch

from kernel_core.errors import DataError
from kernel_core.networks.groups import PARTS, Material, share_of, train_group
from kernel_core.progress import Progress
from kernel_core.recipes import Diverged, Recipe, TrainedRun

Runs = list[TrainedRun | Diverged]
"""Those of one group."""


@dataclass(frozen=True, eq=False)
class Work:
    """Everything that a process needs to train runs. checkpoints: the first N runs bring their weights."""

    recipe: Recipe
    seed: int
    material: Material
    checkpoints: int = 0

    def train(self, group: Sequence[int], device: torch.device, progress: Progress) -> Runs:
        """Train a group of runs; features are kept of run 0 alone."""
        runs = train_group(self.recipe, self.material, group, self.seed, device, progress)
        return [run if isinstance(run, Diverged) else self._kept(run) for run in runs]

    def _kept(self, run: TrainedRun) -> TrainedRun:
        return replace(
            run,
            features=run.features if run.run == 0 else {},
            weights=run.weights if run.run < self.checkpoints else {},
        )


def train_groups(
    work: Work, groups: list[list[int]], *, device: torch.device, workers: int, progress: Progress
) -> Generator[Runs]:
    """Train groups of runs, yielding each group's once they are trained; the order is not fixed.

    workers: number of processes on a CPU; the results do not depend on it.
    Raises `DataError` if a process dies.
    """
    if device.type == "cpu":
        return train_in_processes(work, groups, workers, progress)
    return train_here(work, groups, device, progress)


def train_here(
    work: Work, groups: list[list[int]], device: torch.device, progress: Progress
) -> Generator[Runs]:
    """Train the groups one after another in this process."""
    step, whole = _step(groups), len(groups) * PARTS
    for i, group in enumerate(groups):
        yield work.train(group, device, share_of(progress, step, start=i * PARTS, length=PARTS, whole=whole))


def train_in_processes(
    work: Work, groups: list[list[int]], workers: int, progress: Progress
) -> Generator[Runs]:
    """Train the groups in several processes of one thread each."""
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    signals = _Signals(context.Value("d", 0.0), context.Event())
    pool = futures.ProcessPoolExecutor(
        max(1, min(workers, len(groups))), context, initializer=_start_worker, initargs=(work, signals)
    )
    try:
        with _caller_not_run_again():
            waiting = {pool.submit(_train_in_worker, group) for group in groups}
        while waiting:
            finished, waiting = futures.wait(waiting, timeout=0.5, return_when=futures.FIRST_COMPLETED)
            progress(_step(groups), int(signals.done.value * PARTS), len(groups) * PARTS)
            for future in finished:
                yield future.result()
    except BrokenProcessPool:
        raise DataError(
            "A training process ended unexpectedly, perhaps because memory ran out. The finished runs are "
            "kept; run the same command again with fewer --workers."
        ) from None
    finally:
        signals.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _caller_not_run_again() -> Iterator[None]:
    """Keep processes that start now from importing the script that runs this one.

    It has nothing that they need. Without `if __name__ == "__main__"` it would build again in each of them,
    and wait for this process, which waits for them.
    """
    main = sys.modules["__main__"]
    kept = {name: getattr(main, name) for name in ("__file__", "__spec__") if hasattr(main, name)}
    for name in kept:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(main, name, value)


def _step(groups: list[list[int]]) -> str:
    return f"training {sum(map(len, groups))} runs"


@dataclass(frozen=True, eq=False)
class _Signals:
    """Values that the processes share. done: groups trained so far, a fraction. stop: set to end training."""

    done: Synchronized[float]
    stop: Event


class _Stopped(Exception):
    """Raised in a worker to end its training early."""


_task: tuple[Work, _Signals] | None = None  # set in worker processes only


def _start_worker(work: Work, signals: _Signals) -> None:
    """Prepare a worker process: one thread, no reaction to Ctrl-C, and an end when its parent ends."""
    global _task
    _task = work, signals
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it, and sets the signal to stop
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()


def _train_in_worker(group: Sequence[int]) -> Runs:
    assert _task is not None
    work, signals = _task

    def progress(_: str, _done: int, total: int) -> None:
        if signals.stop.is_set():
            raise _Stopped
        with signals.done.get_lock():
            signals.done.value += 1 / total

    return work.train(group, torch.device("cpu"), progress)
