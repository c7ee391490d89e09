"""Groups of runs: those that are trained together, so that a run is the same however many are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from kernel_core.networks import cnn, heads, mlp
from kernel_core.progress import Progress
from kernel_core.recipes import Diverged, HeadsRecipe, MlpRecipe, Recipe, TrainedRun
from kernel_core.records import ExampleSet, no_images
from kernel_core.sources.features import load_features
from kernel_core.sources.source import FeatureSet
from kernel_core.spec import Split

Examples = Mapping[Split, ExampleSet]
PARTS = 1000  # per run, for progress


@dataclass(frozen=True, eq=False)
class Material:
    """What runs are trained on: labeled images or, for heads, labels and the files of fixed features.

    Features are named and not held, so that each process can map them.
    """

    examples: Examples
    features: FeatureSet | None = None

    @classmethod
    def for_heads(cls, examples: Examples, features: FeatureSet) -> Material:
        """Return what heads are trained on, without the images."""
        labels = {
            split: replace(of_split, images=no_images(len(of_split))) for split, of_split in examples.items()
        }
        return cls(labels, features)


def group_size(recipe: Recipe) -> int:
    """Return how many runs of a recipe are trained together."""
    return {MlpRecipe: mlp.GROUP, HeadsRecipe: heads.GROUP}.get(type(recipe), 1)


def groups_of(recipe: Recipe, run_numbers: Iterable[int]) -> list[list[int]]:
    """Split runs into the groups that are trained together, in ascending order.

    >>> groups_of(MlpRecipe((8,), 1, 8, 0.1, 0.1), [0, 1, 64])
    [[0, 1], [64]]
    """
    size = group_size(recipe)
    groups: dict[int, list[int]] = {}
    for run in sorted(run_numbers):
        groups.setdefault(run // size, []).append(run)
    return list(groups.values())


def train_group(
    recipe: Recipe,
    material: Material,
    run_numbers: Sequence[int],
    seed: int,
    device: torch.device,
    progress: Progress,
) -> list[TrainedRun | Diverged]:
    """Train the runs of one group, and compute each network's outputs for every example."""
    if isinstance(recipe, HeadsRecipe):
        return _train_heads(recipe, material, run_numbers, seed, device, progress)
    if isinstance(recipe, MlpRecipe):
        return mlp.train_runs(recipe, material.examples, run_numbers, seed, device=device, progress=progress)
    return cnn.train_runs(recipe, material.examples, run_numbers, seed, device=device, progress=progress)


def _train_heads(
    recipe: HeadsRecipe,
    material: Material,
    run_numbers: Sequence[int],
    seed: int,
    device: torch.device,
    progress: Progress,
) -> list[TrainedRun | Diverged]:
    assert material.features is not None
    features = load_features(material.features, tuple(material.examples)).values
    labels = {split: of_split.labels for split, of_split in material.examples.items()}
    class_count = len(material.examples["train"].class_names)
    return heads.train_runs(
        recipe, features, labels, class_count, run_numbers, seed, device=device, progress=progress
    )


def share_of(progress: Progress, step: str, *, start: int, length: int, whole: int) -> Progress:
    """Return a `Progress` for a share of a longer step: from `start` to `start + length` of `whole` parts."""
    return lambda _, done, total: progress(step, start + length * done // total, whole)
