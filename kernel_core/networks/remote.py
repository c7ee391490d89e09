"""Groups of runs as tasks for other processes and machines, which are passed paths and read the files.

What is read is compared with its SHA-256, so that a machine with other files trains nothing.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kernel_core.checks import with_common_classes
from kernel_core.engines.engine import Engine
from kernel_core.engines.tasks import run_tasks
from kernel_core.ensembles.manifest import LABELS, fingerprints
from kernel_core.errors import DataError
from kernel_core.files import sha256_of
from kernel_core.machine import choose_device, one_thread
from kernel_core.networks.groups import Material
from kernel_core.networks.workers import Runs, Work
from kernel_core.progress import Progress, no_progress
from kernel_core.recipes import Recipe
from kernel_core.records import ExampleSet, no_images
from kernel_core.sources import images
from kernel_core.sources.image_ranges import absolute
from kernel_core.sources.source import FeatureSet, ImagesFrom
from kernel_core.spec import SPLITS, Split
from kernel_core.tensor_files import read_arrays


@dataclass(frozen=True)
class ImageFiles:
    """Labeled images to train on, by their paths. examples: split → their number and SHA-256."""

    source: ImagesFrom
    examples: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, source: ImagesFrom, examples: Mapping[str, Mapping[str, Any]]) -> ImageFiles:
        """Name images by paths that other processes understand too; source: with a size, as `with_size`."""
        return cls(absolute(source), examples)

    def material(self) -> Material:
        """Read the images. Raises `DataError` if they are missing, or others."""
        examples = with_common_classes(images.load_splits(self.source))
        for split, found in fingerprints(examples).items():
            expected = self.examples[split]
            if found != expected:
                raise DataError(
                    f"the {split} images are {found['count']:,} with SHA-256 {found['sha256'][:12]}…; "
                    f"expected {expected['count']:,} with {expected['sha256'][:12]}…. Copy them there."
                )
        return Material(examples)


@dataclass(frozen=True)
class FeatureFiles:
    """Fixed features and labels to train heads on, by their paths. hashes: file → SHA-256."""

    features: FeatureSet
    labels: Path
    class_names: tuple[str, ...]
    hashes: Mapping[Path, str]

    @classmethod
    def of(cls, features: FeatureSet, folder: Path, class_names: Sequence[str]) -> FeatureFiles:
        """Name features, and the labels that a writer has put into an ensemble's folder."""
        files = {split: _absolute(path) for split, path in features.files.items()}
        labels = _absolute(folder / LABELS)
        hashes = {path: sha256_of(path) for path in (*files.values(), labels)}
        return cls(replace(features, files=files), labels, tuple(class_names), hashes)

    def material(self) -> Material:
        """Read the labels; features are mapped later. Raises `DataError` if files are missing, or others."""
        for path, expected in self.hashes.items():
            try:
                found = sha256_of(path)
            except OSError as error:
                raise DataError(
                    f"{path} cannot be read ({error.strerror or error}). Put it there, under the same path."
                ) from None
            if found != expected:
                raise DataError(
                    f"{path} is another file: SHA-256 {found[:12]}…, not {expected[:12]}…. Copy it there."
                )
        labels = read_arrays(self.labels)[0]
        examples: dict[Split, ExampleSet] = {
            split: ExampleSet(split, no_images(len(labels[split])), labels[split], self.class_names)
            for split in SPLITS
            if split in labels
        }
        return Material(examples, self.features)


@dataclass(frozen=True)
class RemoteWork:
    """Everything that another machine needs to train a group of runs; a call trains one.

    device: cpu or cuda, where the group is trained. checkpoints: the first N runs bring their weights.
    """

    recipe: Recipe
    seed: int
    files: ImageFiles | FeatureFiles
    device: str = "cpu"
    checkpoints: int = 0

    def __call__(self, group: Sequence[int]) -> Runs:
        """Train a group of runs as `Work.train` does, in one thread.

        Raises `DataError` if this machine lacks the files or has others, `Unavailable` if it has no such
        device.
        """
        device, material = choose_device(self.device), _material(self.files)
        with one_thread():
            work = Work(self.recipe, self.seed, material, self.checkpoints)
            return work.train(group, device, no_progress)


def train_on_engine(
    work: RemoteWork, groups: list[list[int]], engine: Engine, gpus: float, progress: Progress
) -> Generator[Runs]:
    """Train groups of runs on an engine, yielding each group's once they are trained; the order is not fixed.

    gpus: how many GPUs a group is given; parts of 1 share one. Raises as `run_tasks` does.
    """
    step = f"training {sum(map(len, groups))} runs"
    for _number, runs in run_tasks(work, groups, engine, progress, step=step, gpus=gpus):
        yield runs


_read: tuple[ImageFiles | FeatureFiles, Material] | None = None  # what this process trained on last


def _material(files: ImageFiles | FeatureFiles) -> Material:
    """Read what to train on, unless this process has just done so: one worker trains many groups."""
    global _read
    if _read is None or _read[0] != files:
        _read = None
        _read = files, files.material()
    return _read[1]


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))
