"""Build the map of all examples, from the neighbors in every direction."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from kernel_core.engines.engine import LOCAL, Engine
from kernel_core.errors import NotBuilt
from kernel_core.findings import landmarks, map_layout
from kernel_core.pipeline.build import build
from kernel_core.progress import Progress, no_progress
from kernel_core.records import Neighbors
from kernel_core.results.entries import Entries
from kernel_core.results.keys import plan_keys
from kernel_core.results.opening import read_back, read_map
from kernel_core.results.results import Results
from kernel_core.results.store import Store
from kernel_core.shortage import shortage_said
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import Split


@shortage_said()
def build_map(
    request: SourceRequest,
    *,
    device: str = "auto",
    budget: int | None = None,
    progress: Progress = no_progress,
    store: Store | None = None,
    engine: Engine = LOCAL,
) -> map_layout.Map:
    """Compute what the cache lacks of the map of all examples, and return the map.

    It is by the first of the request's similarities, by default the kernel; beside it, only name, runs, files
    and precision of the request count. The other parameters and the errors are those of `build`; in addition,
    raises `RequestError` if there are too few examples, or there can be no map by that similarity.
    engine: where the neighbors are found; the layout itself takes one core of this machine.
    """
    store, whole, by = store or Store(), request.whole, request.map_by
    keys = plan_keys(open_source(whole, progress=progress), whole, store)
    with contextlib.suppress(NotBuilt):
        return read_map(keys, by, store)

    def build_part(part: SourceRequest) -> Results:
        return build(part, device=device, budget=budget, progress=progress, store=store, engine=engine)

    part = replace(whole, similarities=(by,))
    counts = map_layout.example_counts(build_part(part).examples)
    neighbors = {
        (query, database): build_part(replace(part, query=query, database=database)).neighbors[by]
        for query, database in map_layout.search_directions(counts)
    }
    with store.lock(keys.map(by), progress):
        if not store.has("map", keys.map(by)):
            formula = map_layout.distance_of(keys.offered[part.spec(by).similarity])
            of_all = _lay_out(neighbors, formula, counts, progress)
            Entries(keys, store).write_map(by, of_all)
        return read_back(lambda keys, store: read_map(keys, by, store), keys, store)


def _lay_out(
    neighbors: Mapping[tuple[Split, Split], Neighbors],
    formula: str,
    counts: tuple[int, int],
    progress: Progress,
) -> map_layout.Map:
    """Return the map for neighbors in every direction. formula: of the distance that it is laid out by."""
    is_large = sum(counts) > landmarks.LIMIT
    reach = landmarks.REACH if is_large else map_layout.NEIGHBOR_COUNT
    nearest, values = map_layout.merge_neighbors(neighbors, reach)
    lay_out = landmarks.lay_out if is_large else map_layout.layout
    xy = lay_out(nearest, map_layout.distance(values, formula), progress)
    kept = map_layout.share_kept(xy, nearest[:, : map_layout.NEIGHBOR_COUNT])
    shown = nearest[:, : map_layout.LINE_COUNT]
    return map_layout.Map(xy, shown, counts, kept, landmarks.COUNT if is_large else 0)
