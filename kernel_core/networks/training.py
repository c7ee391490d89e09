"""Ensembles trained here: in memory, or run by run into a folder, where training can be resumed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import numpy.typing as npt
import torch

from kernel_core import checks
from kernel_core.checks import with_common_classes
from kernel_core.engines.engine import LOCAL, Engine
from kernel_core.ensembles.manifest import Identity, fingerprints, refuse_other_ensemble
from kernel_core.ensembles.writer import EnsembleWriter
from kernel_core.errors import DataError, RequestError, Unavailable
from kernel_core.machine import choose_device, cores_allowed, one_thread
from kernel_core.networks.fixed_features import FixedFeatures
from kernel_core.networks.groups import PARTS, Examples, Material, groups_of, share_of, train_group
from kernel_core.networks.kept_weights import WeightFiles
from kernel_core.networks.remote import FeatureFiles, ImageFiles, RemoteWork, train_on_engine
from kernel_core.networks.workers import Runs, Work, train_groups
from kernel_core.progress import Progress, no_progress
from kernel_core.recipes import Diverged, Recipe, TrainedRun, Training, as_json
from kernel_core.records import Ensemble, Features
from kernel_core.sources import images
from kernel_core.sources.inventory import count_classes
from kernel_core.sources.source import ImagesFrom
from kernel_core.spec import SPLITS, Split

LOCK = ".training.lock"

Outcome = tuple[int, float | str]
"""The number of a run, and its accuracy on the test split or the reason why it was dropped."""


def train_in_memory(
    training: Training, examples: Examples, progress: Progress = no_progress
) -> tuple[Ensemble, Features]:
    """Train all runs of an ensemble and keep them in memory; return the ensemble and run 0's features.

    Raises `DataError` if a run's loss goes to NaN.
    """
    trained: list[TrainedRun] = []
    step, whole = f"training {training.run_count} networks", training.run_count * PARTS
    for group in groups_of(training.recipe, range(training.run_count)):
        group_progress = share_of(
            progress, step, start=len(trained) * PARTS, length=len(group) * PARTS, whole=whole
        )
        with one_thread():
            outcomes = train_group(
                training.recipe, Material(examples), group, training.seed, torch.device("cpu"), group_progress
            )
        for outcome in outcomes:
            if isinstance(outcome, Diverged):
                raise DataError(
                    f"Run {outcome.run} of {training.run_count}: {outcome.reason}. Lower the recipe's "
                    "learning rate."
                )
            trained.append(outcome)
    logits: dict[Split, npt.NDArray[np.float16]] = {
        split: np.stack([run.logits[split] for run in trained]) for split in SPLITS
    }
    features = Features(trained[0].features, layer=training.recipe.layer, run="0")
    return Ensemble(("the ensemble trained here",), (logits,)), features


def train_features(
    recipe: Recipe,
    examples: Examples,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = no_progress,
) -> Features:
    """Train run 0 of a recipe; return its penultimate features.

    Raises `DataError` if its loss goes to NaN.
    """
    refuse_untrainable(examples)
    (run,) = train_group(recipe, Material(examples), [0], seed, choose_device(device), progress)
    if isinstance(run, Diverged):
        raise DataError(f"The network for the features failed: {run.reason}. Try another --seed.")
    return Features(run.features, layer=recipe.layer, run=f"seed {seed}")


@dataclass(frozen=True)
class Trained:
    """An ensemble in a folder.

    source: its `source.toml`.
    run_numbers: the runs in it.
    dropped: the number of each run that failed → the reason.
    """

    source: Path
    run_numbers: tuple[int, ...]
    dropped: Mapping[int, str]


@dataclass(frozen=True)
class Order:
    """A request to train runs into a folder.

    name: of the recipe, for the folder's manifest.
    workers: number of processes on a CPU; None for one per core.
    features: those that heads are trained on; None for other recipes.
    engine: what trains the runs. On Ray, the device is that of what else is computed here.
    gpus: on Ray, how many GPUs a group of runs is given; 0 to train on a CPU core.
    checkpoints: of the first N runs, the trained weights are kept too.
    """

    name: str
    training: Training
    images: ImagesFrom
    folder: Path
    device: str = "auto"
    workers: int | None = None
    features: FixedFeatures | None = None
    engine: Engine = LOCAL
    gpus: float = 0.0
    checkpoints: int = 0


def train_folder(
    order: Order,
    *,
    progress: Progress = no_progress,
    finished: Callable[[list[Outcome]], None] = lambda _: None,
) -> Trained:
    """Train the runs that a folder lacks, and write its `source.toml`.

    A run that is there without the weights that are to be kept is trained again, and must have the same
    logits.

    finished: called with the outcomes of each group of runs once they are in the folder.

    Runs that are finished survive a kill at any moment; the same order then resumes with the others. Raises
    `RequestError` for fewer than two runs, if the folder is of another recipe, seed or images, or if another
    process is training into it; `DataError` for images that cannot be trained on, or a run with other logits
    than before; `StoreError` if the disk is full.
    """
    training, device = order.training, choose_device(order.device)
    _refuse_counts(order)
    examples = with_common_classes(images.load_splits(order.images, progress))
    refuse_untrainable(examples, of_images=order.features is None or order.features.of_images)
    if order.features is not None:
        order.features.check(order.folder, examples, images.remarks_on(order.images))
    with _open_writer(order, examples) as writer, _only_trainer(order.folder):
        known = set(writer.runs)
        features = order.features.set.name if order.features else ""
        weights = WeightFiles(order.folder, order.name, writer.identity.made_by or {}, features)
        missing = set(range(training.run_count)) - known - set(writer.dropped)
        missing |= weights.lacking(known, order.checkpoints)
        material = _material(order, examples, device, progress)
        del examples  # heads need the images no more
        groups = groups_of(training.recipe, missing)
        runs = _trained(order, material, writer.identity, groups, device=device, progress=progress)
        with contextlib.closing(runs):  # after an error, the processes end now and not some time later
            for of_group in runs:
                finished(_keep(writer, weights, of_group, known))
    return Trained(order.folder / "source.toml", writer.runs, writer.dropped)


def _trained(
    order: Order,
    material: Material,
    identity: Identity,
    groups: list[list[int]],
    *,
    device: torch.device,
    progress: Progress,
) -> Generator[Runs]:
    """Train groups of runs, here or on Ray, yielding each group's once they are trained."""
    recipe, seed = order.training.recipe, order.training.seed
    if not order.engine.is_ray or not groups:
        work = Work(recipe, seed, material, order.checkpoints)
        workers = order.workers or cores_allowed()
        return train_groups(work, groups, device=device, workers=workers, progress=progress)
    files: ImageFiles | FeatureFiles
    if material.features is not None:
        files = FeatureFiles.of(material.features, order.folder, identity.class_names)
    else:
        files = ImageFiles.of(images.with_size(order.images, progress), identity.examples)
    remote = RemoteWork(recipe, seed, files, "cuda" if order.gpus else "cpu", order.checkpoints)
    return train_on_engine(remote, groups, order.engine, order.gpus, progress)


