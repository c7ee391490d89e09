"""The cache entries of aligned pixels: px of each query example with its nearest, by similarity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from kernel_core.errors import RequestError
from kernel_core.explain.aligned_pixels import RECIPE
from kernel_core.findings.twins import CANDIDATES, Aligned
from kernel_core.results.entries import spec_of_entry
from kernel_core.results.keys import Keys
from kernel_core.results.results import Results
from kernel_core.results.store import SUFFIX, Store, key_of
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import KernelSpec, Split

KIND = "aligned"


class AlignedTables(Mapping[str, Aligned]):
    """By name of a similarity, the aligned pixels that are built, now or later; read when first asked for.

    kernel: what the name "kernel" stands for, in the direction of all.
    """

    def __init__(self, keys: Keys, kernel: KernelSpec, store: Store) -> None:
        self._keys, self._kernel, self._store = keys, kernel, store
        self._read: dict[str, Aligned] = {}

    def __getitem__(self, name: str) -> Aligned:
        if name not in self:
            raise KeyError(name)
        if name not in self._read:
            entry = self._store.read(KIND, self._key(self._spec(name)))
            if entry is None:
                raise KeyError(name)
            self._read[name] = Aligned(self._spec(name), entry[0]["values"])
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        try:
            return self._store.has(KIND, self._key(self._spec(str(name))))
        except (RequestError, KeyError):  # no similarity of the source
            return False

    def __iter__(self) -> Iterator[str]:
        for path in sorted((self._store.root / KIND).glob(f"*{SUFFIX}")):
            spec = spec_of_entry(path)
            if spec is not None and spec.splits == self._kernel.splits:
                name = "kernel" if spec == self._kernel else spec.name
                if self._key(self._spec(name)) == path.stem:
                    yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def write(self, name: str, values: npt.NDArray[np.float32]) -> None:
        """Write px of each query example with its first neighbors by a similarity. Raises `StoreError`."""
        spec = self._spec(name)
        about = f"{self._keys.source.name}: aligned pixels {spec.direction}, nearest by {spec.title}"
        self._store.write(KIND, self._key(spec), {"values": values}, {"spec": spec.to_json()}, about=about)

    def _spec(self, name: str) -> KernelSpec:
        if name == "kernel":
            return self._kernel
        query, database = self._kernel.splits
        return KernelSpec.named(name, KernelSpec("kernel", query, database, run_count=self._keys.run_count))

    def _key(self, spec: KernelSpec) -> str:
        """Return the key of an entry: what the neighbors and the images are, and how they are compared."""
        content = {"neighbors": self._keys.key(spec), "examples": self._keys.examples}
        return key_of({"kind": KIND, "recipe": {**RECIPE, "candidates": CANDIDATES}, **content})


def aligned_tables(keys: Keys, splits: tuple[Split, Split], store: Store) -> AlignedTables:
    """Return the aligned pixels of a source in one direction. keys: of results in any direction."""
    kernel = keys.specs.get("kernel")
    if kernel is None or kernel.splits != splits:
        kernel = KernelSpec("kernel", *splits, run_count=keys.run_count)
    return AlignedTables(keys, kernel, store)


def lacks_aligned(request: SourceRequest, results: Results) -> bool:
    """Return whether a build of the request is to compare pixels, and none has."""
    asked = request.similarities is None and "kernel" in results.neighbors and results.has_images
    return asked and "kernel" not in results.aligned
