"""What has been built of a source, read from the cache: no torch, no network, and nothing is computed.

The web process reads results from here, and so does every verb that finds all it needs in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from kernel_core.errors import NotBuilt, RequestError, StoreError
from kernel_core.explain.traces import Traces
from kernel_core.findings.map_layout import Map
from kernel_core.records import ExampleSet, Neighbors, Predictions
from kernel_core.results.keys import Keys, plan_keys, refuse_unoffered
from kernel_core.results.last_files import remember_files, warn_of_missing_files
from kernel_core.results.store import Store
from kernel_core.similarities import Similarity, of_variant
from kernel_core.sources.catalog import open_source
from kernel_core.sources.given import fitting
from kernel_core.sources.source import SourceRequest, penultimate
from kernel_core.spec import KernelSpec, Split

T = TypeVar("T")
OF_ONE_RUN = [
    similarity.name for similarity in penultimate(None).similarities
]  # whose run and layer are told


@dataclass(frozen=True, eq=False)
class Results:
    """What was asked for from a source, in one direction: from the `query` split to the `database` split.

    spec: the kernel's spec; if the kernel was not asked for, that of the first similarity.
    predictions_of: by split, the ensemble's predictions.
    neighbors: by name of a similarity or of a variant of the kernel, the neighbors; "kernel" is the kernel
    that was asked for. variants: by name, neighbors by further variants that happen to be built.
    class_neighbors: by class, the neighbors by the kernel of that class alone; empty unless asked for.
    offered: by name, every similarity that the source offers, asked for or not. fitting: the names of those
    that can be asked for in this direction.
    features_layer, features_run: of the penultimate features; empty unless neighbors by them were asked for.
    traces: by split, what explains the kernel's values; empty for a variant of the kernel, and if they were
    not kept, by an older version or for lack of space.
    about: what to know of an ensemble or a test set that the source's owner did not bring; often empty.
    """

    id: str
    name: str
    spec: KernelSpec
    examples: Mapping[Split, ExampleSet]
    predictions_of: Mapping[Split, Predictions]
    neighbors: Mapping[str, Neighbors]
    class_neighbors: Mapping[int, Neighbors]
    offered: Mapping[str, Similarity]
    fitting: tuple[str, ...]
    features_layer: str
    features_run: str
    traces: Mapping[Split, Traces] = field(default_factory=dict)
    variants: Mapping[str, Neighbors] = field(default_factory=dict)
    about: str = ""

    @property
    def query(self) -> Split:
        """The split of the examples whose neighbors these are."""
        return self.spec.query

    @property
    def database(self) -> Split:
        """The split of the neighbors."""
        return self.spec.database

    @property
    def within(self) -> str:
        """The split that both examples of a pair are from, where the source has two; else empty."""
        return self.query if self.spec.excludes_self and len(self.examples) > 1 else ""

    @property
    def predictions(self) -> Predictions:
        """The ensemble's predictions for the query split."""
        return self.predictions_of[self.query]

    @property
    def run_count(self) -> int:
        """Number of runs in use."""
        return len(self.predictions.single)

    @property
    def example_counts(self) -> dict[Split, int]:
        """Number of examples in each split of the source."""
        return {split: len(examples) for split, examples in self.examples.items()}

    @property
    def title(self) -> str:
        """The name, the number of runs, and how kernel and direction differ from the defaults."""
        direction = self.spec.direction if self.spec.direction != "test→train" else ""
        words = self.name, f"{self.run_count} runs", self.spec.variant, direction
        return ", ".join(word for word in words if word)

    @property
    def has_images(self) -> bool:
        """Whether the examples have images, and not labels alone."""
        return self.examples[self.query].has_images

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; a label is an index into them."""
        return self.examples[self.query].class_names

    @property
    def labels(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Labels of the query split and of the database split, in the order in which findings take them."""
        return self.examples[self.query].labels, self.examples[self.database].labels

    @property
    def names(self) -> tuple[str, ...]:
        """Name of every similarity, and variant of the kernel, that there are neighbors by."""
        return (*self.neighbors, *self.variants)

    def refuse_missing(self, split: str) -> None:
        """Raise `RequestError` if the source has no such split."""
        if split not in self.examples:
            expected = " or ".join(self.examples)
            raise RequestError(f"Found no {split} split in {self.name}; expected {expected}.")

    def similarity(self, name: str) -> Similarity:
        """Return a similarity, or variant of the kernel, by its name.

        Raises `RequestError` if the source does not offer it.
        """
        if name in self.offered:
            return self.offered[name]
        spec = KernelSpec.named(name, KernelSpec("kernel", self.query, self.database))
        refuse_unoffered(self.name, spec.similarity, tuple(self.offered))
        return of_variant(spec)

    def title_of(self, name: str) -> str:
        """Return the name that people see of a similarity, as `similarity` does."""
        return self.similarity(name).title

    def neighbors_by(self, similarity: str) -> Neighbors:
        """Return the neighbors by one similarity, or by one variant of the kernel.

        Raises `RequestError` if they were not asked for, or if the source does not offer them.
        """
        if similarity in self.neighbors:
            return self.neighbors[similarity]
        if similarity in self.variants:
            return self.variants[similarity]
        self.similarity(similarity)
        raise RequestError(
            f"Neighbors by {similarity!r} were not asked for; these results of {self.name} hold those by "
            f"{', '.join(self.neighbors)}. Ask for them with --similarity."
        )


