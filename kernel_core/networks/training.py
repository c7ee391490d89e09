"""An ensemble trained here: run by run into a folder, on every core or on a GPU, stopped and gone on with at will."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch

from kernel_core.checks import alike
from kernel_core.ensembles.manifest import Identity, fingerprints, refuse_other_ensemble
from kernel_core.ensembles.writer import EnsembleWriter
from kernel_core.errors import DataError, RequestError
from kernel_core.machine import choose_device, cores_allowed, one_thread
from kernel_core.networks import cnn, mlp
from kernel_core.progress import Progress, no_progress
from kernel_core.recipes import Diverged, MlpRecipe, Recipe, TrainedRun, Training, as_json
from kernel_core.records import Ensemble, ExampleSet, Features
from kernel_core.sources import images
from kernel_core.sources.source import ImagesFrom
from kernel_core.spec import SPLITS, Split

LOCK = ".training.lock"
PARTS = 1000  # of a run, in which progress is counted
Examples = Mapping[Split, ExampleSet]
Outcome = tuple[int, float | str]
"""A run, and its accuracy on the test split or why it was dropped."""


def train_runs(
    recipe: Recipe,
    examples: Examples,
    runs: Sequence[int],
    seed: int,
    device: torch.device,
    progress: Progress = no_progress,
) -> list[TrainedRun | Diverged]:
    """Train these runs, which lie in one group, and see what each says of every example."""
    if isinstance(recipe, MlpRecipe):
        return mlp.train_runs(recipe, examples, runs, seed, device=device, progress=progress)
    return cnn.train_runs(recipe, examples, runs, seed, device=device, progress=progress)


def groups_of(recipe: Recipe, runs: Sequence[int]) -> list[list[int]]:
    """The runs, rising, cut into groups that are trained together.

    >>> groups_of(MlpRecipe((8,), 1, 8, 0.1, 0.1), [0, 1, 64])
    [[0, 1], [64]]
    """
    size = mlp.GROUP if isinstance(recipe, MlpRecipe) else 1
    found: dict[int, list[int]] = {}
    for run in sorted(runs):
        found.setdefault(run // size, []).append(run)
    return list(found.values())


def train_in_memory(
    training: Training, examples: Examples, progress: Progress = no_progress
) -> tuple[Ensemble, Features]:
    """All runs of a training, kept in memory: their ensemble, and run 0's features.

    Raises `DataError` if a run's loss goes to NaN.
    """
    found: list[TrainedRun] = []
    step, whole = f"training {training.run_count} networks", training.run_count * PARTS
    for group in groups_of(training.recipe, range(training.run_count)):
        done, weight = len(found) * PARTS, len(group) * PARTS

        def told(_: str, steps: int, total: int, done: int = done, weight: int = weight) -> None:
            progress(step, done + weight * steps // total, whole)

        with one_thread():
            runs = train_runs(training.recipe, examples, group, training.seed, torch.device("cpu"), told)
        for run in runs:
            if isinstance(run, Diverged):
                raise DataError(
                    f"Run {run.run} of {training.run_count}: {run.why}. Lower the recipe's learning rate."
                )
            found.append(run)
    logits: dict[Split, Any] = {split: np.stack([run.logits[split] for run in found]) for split in SPLITS}
    features = Features(found[0].features, layer=training.recipe.layer, run="0")
    return Ensemble(("the ensemble trained here",), (logits,)), features


def train_features(
    recipe: Recipe,
    examples: Examples,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = no_progress,
) -> Features:
    """Penultimate features of one network, run 0 of a recipe. Raises `DataError` if its loss goes to NaN."""
    refuse_untrainable(examples)
    (run,) = train_runs(recipe, examples, [0], seed, choose_device(device), progress)
    if isinstance(run, Diverged):
        raise DataError(f"The network for the features was not kept: {run.why}. Try another --seed.")
    return Features(run.features, layer=recipe.layer, run=f"seed {seed}")


@dataclass(frozen=True)
class Trained:
    """An ensemble in a folder: its `source.toml`, the runs that are in it, and those that came to nothing, and why."""

    source: Path
    runs: tuple[int, ...]
    dropped: Mapping[int, str]


@dataclass(frozen=True)
class Order:
    """What is to be trained into a folder: a recipe's name and numbers, the runs, the images, and where."""

    name: str
    training: Training
    images: ImagesFrom
    folder: Path
    device: str = "auto"
    workers: int | None = None  # processes on a CPU; None for one a core


def train_folder(
    order: Order, *, progress: Progress = no_progress, finished: Callable[[Outcome], None] = lambda _: None
) -> Trained:
    """Train the runs that a folder lacks, and finish it.

    finished: told of each run when it is in the folder. Killed at any moment, the folder holds the runs finished
    until then, and the same order goes on. Raises `RequestError` if the folder is of another recipe, seed or images,
    if another process trains into it, or for fewer than two runs; `DataError` for images that cannot be trained on;
    `StoreError` if the disk is full.
    """
    training, device = order.training, choose_device(order.device)
    if training.run_count < 2:
        raise RequestError(
            f"{training.run_count} run(s) were asked for; the kernel correlates over runs: ask for 2 or more."
        )
    if order.workers is not None and order.workers < 1:
        raise RequestError(f"{order.workers} workers were asked for; ask for 1 or more.")
    examples = alike({split: images.load_examples(order.images, split, progress) for split in SPLITS})
    refuse_untrainable(examples)
    with _writer(order, examples) as writer, _alone(order.folder):
        wanted = set(range(training.run_count)) - set(writer.runs) - set(writer.dropped)
        work = _Work(training.recipe, training.seed, examples, order.folder)
        groups = groups_of(training.recipe, sorted(wanted))
        if device.type == "cpu":
            outcomes = _crew(work, groups, order.workers or cores_allowed(), progress)
        else:
            outcomes = _here(work, groups, device, progress)
        for outcome in outcomes:
            finished(outcome)
    return Trained(order.folder / "source.toml", writer.runs, writer.dropped)


