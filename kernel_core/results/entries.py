"""Write what a build computes to the cache, entry by entry; `results` reads it back."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.errors import DataError
from kernel_core.findings.map_layout import Map
from kernel_core.records import Ensemble, Features, Neighbors
from kernel_core.results.keys import Keys
from kernel_core.results.store import Arrays, Store
from kernel_core.spec import SPLITS, KernelSpec, Split
from kernel_core.tensor_files import DAMAGE, ArrayWriter, read_metadata
from kernel_core.tensor_layout import Form

MOMENTS = "mean and norm, float32"  # what an entry of moments holds; part of its key


def spec_of_entry(path: Path) -> KernelSpec | None:
    """Return the spec in the metadata of an entry; None if it cannot be read, which its reader finds out."""
    try:
        return KernelSpec.from_json(json.loads(read_metadata(path)["entry"])["meta"]["spec"])
    except (DataError, *DAMAGE):
        return None


class Entries:
    """The cache entries of one source, under its keys. Writing raises `StoreError` if the disk refuses."""

    def __init__(self, keys: Keys, store: Store) -> None:
        self.keys, self.store = keys, store

    def read_trained(self) -> tuple[Ensemble, Features] | None:
        """Return the ensemble trained here and its features, or None if they are not in the cache."""
        assert self.keys.trained is not None
        entry = self.store.read("trained", self.keys.trained)
        if entry is None:
            return None
        arrays, meta = entry
        logits = {split: arrays[f"{split}_logits"] for split in SPLITS}
        features = Features({split: arrays[f"{split}_features"] for split in SPLITS}, **meta)
        return Ensemble(("the ensemble trained here",), (logits,)), features

    def write_trained(self, ensemble: Ensemble, features: Features) -> None:
        """Write an ensemble trained here, held in one part, and its features."""
        assert self.keys.trained is not None
        arrays = {f"{split}_logits": np.asarray(logits) for split, logits in ensemble.parts[0].items()}
        arrays |= {f"{split}_features": values for split, values in features.values.items()}
        meta = {"layer": features.layer, "run": features.run}
        about = f"{ensemble.run_count} networks trained here"
        self._write("trained", self.keys.trained, arrays, meta, about)

    @contextlib.contextmanager
    def writing_predictions(
        self, split: Split, forms: Mapping[str, Form], class_count: int
    ) -> Iterator[ArrayWriter]:
        """Yield what writes the ensemble's predictions for a split, in blocks. forms: of `Predictions`."""
        run_count, key = forms["single"].shape[0], self.keys.predictions[split]
        about = f"{self.keys.source.name}: {split} predictions of {run_count} runs"
        with self.store.creating("predictions", key, forms, {"classes": class_count}, about=about) as writer:
            yield writer

    def write_moments(
        self, key: str, shape: tuple[int, int], blocks: Iterable[tuple[int, Arrays]], about: str
    ) -> None:
        """Write the mean and spread over the runs of one file of logits, under `key`, as they come.

        shape: (N, C) of the whole. blocks: index of the first example, and the arrays of some examples.
        """
        forms = {name: Form.of(shape, np.float32) for name in ("mean", "norm")}
        about = f"{self.keys.source.name}: {about}"
        with self.store.creating("moments", key, forms, {}, about=about) as writer:
            for start, arrays in blocks:
                for name, array in arrays.items():
                    writer.write(name, start, array)

    def write_neighbors(self, neighbors: Neighbors, features: Features | None) -> None:
        """Write neighbors. features: the features that they were found by; None for other similarities."""
        spec = neighbors.spec
        proof = {"certified": neighbors.certified, "redone": neighbors.redone}
        meta: dict[str, Any] = {
            "spec": spec.to_json(),
            "how": {} if neighbors.certified is None else proof,
            "product": neighbors.product,
        }
        if features is not None:
            meta |= {"layer": features.layer, "run": features.run}
        arrays = {"indices": neighbors.indices, "values": neighbors.values}
        about = f"{spec.direction} neighbors by {spec.title}"
        self._write("neighbors", self.keys.key(spec), arrays, meta, about)

    def write_traces(
        self,
        split: Split,
        shape: tuple[int, int, int],
        found: Iterable[tuple[slice, npt.NDArray[np.float16]]],
    ) -> None:
        """Write the traces of a split range by range, in any order. shape: (N, C, M) of the whole."""
        about = f"{self.keys.source.name}: {split} outputs of {shape[2]} runs"
        forms = {"rows": Form.of(shape, np.float16)}
        with self.store.creating("rows", self.keys.traces[split], forms, {}, about=about) as writer:
            for examples, traces in found:
                writer.write("rows", examples.start, traces)

    def write_map(self, similarity: str, of_all: Map) -> None:
        """Write a map of all examples by a similarity."""
        arrays = {"xy": of_all.xy, "nearest": of_all.nearest}
        meta = {"counts": of_all.counts, "kept": of_all.share_kept, "landmarks": of_all.landmarks}
        about = f"map of {sum(of_all.counts):,} examples by {similarity}"
        self._write("map", self.keys.map(similarity), arrays, meta, about)

    def _write(self, kind: str, key: str, arrays: Arrays, meta: Mapping[str, Any], about: str) -> None:
        self.store.write(kind, key, arrays, meta, about=f"{self.keys.source.name}: {about}")
