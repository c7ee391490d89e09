"""`kernel-explorer map`: lay out all examples in the plane, each near those that it is similar to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pandas as pd

from kernel_core.cli.options import names_source, reports_to, to_csv
from kernel_core.cli.tables import write_csv
from kernel_core.errors import NotBuilt
from kernel_core.findings.map_layout import NEIGHBORS, ORDER, Map
from kernel_core.progress import Progress
from kernel_core.results.results import open_map
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import ADJECTIVES


def _map(request: SourceRequest, device: str, memory: int | None, report: Progress) -> Map:
    """From the cache without loading torch or UMAP if it is there, else computed."""
    try:
        return open_map(request)
    except NotBuilt:
        from kernel_core import pipeline  # torch takes seconds to load

        return pipeline.build_map(request, device=device, budget=memory, progress=report)


def positions(found: Map) -> pd.DataFrame:
    """A map as a table: split, index (within its split), x and y (of no unit; only what lies near what means something)."""
    tests, trains = found.counts
    return pd.DataFrame(
        {
            "split": ["test"] * tests + ["train"] * trains,
            "index": [*range(tests), *range(trains)],
            "x": found.xy[:, 0],
            "y": found.xy[:, 1],
        }
    )


@click.command("map")
@names_source
@to_csv
def map_command(
    source: str,
    device: str,
    memory: int | None,
    progress_file: Path | None,
    csv_file: Path | None,
    runs: int | None,
    **asked: Any,
) -> None:
    """Lay out all examples of SOURCE in the plane, by the kernel, for the app's page Map.

    With --csv, write where each lies.

    \b
    Example:  kernel-explorer map digits --csv map.csv
    """
    request = SourceRequest(source, runs, **asked)
    with reports_to(progress_file) as report:
        found = _map(request, device, memory, report)
    counts = zip(found.counts, ORDER, strict=True)
    words = " and ".join(f"{count:,} {ADJECTIVES[split]}" for count, split in counts if count)
    click.echo(
        f"{request.name}: a map of {words} examples; of the {NEIGHBORS} nearest of each "
        f"by the kernel, {found.kept:.1%} are among its {NEIGHBORS} nearest on the map"
    )
    if csv_file is not None:
        write_csv(positions(found), csv_file)