# Opening: from a request to what is in the cache.


def open_results(request: SourceRequest, store: Store | None = None, *, complete: bool = False) -> Results:
    """Return what has been built of a source; never compute or download.

    Raises `NotBuilt` if anything is missing. complete: as a build does, count traces, without which results
    open too, and compare the source's files with those of the last build.
    """
    store = store or Store()
    keys = _keys_offline(request, store)
    results = read_results(keys, store)
    if complete and keys.traces and not results.traces:
        raise _not_built("traces", keys, store)
    if complete:
        warn_of_missing_files(request, keys.source, store)
        remember_files(request, keys.source, store)
    return results


def open_map(request: SourceRequest, store: Store | None = None) -> Map:
    """Return the map of a source's examples. Raises `NotBuilt` if it is not in the cache.

    request: by the first of its similarities, by default the kernel; only name, runs, files and precision
    count beside it. Raises `RequestError` where there can be no map by that similarity.
    """
    store = store or Store()
    return read_map(_keys_offline(request.whole, store), request.map_by, store)


def _keys_offline(request: SourceRequest, store: Store) -> Keys:
    return plan_keys(open_source(request, offline=True), request, store)


def _not_built(what: str, keys: Keys, store: Store) -> NotBuilt:
    return NotBuilt(f"The {what} of {keys.source.name} are not in the cache {store.root}.")


# Reading: from keys to records.


def read_results(keys: Keys, store: Store) -> Results:
    """Return the results under these keys. Raises `NotBuilt` if any is missing or damaged."""
    missing = _not_built("results", keys, store)
    if not all(store.has(kind, key) for kind, key in keys.entries):
        raise missing  # noticed before the images are read, the largest entry
    examples = read_examples(keys, store)
    predictions = {split: store.read("predictions", key) for split, key in keys.predictions.items()}
    if examples is None or None in predictions.values():
        raise missing
    specs = keys.all_specs(len(next(iter(examples.values())).class_names))
    if not all(store.has("neighbors", keys.key(spec)) for spec in specs):
        raise missing
    by_spec, features = read_neighbors(keys, specs, store)
    if len(by_spec) < len(specs):
        raise missing
    spec = keys.specs.get("kernel", next(iter(keys.specs.values())))
    return Results(
        keys.id,
        keys.source.name,
        spec,
        examples,
        {split: Predictions(**entry[0]) for split, entry in predictions.items() if entry},
        neighbors={name: by_spec[spec] for name, spec in keys.specs.items()},
        class_neighbors={(spec.classes or ())[0]: by_spec[spec] for spec in specs[len(keys.specs) :]},
        offered=keys.offered,
        fitting=fitting(keys.source, *spec.splits),
        features_layer=features.get("layer", ""),
        features_run=features.get("run", ""),
        traces=_map_traces(keys, store),
        about=keys.source.about,
    )


def read_back(read: Callable[[Keys, Store], T], keys: Keys, store: Store) -> T:
    """Return what was just built. Raises `StoreError` if it is gone already."""
    try:
        return read(keys, store)
    except NotBuilt:
        raise StoreError(
            f"The cache {store.root} was emptied while {keys.source.name} was built, by `cache clear` or "
            "another program. Run the command again."
        ) from None


def read_examples(keys: Keys, store: Store) -> dict[Split, ExampleSet] | None:
    """Return the images and labels of every split, or None if they are not in the cache."""
    entry = store.read("examples", keys.examples)
    if entry is None:
        return None
    arrays, meta = entry
    names = tuple(meta["class_names"])
    splits = keys.source.images.splits
    return {s: ExampleSet(s, arrays[f"{s}_images"], arrays[f"{s}_labels"], names) for s in splits}


def read_map(keys: Keys, similarity: str, store: Store) -> Map:
    """Return the map by a similarity. Raises `NotBuilt` if it is missing or damaged."""
    entry = store.read("map", keys.map(similarity))
    if entry is None:
        raise NotBuilt(
            f"There is no map of {keys.source.name} by {similarity} in the cache {store.root} yet."
        )
    arrays, meta = entry
    return Map(arrays["xy"], arrays["nearest"], tuple(meta["counts"]), meta["kept"])


def read_neighbors(
    keys: Keys, specs: Iterable[KernelSpec], store: Store
) -> tuple[dict[KernelSpec, Neighbors], dict[str, str]]:
    """Return the neighbors that are in the cache, by spec, and the layer and run of the features."""
    by_spec: dict[KernelSpec, Neighbors] = {}
    features: dict[str, str] = {}
    for spec in specs:
        entry = store.read("neighbors", keys.key(spec))
        if entry is not None:
            arrays, meta = entry
            written = KernelSpec.from_json(meta["spec"])
            by_spec[spec] = Neighbors(written, arrays["indices"], arrays["values"], **meta["how"])
            if spec.similarity in OF_ONE_RUN:
                features = {name: meta[name] for name in ("layer", "run") if name in meta}
    return by_spec, features


def _map_traces(keys: Keys, store: Store) -> dict[Split, Traces]:
    """Return the traces of every split, memory-mapped; empty unless all are there."""
    by_split: dict[Split, Traces] = {}
    for split, key in keys.traces.items():
        values = store.map("rows", key, "rows")
        if values is not None:
            by_split[split] = Traces(split, values)
    return by_split if len(by_split) == len(keys.traces) else {}
