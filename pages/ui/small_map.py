"""The map of a small source, built in the background once the first page is served."""

from __future__ import annotations

import os

from kernel_core.errors import KernelExplorerError, NotBuilt
from kernel_core.findings.map_layout import example_counts, search_directions
from kernel_core.results.opening import open_map
from kernel_core.results.results import Results
from kernel_core.sources.source import SourceRequest
from pages.ui.jobs import Jobs
from pages.ui.read_only import is_read_only

LIMIT = 5_000  # examples of both splits; the 1,797 digits take 20 seconds of one core
ASKED = "KERNEL_EXPLORER_SMALL_MAP"  # set by `kernel-explorer serve`: tests start servers without it


def build(results: Results, request: SourceRequest, jobs: Jobs) -> None:
    """Start to build the map of a small source, unless it is there, cannot be, or the server is read-only.

    request: for the similarity that the map page opens with. The page then shows how far the job is.
    """
    counts = example_counts(results.examples)
    if os.environ.get(ASKED) != "1" or is_read_only() or sum(counts) > LIMIT:
        return
    try:
        search_directions(counts)  # raises where the examples are too few
        open_map(request)
    except NotBuilt:
        jobs.start(request, "map", in_background=True)
    except KernelExplorerError:
        return  # the page says why there is no map
