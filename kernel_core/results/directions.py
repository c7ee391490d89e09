"""The other directions of some results: neighbors within the test set, or within the training set."""

from __future__ import annotations

from dataclasses import replace

from kernel_core.results.aligned import aligned_tables
from kernel_core.results.keys import plan_keys
from kernel_core.results.results import Results
from kernel_core.results.store import Store
from kernel_core.results.variants import Built, Variants
from kernel_core.sources.catalog import open_source
from kernel_core.sources.given import fitting
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import KernelSpec, Split


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
    always = [name for name in names if not keys.offered[name].on_request]
    specs = {name: KernelSpec.named(name, kernel) for name in always}
    return replace(
        results,
        id=f"{results.id}-{query}-{database}",
        spec=kernel,
        neighbors=Built(keys, specs, store),
        variants=Variants(keys, kernel, store),
        class_neighbors={},
        fitting=names,
        aligned=aligned_tables(keys, (query, database), store),
    )
