"""The other directions of some results: neighbors within the test set, or within the training set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from kernel_core.errors import NotBuilt
from kernel_core.records import Neighbors
from kernel_core.results.keys import Keys, plan_keys
from kernel_core.results.results import Results, read_neighbors
from kernel_core.results.store import Store
from kernel_core.results.variants import Variants
from kernel_core.sources.catalog import open_source
from kernel_core.sources.given import fitting
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import KernelSpec, Split


class Built(Mapping[str, Neighbors]):
    """By name, the neighbors in one direction by each similarity that is built, now or later.

    specs: by name, what may be built. They are read when first asked for.
    """

    def __init__(self, keys: Keys, specs: Mapping[str, KernelSpec], store: Store) -> None:
        self._keys, self._specs, self._store = keys, specs, store
        self._read: dict[str, Neighbors] = {}

    def __getitem__(self, name: str) -> Neighbors:
        spec = self._specs[name]
        if name not in self._read:
            by_spec, _features = read_neighbors(self._keys, [spec], self._store)
            if spec not in by_spec:
                raise NotBuilt(f"Neighbors {spec.direction} by {spec.title} are not in {self._store.root}.")
            self._read[name] = by_spec[spec]
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self._specs and self._store.has("neighbors", self._keys.key(self._specs[str(name)]))

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._specs if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def in_direction(
    results: Results, request: SourceRequest, store: Store, query: Split, database: Split
) -> Results:
    """Return the results of a source in another direction, with whatever is built there, now or later.

    results: those that `request` opened from `store`; in their own direction they come back as they are.
    Raises `RequestError` if the source lacks a split, and any other `KernelExplorerError` if it can no longer
    be opened.
    """
    if (query, database) == results.spec.splits:
        return results
    for split in (query, database):
        results.refuse_missing(split)
    keys = plan_keys(open_source(request, offline=True), request, store)
    kernel = KernelSpec("kernel", query, database, run_count=request.run_count)
    names = fitting(keys.source, query, database)
    specs = {name: KernelSpec.named(name, kernel) for name in names}
    return replace(
        results,
        id=f"{results.id}-{query}-{database}",
        spec=kernel,
        neighbors=Built(keys, specs, store),
        variants=Variants(keys, kernel, store),
        class_neighbors={},
        fitting=names,
    )
