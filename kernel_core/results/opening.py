"""Read what has been built of a source from the cache: no torch, no network, and nothing is computed.

The web process reads results from here, and so does every verb that finds all it needs in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from kernel_core.errors import NotBuilt, StoreError
from kernel_core.explain.traces import Traces
from kernel_core.findings.map_layout import Map
from kernel_core.predicted import Predictions
from kernel_core.records import Neighbors
from kernel_core.results.aligned import aligned_tables, lacks_aligned
from kernel_core.results.example_entries import read_examples
from kernel_core.results.flags import lacks_flags, read_flags
from kernel_core.results.keys import Keys, plan_keys
from kernel_core.results.last_files import remember_files, warn_of_missing_files
from kernel_core.results.results import Results
from kernel_core.results.store import Store
from kernel_core.results.unseen import UnseenEntries
from kernel_core.sources.catalog import open_source
from kernel_core.sources.given import fitting
from kernel_core.sources.source import SourceRequest, penultimate
from kernel_core.spec import KernelSpec, Split

T = TypeVar("T")
OF_ONE_RUN = [
    similarity.name for similarity in penultimate(None).similarities
]  # whose run and layer are told


# Opening: from a request to what is in the cache.


def open_results(request: SourceRequest, store: Store | None = None, *, complete: bool = False) -> Results:
    """Return what has been built of a source; never compute or download.

    Raises `NotBuilt` if anything is missing. complete: as a build does, count traces, without which results
    open too, aligned pixels, and what runs say of examples that they did not train on; and compare the
    source's files with those of the last build.
    """
    store = store or Store()
    keys = _keys_offline(request, store)
    results = read_results(keys, store)
    if complete and lacks_traces(keys, results):
        raise _not_built("traces", keys, store)
    if complete and lacks_aligned(request, results):
        raise _not_built("aligned pixels", keys, store)
    if complete and lacks_flags(results):
        raise _not_built("labels that confident learning flags", keys, store)
    if complete and not UnseenEntries(keys, store).is_known:
        raise _not_built("predictions by runs that did not train on an example", keys, store)
    if complete:
        warn_of_missing_files(request, keys.source, store)
        remember_files(request, keys.source, store)
    return results


def lacks_traces(keys: Keys, results: Results) -> bool:
    """Return whether a build would add traces to results."""
    return bool(keys.traces) and not results.traces and not results.why_no_traces


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
        raise missing  # noticed before anything is read
    examples = read_examples(keys, store)
    predictions = {split: read_predictions(key, store) for split, key in keys.predictions.items()}
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
        {split: of_split for split, of_split in predictions.items() if of_split},
        neighbors={name: by_spec[spec] for name, spec in keys.specs.items()},
        class_neighbors={(spec.classes or ())[0]: by_spec[spec] for spec in specs[len(keys.specs) :]},
        offered=keys.offered,
        fitting=fitting(keys.source, *spec.splits),
        features_layer=features.get("layer", ""),
        features_run=features.get("run", ""),
        traces=_map_traces(keys, store),
        about=keys.source.about,
        unseen=UnseenEntries(keys, store).read(),
        aligned=aligned_tables(keys, spec.splits, store),
        flags=read_flags(keys, store),
    )


def read_back(read: Callable[[Keys, Store], T], keys: Keys, store: Store) -> T:
    """Return what was just built. Raises `StoreError` if it is gone already."""
    try:
        return read(keys, store)
    except NotBuilt:
        raise emptied(store, keys.source.name) from None


def emptied(store: Store, name: str) -> StoreError:
    """Return the error that what was just built of the source called `name` is gone already."""
    return StoreError(
        f"The cache {store.root} was emptied while {name} was built, by `cache clear` or another program. "
        "Run the command again."
    )


def read_map(keys: Keys, similarity: str, store: Store) -> Map:
    """Return the map by a similarity. Raises `NotBuilt` if it is missing or damaged."""
    entry = store.read("map", keys.map(similarity))
    if entry is None:
        raise NotBuilt(
            f"There is no map of {keys.source.name} by {similarity} in the cache {store.root} yet."
        )
    arrays, meta = entry
    landmarks = meta.get("landmarks", 0)  # which older maps, all laid out one by one, do not say
    return Map(arrays["xy"], arrays["nearest"], tuple(meta["counts"]), meta["kept"], landmarks)


def read_predictions(key: str, store: Store) -> Predictions | None:
    """Return the predictions under this key, mapped; None if they are not in the cache."""
    entry = store.map_all("predictions", key)
    return None if entry is None else Predictions(entry[1]["classes"], **entry[0])


def read_neighbors(
    keys: Keys, specs: Iterable[KernelSpec], store: Store
) -> tuple[dict[KernelSpec, Neighbors], dict[str, str]]:
    """Return the neighbors that are in the cache, mapped, by spec, and the layer and run of the features."""
    by_spec: dict[KernelSpec, Neighbors] = {}
    features: dict[str, str] = {}
    for spec in specs:
        entry = store.map_all("neighbors", keys.key(spec))
        if entry is not None:
            arrays, meta = entry
            written = KernelSpec.from_json(meta["spec"])
            product = meta.get("product")  # which older entries do not say
            found = Neighbors(written, arrays["indices"], arrays["values"], **meta["how"], product=product)
            by_spec[spec] = found
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
