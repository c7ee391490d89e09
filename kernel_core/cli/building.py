"""What a verb builds beyond the results it opens."""

from __future__ import annotations

from kernel_core.progress import Progress
from kernel_core.sources.source import SourceRequest


def build_pixels(
    request: SourceRequest, similarity: str, device: str, memory: int | None, progress: Progress
) -> None:
    """Build the aligned pixels of neighbors by a similarity; results that are open read them then."""
    from kernel_core import pipeline  # torch takes seconds to load

    pipeline.build_aligned(request, similarity, device=device, budget=memory, progress=progress)
