"""Results from fewer runs: those of an ensemble's first 10, 20, 50, … runs that have been built."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kernel_core.results.keys import Keys, plan_keys
from kernel_core.results.opening import read_neighbors, read_predictions
from kernel_core.results.results import Results
from kernel_core.results.store import Store
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import Source, SourceRequest


def keys_of_first_runs(source: Source, request: SourceRequest, count: int, store: Store) -> Keys:
    """Return the keys of the kernel and the predictions of the first `count` runs of a source's ensemble.

    source: as the request opens it, with all its runs.
    """
    return plan_keys(source, replace(request.whole, run_count=count, similarities=("kernel",)), store)


def built_run_counts(
    results: Results, request: SourceRequest, store: Store, counts: Iterable[int]
) -> tuple[int, ...]:
    """Return those numbers of runs by which `read_run_counts` finds results; the parameters are its own."""
    source = open_source(request, offline=True)

    def is_built(count: int) -> bool:
        keys = keys_of_first_runs(source, request, count, store)
        return store.has("predictions", keys.predictions[results.query]) and store.has(
            "neighbors", keys.key(keys.specs["kernel"])
        )

    return tuple(count for count in counts if count == results.run_count or is_built(count))


def read_run_counts(
    results: Results, request: SourceRequest, store: Store, counts: Iterable[int]
) -> dict[int, Results]:
    """Return number of runs → the results by the kernel of so many first runs, for those that are built.

    results: by all runs, in the default direction, as `request` opened them from `store`; they stand for
    their own number of runs. Of the others, only the kernel's neighbors and the predictions for the query
    split are read. Raises `KernelExplorerError` if the source can no longer be opened.
    """
    source = open_source(request, offline=True)
    by_count = {}
    for count in counts:
        of_count = results if count == results.run_count else _read(results, source, request, count, store)
        if of_count is not None:
            by_count[count] = of_count
    return by_count


def _read(
    results: Results, source: Source, request: SourceRequest, count: int, store: Store
) -> Results | None:
    keys = keys_of_first_runs(source, request, count, store)
    spec = keys.specs["kernel"]
    predictions = read_predictions(keys.predictions[results.query], store)
    neighbors, _features = read_neighbors(keys, [spec], store)
    if predictions is None or spec not in neighbors:
        return None
    return replace(
        results,
        id=keys.id,
        spec=spec,
        predictions_of={results.query: predictions},
        neighbors={"kernel": neighbors[spec]},
        class_neighbors={},
        traces={},
        variants={},
        unseen=None,
        aligned={},
        flags={},
    )
