"""Variants of the kernel, as of raw logits, and similarities on request: those built for some results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from kernel_core.errors import NotBuilt
from kernel_core.records import Neighbors
from kernel_core.results.entries import spec_of_entry
from kernel_core.results.keys import Keys, plan_keys
from kernel_core.results.opening import read_neighbors
from kernel_core.results.results import Results
from kernel_core.results.store import SUFFIX, Store
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import KernelSpec


class Built(Mapping[str, Neighbors]):
    """By name, the neighbors by each of some specs that is built, now or later; read when first asked for."""

    def __init__(self, keys: Keys, specs: Mapping[str, KernelSpec], store: Store) -> None:
        self._keys, self._specs, self._store = keys, specs, store
        self._read: dict[str, Neighbors] = {}

    def __getitem__(self, name: str) -> Neighbors:
        spec = self._listed()[name]
        if name not in self._read:
            by_spec, _features = read_neighbors(self._keys, [spec], self._store)
            if spec not in by_spec:
                raise NotBuilt(f"Neighbors by {spec.title} are no longer in the cache {self._store.root}.")
            self._read[name] = by_spec[spec]
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self._listed()

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed())

    def __len__(self) -> int:
        return len(self._listed())

    def _listed(self) -> Mapping[str, KernelSpec]:
        """Return the specs that are built, by name."""
        return {
            name: spec
            for name, spec in self._specs.items()
            if self._store.has("neighbors", self._keys.key(spec))
        }


class Variants(Built):
    """By name, the neighbors by each variant of the kernel, and each similarity on request, that is built.

    of: the spec of the kernel that is varied. keys: those of its results.
    """

    def __init__(self, keys: Keys, of: KernelSpec, store: Store) -> None:
        super().__init__(keys, {}, store)
        self._of, self._folder = of, store.root / "neighbors"
        self._seen: int | None = None  # time of the folder's last change when its entries were listed

    def _listed(self) -> Mapping[str, KernelSpec]:
        """Return the specs by name, listed anew if an entry came or went."""
        try:
            changed = self._folder.stat().st_mtime_ns
        except OSError:
            return {}
        if changed != self._seen:
            specs = {
                spec.name: spec for path in self._folder.glob(f"*{SUFFIX}") if (spec := self._variant(path))
            }
            self._seen, self._specs = changed, {name: specs[name] for name in sorted(specs)}
        return self._specs

    def _variant(self, path: Path) -> KernelSpec | None:
        """Return the spec of an entry that is a variant or on request, or None for anything else."""
        spec = spec_of_entry(path)
        if spec is None or spec.splits != self._of.splits or not (self._varies(spec) or self._is_more(spec)):
            return None
        return spec if self._keys.key(spec) == path.stem else None

    def _varies(self, spec: KernelSpec) -> bool:
        """Return whether a spec is a variant of the kernel, which is not what is varied itself."""
        return spec.similarity == self._of.similarity and spec != self._of and spec.differences != ""

    def _is_more(self, spec: KernelSpec) -> bool:
        """Return whether a spec is of a similarity on request, which the results do not hold already."""
        similarity = self._keys.offered.get(spec.similarity)
        return similarity is not None and similarity.on_request and spec.similarity not in self._keys.specs


def with_variants(results: Results, request: SourceRequest, store: Store) -> Results:
    """Return the results with all that the cache holds in their direction beside what a build finds.

    request: that which opened them. Raises `KernelExplorerError` if the source can no longer be opened.
    """
    keys = plan_keys(open_source(request, offline=True), request, store)
    return replace(results, variants=Variants(keys, results.spec, store))
