"""The cache entries of an ensemble trained here, and of the features that come with it.

Digits have one entry for all. Heads have one of their fixed features, and one per split of each group of
runs: a build that is stopped goes on where it was, and more runs add to those that are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.recipes import TrainedRun, Training
from kernel_core.records import Ensemble, Features
from kernel_core.results.keys import Content, Keys
from kernel_core.results.store import Store, key_of
from kernel_core.similarities import PATCHES
from kernel_core.sources.source import FeatureSet, patches
from kernel_core.spec import Split

BySplit = Mapping[Split, npt.NDArray[Any]]


class HeadEntries:
    """The cache entries of heads that are trained here. Writing raises `StoreError` if the disk refuses."""

    def __init__(self, keys: Keys, store: Store) -> None:
        training = keys.source.logits
        assert isinstance(training, Training)
        self.name, self.store, self.splits = keys.source.name, store, keys.source.images.splits
        self.training = training
        self._patches = key_of({"kind": "features", "of": keys.inputs[PATCHES]})
        self._heads: Content = {
            "kind": "heads",
            "recipe": asdict(training.recipe),
            "seed": training.seed,
            "on": keys.inputs[PATCHES],
        }

    def _key(self, **part: Any) -> str:
        return key_of({**self._heads, **part})

    def read_patches(self) -> dict[str, npt.NDArray[Any]] | None:
        """Return the fixed features by split, float16 (N, D), or None if they are not in the cache."""
        entry = self.store.read("features", self._patches)
        return entry and entry[0]

    @property
    def patches(self) -> FeatureSet:
        """The fixed features as a file, whether or not it is there."""
        return patches(self.store.path("features", self._patches))

    def write_patches(self, values: BySplit) -> None:
        """Write the fixed features."""
        about = f"{self.name}: patches of {sum(map(len, values.values())):,} images"
        self.store.write("features", self._patches, {str(s): of for s, of in values.items()}, {}, about=about)

    def read_features(self) -> dict[str, npt.NDArray[Any]] | None:
        """Return run 0's features by split, (N, hidden), or None if they are not in the cache."""
        entry = self.store.read("trained", self._key(run=0))
        return entry and entry[0]

    def read_group(self, group: int) -> dict[Split, npt.NDArray[np.float16]] | None:
        """Return a group's logits by split, mapped (runs, N, C), or None if they are not all there."""
        found: dict[Split, npt.NDArray[np.float16]] = {}
        for split in self.splits:
            logits = self.store.map("trained", self._key(group=group, split=split), "logits")
            if logits is None:
                return None
            assert isinstance(logits, np.memmap)
            # Mapped again, privately instead of read-only, of which torch warns.
            name, shape = str(logits.filename), logits.shape
            found[split] = np.memmap(name, np.float16, "c", logits.offset, shape)
        return found

    def read_ensemble(self) -> tuple[Ensemble, Features] | None:
        """Return the runs asked for, mapped, and run 0's features, or None if they are not all there."""
        features, parts = self.read_features(), list[dict[Split, npt.NDArray[np.float16]]]()
        names, count = list[str](), 0
        while count < self.training.run_count:
            part = self.read_group(len(parts))
            if part is None or features is None:
                return None
            size = len(part[self.splits[0]])
            names.append(f"heads {count + 1} to {count + size}")
            parts, count = [*parts, part], count + size
        values = {split: features[split] for split in self.splits} if features else {}
        ensemble = Ensemble(tuple(names), tuple(parts)).first(self.training.run_count)
        return ensemble, Features(values, self.training.recipe.layer, run="0")

    def write_group(self, group: int, runs: list[TrainedRun]) -> None:
        """Write a whole group of runs."""
        if not group:
            (features,) = (run.features for run in runs if run.run == 0)
            arrays = {str(split): values for split, values in features.items()}
            self.store.write(
                "trained", self._key(run=0), arrays, {}, about=f"{self.name}: features of the first head"
            )
        about = f"{self.name}: heads {runs[0].run + 1} to {runs[-1].run + 1}"
        for split in self.splits:
            logits = np.stack([run.logits[split] for run in runs])
            key = self._key(group=group, split=split)
            self.store.write("trained", key, {"logits": logits}, {}, about=f"{about}, {split}")


def features_trained_here(keys: Keys, store: Store, of: str) -> dict[str, npt.NDArray[Any]] | None:
    """Return features that come with an ensemble trained here, by split; None if they are not in the cache.

    of: `similarities.PENULTIMATE` or `PATCHES`.
    """
    training = keys.source.logits
    assert isinstance(training, Training)
    if training.of_heads:
        entries = HeadEntries(keys, store)
        return entries.read_patches() if of == PATCHES else entries.read_features()
    entry = store.read("trained", keys.trained or "")
    return entry and {str(split): entry[0][f"{split}_features"] for split in keys.source.images.splits}