def _writer(order: Order, examples: Examples) -> EnsembleWriter:
    recipe = order.training.recipe
    made_by = {"recipe": {"name": order.name, **as_json(recipe)}, "seed": order.training.seed}
    writer = EnsembleWriter(order.folder, images=order.images, layer=recipe.layer, made_by=made_by)
    refuse_other_ensemble(order.folder, writer.identity, Identity(examples=fingerprints(examples)))
    return writer


def refuse_untrainable(examples: Examples) -> None:
    """Raise `DataError` for fewer than two classes, or a class without training examples."""
    names = examples["train"].class_names
    if len(names) < 2:
        raise DataError(f"There is one class, {', '.join(names)}; a classifier needs 2 or more.")
    counts = np.bincount(examples["train"].labels, minlength=len(names))
    empty = [name for name, count in zip(names, counts, strict=True) if not count]
    if empty:
        shown = ", ".join(empty[:5]) + (", …" if len(empty) > 5 else "")
        raise DataError(
            f"{len(empty)} of {len(names)} classes have no training examples ({shown}); expected at least one each. "
            "Add some, or take the class away."
        )


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process trains into the folder meanwhile; the system lets go of it if we die."""
    try:
        lock = filelock.FileLock(folder / LOCK).acquire(timeout=0)
    except filelock.Timeout:
        raise RequestError(
            f"Another process is training into {folder}; wait for it or stop it, or name another --out."
        ) from None
    with lock:
        yield


@dataclass(frozen=True, eq=False)
class _Work:
    """What a process needs to train runs into a folder."""

    recipe: Recipe
    seed: int
    examples: Examples
    folder: Path

    def do(self, group: Sequence[int], device: torch.device, progress: Progress) -> list[Outcome]:
        """Train a group of runs, and write each to the folder, or that it was dropped."""
        writer, outcomes = EnsembleWriter(self.folder), list[Outcome]()
        for run in train_runs(self.recipe, self.examples, group, self.seed, device, progress):
            if isinstance(run, Diverged):
                writer.drop(run.run, run.why)
                outcomes.append((run.run, run.why))
            else:
                features = run.features if run.run == 0 else None
                writer.add(run.run, logits=run.logits, features=features, accuracy=run.accuracy)
                outcomes.append((run.run, run.accuracy))
        return outcomes


def _here(
    work: _Work, groups: list[list[int]], device: torch.device, progress: Progress
) -> Iterator[Outcome]:
    """Train the groups in this process, one after the other."""
    step, whole = f"training {sum(map(len, groups))} runs", len(groups) * PARTS
    for i, group in enumerate(groups):

        def told(_: str, done: int, steps: int, before: int = i * PARTS) -> None:
            progress(step, before + PARTS * done // steps, whole)

        yield from work.do(group, device, told)


class _Shared:
    """What the processes of a crew tell each other: how much is done, and that all are to stop."""

    def __init__(self, context: multiprocessing.context.SpawnContext) -> None:
        self.done, self.stop = context.Value("d", 0.0), context.Event()


class _Stopped(Exception):
    """Raised in a worker that is to stop."""


def _crew(work: _Work, groups: list[list[int]], workers: int, progress: Progress) -> Iterator[Outcome]:
    """Train the groups in so many processes of one thread each, whose number the results do not depend on."""
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    shared = _Shared(context)
    step, whole = f"training {sum(map(len, groups))} runs", len(groups) * PARTS
    pool = futures.ProcessPoolExecutor(
        max(1, min(workers, len(groups))),
        context,
        initializer=_begin,
        initargs=(work, shared.done, shared.stop),
    )
    try:
        waiting = {pool.submit(_do, group) for group in groups}
        while waiting:
            finished, waiting = futures.wait(waiting, timeout=0.5, return_when=futures.FIRST_COMPLETED)
            progress(step, int(shared.done.value * PARTS), whole)
            for future in finished:
                yield from future.result()
    except BrokenProcessPool:
        raise DataError(
            "A training process ended unexpectedly, perhaps for want of memory; the finished runs are kept. Run the "
            "same command again, with fewer --workers."
        ) from None
    finally:
        shared.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


_in_worker: dict[
    str, Any
] = {}  # of a worker process: its _Work, the share that is done, and the sign to stop


def _begin(work: _Work, done: Any, stop: Any) -> None:
    """Prepare a worker: one thread, deaf to Ctrl-C, and gone when its parent is."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and tells
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    _in_worker.update(work=work, done=done, stop=stop)


def _do(group: Sequence[int]) -> list[Outcome]:
    """Train a group in a worker."""

    def told(_: str, step: int, steps: int) -> None:
        if _in_worker["stop"].is_set():
            raise _Stopped
        with _in_worker["done"].get_lock():
            _in_worker["done"].value += 1 / steps

    outcomes: list[Outcome] = _in_worker["work"].do(group, torch.device("cpu"), told)
    return outcomes