def _refuse_counts(order: Order) -> None:
    """Raise `RequestError` for fewer than two runs, no worker, or more checkpoints than runs."""
    run_count, workers = order.training.run_count, order.workers
    if order.checkpoints > run_count:
        raise RequestError(
            f"--checkpoints is {order.checkpoints}, but {run_count} runs were requested; ask for at most as "
            "many."
        )
    if run_count < 2:
        raise RequestError(
            f"{run_count} run(s) were requested, but the kernel correlates over runs; ask for 2 or more."
        )
    if workers is not None and workers < 1:
        raise RequestError(f"{workers} workers were requested; ask for 1 or more.")


def _material(order: Order, examples: Examples, device: torch.device, progress: Progress) -> Material:
    if order.features is None:
        return Material(examples)
    features = order.features.stored(
        order.folder, examples, device=device, workers=order.workers, progress=progress
    )
    return Material.for_heads(examples, features)


def _keep(writer: EnsembleWriter, weights: WeightFiles, runs: Runs, known: set[int]) -> list[Outcome]:
    """Add trained runs to the folder, or note there that one was dropped; return each one's outcome.

    known: the runs that were there before, of which only the weights are kept.
    """
    outcomes: list[Outcome] = []
    for run in runs:
        if run.run in known:
            weights.refuse_other(run)
        if isinstance(run, Diverged):
            writer.drop(run.run, run.reason)
            outcomes.append((run.run, run.reason))
            continue
        weights.write(run)  # first: a run that is there has its weights, also after a kill
        if run.run not in known:
            writer.add(
                run.run,
                logits=run.logits,
                features=run.features or None,
                accuracy=run.accuracy,
                trained_on=run.trained_on,
            )
        outcomes.append((run.run, run.accuracy))
    return outcomes


def _open_writer(order: Order, examples: Examples) -> EnsembleWriter:
    recipe, features = order.training.recipe, order.features
    made_by: dict[str, Any] = {
        "recipe": {"name": order.name, **as_json(recipe)},
        "seed": order.training.seed,
    }
    if features is not None:
        made_by["features"] = dict(features.made_by)
    writer = EnsembleWriter(
        order.folder,
        images=order.images,
        layer=recipe.layer,
        feature_sets=[features.placed(order.folder)] if features else [],
        made_by=made_by,
    )
    refuse_other_ensemble(order.folder, writer.identity, Identity(examples=fingerprints(examples)))
    return writer


def refuse_untrainable(examples: Examples, *, of_images: bool = True) -> None:
    """Raise `DataError` for no images, or as `checks.refuse_untrainable`.

    of_images: whether it takes images to train.
    """
    if of_images and not examples["train"].has_images:
        raise DataError("There are labels alone; a network needs images to train on. Name some in [images].")
    train = examples["train"]
    checks.refuse_untrainable(count_classes(train.labels, train.class_names), train.noun)


@contextlib.contextmanager
def _only_trainer(folder: Path) -> Iterator[None]:
    """Keep other processes from training into the folder; if this process dies, the system lifts the lock."""
    try:
        lock = filelock.FileLock(folder / LOCK).acquire(timeout=0)
    except filelock.Timeout:
        raise Unavailable(
            f"Another process is training into {folder}. Wait for it, stop it, or choose another --out."
        ) from None
    with lock:
        yield
