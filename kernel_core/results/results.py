"""What has been built of a source, read from the cache: no torch, no network, nothing computed but accuracies.

The web process and every verb that finds all it needs in the cache come this way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file

from kernel_core.errors import DataError, NotBuilt, RequestError
from kernel_core.explain.traces import Traces
from kernel_core.findings.map_layout import Map
from kernel_core.records import ExampleSet, Neighbors, Predictions
from kernel_core.results.keys import Keys, plan_keys, refuse_unoffered
from kernel_core.results.store import Store
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import KernelSpec, Split


@dataclass(frozen=True, eq=False)
class Results:
    """What was asked for of a source, all in one direction: from the `query` split to the `database` split.

    predictions_of: split → what the ensemble says of it. neighbors: similarity's name → its neighbors, "kernel" being
    the variant asked for. class_neighbors: class → neighbors by the kernel of that class alone, empty unless each class
    was asked for. offered: every similarity that the source gives, asked for or not. Layer and run of the penultimate features are
    empty where no neighbors by them were asked for. traces: what explains the kernel's values; empty where it was not
    kept, by an older version or for want of space, or for a variant of the kernel.
    """

    id: str
    name: str
    examples: Mapping[Split, ExampleSet]
    predictions_of: Mapping[Split, Predictions]
    neighbors: Mapping[str, Neighbors]
    class_neighbors: Mapping[int, Neighbors]
    offered: tuple[str, ...]
    features_layer: str
    features_run: str
    traces: Mapping[Split, Traces] = field(default_factory=dict)

    @property
    def spec(self) -> KernelSpec:
        """The kernel's spec; where it was not asked for, that of the first similarity."""
        first = next(iter(self.neighbors.values()))
        return self.neighbors.get("kernel", first).spec

    @property
    def query(self) -> Split:
        """The split of the examples whose neighbors these are."""
        return self.spec.query

    @property
    def database(self) -> Split:
        """The split of the neighbors."""
        return self.spec.database

    @property
    def predictions(self) -> Predictions:
        """What the ensemble says of the query split."""
        return self.predictions_of[self.query]

    @property
    def example_counts(self) -> dict[Split, int]:
        """The number of examples in each split of the source."""
        return {split: len(examples) for split, examples in self.examples.items()}

    @property
    def title(self) -> str:
        """Name and number of runs, then how the kernel and the direction differ from the default ones."""
        direction = self.spec.direction if self.spec.direction != "test→train" else ""
        words = self.name, f"{len(self.predictions.single)} runs", self.spec.variant, direction
        return ", ".join(word for word in words if word)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes' names; a label is an index into them."""
        return self.examples[self.query].class_names

    @property
    def labels(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Labels of the query split and of the database split, the order in which findings take them."""
        return self.examples[self.query].labels, self.examples[self.database].labels

    def neighbors_by(self, similarity: str) -> Neighbors:
        """The neighbors by one similarity. Raises `RequestError` if they were not asked for, or cannot be."""
        if similarity not in self.neighbors:
            refuse_unoffered(self.name, similarity, self.offered)
            raise RequestError(
                f"Neighbors by {similarity!r} were not asked for with these results of {self.name}, which hold those "
                f"by {', '.join(self.neighbors)}; ask for them with --similarity."
            )
        return self.neighbors[similarity]


def open_results(request: SourceRequest, store: Store | None = None, *, complete: bool = False) -> Results:
    """What has been built of a source; never computes or downloads.

    Raises `NotBuilt` if anything is missing; if the rows are, which results can do without, only where they are to
    be `complete`.
    """
    store = store or Store()
    keys = plan_keys(open_source(request, offline=True), request, store)
    found = read_results(keys, store)
    if complete and keys.traces and not found.traces:
        raise NotBuilt(f"The rows of {keys.source.name} are not in the cache {store.root}.")
    return found


def open_kernel_neighbors(request: SourceRequest, store: Store | None = None) -> Neighbors:
    """The neighbors by the kernel that was asked for, alone: without the images, and whatever else is built of it.

    Raises `NotBuilt` if they are not in the cache.
    """
    store = store or Store()
    keys = plan_keys(open_source(request, offline=True), replace(request, similarities=("kernel",)), store)
    found, _features = _read_neighbors(keys, keys.specs, store)
    if not found:
        raise NotBuilt(
            f"The neighbors by {request.run_count or 'all'} runs of {keys.source.name} are not in the cache {store.root}."
        )
    return found[keys.specs[0]]


def open_map(request: SourceRequest, store: Store | None = None) -> Map:
    """The map of a source's examples by the kernel. Raises `NotBuilt` if there is none; never computes it."""
    store = store or Store()
    return read_map(plan_keys(open_source(request, offline=True), request, store), store)


def read_map(keys: Keys, store: Store) -> Map:
    """The map under its key. Raises `NotBuilt` if it is missing or damaged."""
    entry = store.read("map", keys.map)
    if entry is None:
        raise NotBuilt(f"There is no map of {keys.source.name} in the cache {store.root} yet.")
    arrays, meta = entry
    return Map(arrays["xy"], arrays["nearest"], tuple(meta["counts"]), meta["kept"])


def read_results(keys: Keys, store: Store) -> Results:
    """The results under these keys. Raises `NotBuilt` if one is missing or damaged."""
    missing = NotBuilt(f"The results of {keys.source.name} are not in the cache {store.root}.")
    if not all(store.has(kind, key) for kind, key in keys.entries):
        raise missing  # found out before the images, the largest entry, are read
    examples = read_examples(keys, store)
    predictions = {split: store.read("predictions", key) for split, key in keys.predictions.items()}
    if examples is None or None in predictions.values():
        raise missing
    specs = keys.all_specs(len(next(iter(examples.values())).class_names))
    if not all(store.has("neighbors", keys.key(spec)) for spec in specs):
        raise missing
    found, features = _read_neighbors(keys, specs, store)
    if len(found) < len(specs):
        raise missing
    return Results(
        keys.id,
        keys.source.name,
        examples,
        {split: Predictions(**entry[0]) for split, entry in predictions.items() if entry},
        neighbors={spec.similarity: found[spec] for spec in keys.specs},
        class_neighbors={(spec.classes or ())[0]: found[spec] for spec in specs[len(keys.specs) :]},
        offered=keys.offered,
        features_layer=features.get("layer", ""),
        features_run=features.get("run", ""),
        traces=_map_traces(keys, store),
    )


def _read_neighbors(
    keys: Keys, specs: Iterable[KernelSpec], store: Store
) -> tuple[dict[KernelSpec, Neighbors], dict[str, str]]:
    """The neighbors of these specs that are in the cache, whole; and layer and run of the features."""
    found: dict[KernelSpec, Neighbors] = {}
    features: dict[str, str] = {}
    for spec in specs:
        entry = store.read("neighbors", keys.key(spec))
        if entry is not None:
            arrays, meta = entry
            found[spec] = Neighbors(
                KernelSpec.from_json(meta["spec"]), arrays["indices"], arrays["values"], **meta["how"]
            )
            features |= {name: meta[name] for name in ("layer", "run") if name in meta}
    return found, features


def _map_traces(keys: Keys, store: Store) -> dict[Split, Traces]:
    """The rows of every split, mapped; empty unless all are there."""
    found: dict[Split, Traces] = {}
    for split, key in keys.traces.items():
        mapped = store.map("rows", key, "rows")
        if mapped is not None:
            found[split] = Traces(split, mapped)
    return found if len(found) == len(keys.traces) else {}


def read_examples(keys: Keys, store: Store) -> dict[Split, ExampleSet] | None:
    """The images and labels of every split, or None if they are not in the cache."""
    entry = store.read("examples", keys.examples)
    if entry is None:
        return None
    arrays, meta = entry
    names = tuple(meta["class_names"])
    splits = keys.source.images.splits
    return {s: ExampleSet(s, arrays[f"{s}_images"], arrays[f"{s}_labels"], names) for s in splits}


def read_vectors(
    request: SourceRequest, results: Results, similarity: str, store: Store | None = None
) -> dict[Split, npt.NDArray[Any]]:
    """What a similarity compares, of every split: features (N, D), images (N, H, W, 3), or rows (N, C, M).

    For neighbors that no build keeps (kernel_core/explain/on_demand.py). Raises `NotBuilt` if the cache lacks them, `DataError`
    if the file of the features cannot be read.
    """
    if similarity == "pixels":
        return {split: examples.images for split, examples in results.examples.items()}
    store = store or Store()
    keys = plan_keys(open_source(request, offline=True), request, store)
    refuse_unoffered(results.name, similarity, keys.offered)
    if similarity == "kernel":
        if not results.traces:
            raise NotBuilt(f"The rows of {results.name} are not in the cache {store.root}.")
        return {split: rows.values for split, rows in results.traces.items()}
    if keys.trained is not None:
        entry = store.read("trained", keys.trained)
        if entry is None:
            raise NotBuilt(f"The features of {results.name} are not in the cache {store.root}.")
        return {split: entry[0][f"{split}_features"] for split in results.examples}
    assert keys.source.features is not None
    try:
        arrays = load_file(keys.source.features)
        return {split: arrays[split] for split in results.examples}
    except (SafetensorError, OSError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{keys.source.features} cannot be read without torch ({error}); expected the tensors "
            f"{' and '.join(results.examples)} in float16 or float32, so save it again as such."
        ) from None
