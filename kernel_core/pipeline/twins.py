"""Build what the twin score needs of any similarity, in any direction."""

from __future__ import annotations

from dataclasses import replace

from kernel_core.findings.twins import Aligned, refuse_no_images
from kernel_core.machine import Machine, choose_device
from kernel_core.pipeline.aligned import write_aligned
from kernel_core.pipeline.build import budget_on, build
from kernel_core.progress import Progress, no_progress
from kernel_core.results.opening import emptied
from kernel_core.results.store import Store
from kernel_core.shortage import shortage_said
from kernel_core.sources.source import SourceRequest


@shortage_said()
def build_aligned(
    request: SourceRequest,
    by: str = "kernel",
    *,
    device: str = "auto",
    budget: int | None = None,
    progress: Progress = no_progress,
    store: Store | None = None,
) -> Aligned:
    """Compute what the cache lacks of the aligned pixels of neighbors by one similarity, and return them.

    by: the similarity, or a variant of the kernel; neighbors by it are built too. The direction is that of
    the request. The other parameters and the errors are those of `build`; in addition, raises `RequestError`
    if there are no images.
    """
    store = store or Store()
    results = build(
        replace(request, similarities=(by,)), device=device, budget=budget, progress=progress, store=store
    )
    refuse_no_images(results.name, has_images=results.has_images)
    if by not in results.aligned:
        torch_device = choose_device(device)
        machine = Machine(torch_device, budget or budget_on(torch_device))
        with store.lock(f"{results.id}-aligned", progress):
            if by not in results.aligned:
                write_aligned(results, by, machine, progress)
    try:
        return results.aligned[by]
    except KeyError:
        raise emptied(store, results.name) from None
