"""The results of a source in each direction in which duplicates are looked for; what is missing is built."""

from __future__ import annotations

from dataclasses import replace

from kernel_core.cli.building import build_pixels
from kernel_core.cli.options import open_or_build
from kernel_core.progress import Progress
from kernel_core.results.grouping import parts_of
from kernel_core.results.pair_orders import lacks_pixels
from kernel_core.results.results import Results
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import Split


def open_directions(
    request: SourceRequest,
    similarity: str,
    order: str,
    *,
    within: Split | None = None,
    device: str,
    memory: int | None,
    progress: Progress,
) -> list[Results]:
    """Return the results in each direction that groups are made of.

    order: of `pair_orders.ORDERS`; for twin, pixels are compared as well. within: one split alone. memory: in
    bytes. Raises any `KernelExplorerError`.
    """
    first = replace(request, query=within, database=within) if within else request
    own = open_or_build(first, device, memory, progress)
    parts = []
    for part in parts_of(own, first, Store(), similarity):
        wanted = replace(request, query=part.query, database=part.database)
        if similarity not in part.names:
            part = open_or_build(wanted, device, memory, progress)
        if lacks_pixels(part, similarity, order):
            build_pixels(wanted, similarity, device, memory, progress)
        parts.append(part)
    return parts
