"""Heads for a source that is nothing but images: fixed features, and small networks trained on them.

What is computed goes to the cache piece by piece, so that a stopped build goes on where it was.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from functools import cached_property

from kernel_core.errors import DataError, StoreError
from kernel_core.machine import Machine, cores_allowed, give_back_memory
from kernel_core.networks.groups import Material, group_size
from kernel_core.networks.patches import compute_patches
from kernel_core.networks.training import refuse_untrainable
from kernel_core.networks.workers import Work, train_groups
from kernel_core.oddities import unusable_features
from kernel_core.progress import Progress
from kernel_core.recipes import PATCHES, Diverged, Training
from kernel_core.records import Ensemble, ExampleSet, Features
from kernel_core.results.entries import Entries
from kernel_core.results.trained_here import HeadEntries
from kernel_core.sources.features import load_features
from kernel_core.sources.source import FeatureSet
from kernel_core.spec import Split

log = logging.getLogger("kernel_core")


class Heads:
    """The heads of one source."""

    def __init__(
        self,
        entries: Entries,
        examples: Mapping[Split, ExampleSet],
        machine: Machine,
        progress: Progress,
    ) -> None:
        refuse_untrainable(examples)
        self.entries = HeadEntries(entries.keys, entries.store)
        self.examples, self.machine, self.progress = examples, machine, progress

    @cached_property
    def patches(self) -> FeatureSet:
        """The fixed features, in a file of the cache; computed if they are not there."""
        if self.entries.read_patches() is None:  # read whole, which notices damage
            self.entries.write_patches(
                compute_patches(PATCHES, self.examples, device=self.machine.device, progress=self.progress)
            )
        return self.entries.patches

    def trained(self, training: Training) -> tuple[Ensemble, Features]:
        """Return the ensemble, mapped from the cache, and run 0's features; train the runs that are missing.

        Raises `DataError` if the loss of a run goes to NaN, `StoreError` if the disk refuses.
        """
        size = group_size(training.recipe)
        group_count = -(-training.run_count // size)
        missing = [group for group in range(group_count) if self.entries.read_group(group) is None]
        if self.entries.read_features() is None:
            missing = sorted({0, *missing})
        if missing:
            self._train(training, missing, size)
        found = self.entries.read_ensemble()
        if found is None:
            raise StoreError(
                f"The networks trained for {self.entries.name} are not in the cache "
                f"{self.entries.store.root} any more. Run the command again."
            )
        return found

    def _train(self, training: Training, missing: list[int], size: int) -> None:
        """Train whole groups, as a run costs as much alone, and write each when it is done."""
        log.info(
            "%s has no ensemble: %d small networks are trained here, on features that take no training",
            self.entries.name,
            training.run_count,
        )
        groups = [list(range(group * size, (group + 1) * size)) for group in missing]
        if why := unusable_features(load_features(self.patches, tuple(self.examples))):
            raise DataError(
                f"The images of {self.entries.name} cannot be told apart: their patches {why}. Expected "
                "images that differ, of more than flat color. Look at them."
            )
        material = Material.for_heads(self.examples, self.patches)
        give_back_memory()
        trained = train_groups(
            Work(training.recipe, training.seed, material),
            groups,
            device=self.machine.device,
            workers=cores_allowed(),
            progress=self.progress,
        )
        with contextlib.closing(trained):
            for outcomes in trained:
                runs = []
                for run in outcomes:
                    if isinstance(run, Diverged):
                        raise DataError(
                            f"Run {run.run}: {run.reason}, which good images do not cause. Look at them, "
                            "and at the labels."
                        )
                    runs.append(run)
                self.entries.write_group(runs[0].run // size, runs)
