"""`kernel-explorer map`: place all examples in the plane, near the ones they are similar to."""

from __future__ import annotations

from pathlib import Path

import click
import pandas as pd

from kernel_core.cli.options import csv_option, open_progress, similarity_option, source_options
from kernel_core.cli.output import is_stdout, say
from kernel_core.cli.tables import write_csv
from kernel_core.errors import NotBuilt
from kernel_core.findings.map_layout import NEIGHBOR_COUNT, SPLIT_ORDER, Map
from kernel_core.progress import Progress
from kernel_core.results.results import open_map
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import ADJECTIVES


@click.command("map")
@source_options
@similarity_option
@csv_option
def lay_out_map(
    source: str,
    run_count: int | None,
    files: int | None,
    device: str,
    memory: int | None,
    precision: str,
    progress_file: Path | None,
    similarity: str,
    csv_file: Path | None,
) -> None:
    """Lay out all examples in the plane, for the app's map.

    Examples of SOURCE that the kernel, or another similarity, finds similar are placed near each other. With
    --csv, also write their positions.

    \b
    Example:  kernel-explorer map digits --csv map.csv
    """
    request = SourceRequest(source, run_count, files, similarities=(similarity,), precision=precision)
    with open_progress(progress_file) as progress:
        layout = _open_or_build_map(request, device, memory, progress)
    counts = zip(layout.counts, SPLIT_ORDER, strict=True)
    examples = " and ".join(f"{count:,} {ADJECTIVES[split]}" for count, split in counts if count)
    in_csv = csv_file is not None and is_stdout(csv_file)
    say(
        f"{request.name}: a map of {examples} examples; of each example's {NEIGHBOR_COUNT} nearest by "
        f"{'the ' * (similarity == 'kernel')}{similarity}, {layout.share_kept:.1%} are among its "
        f"{NEIGHBOR_COUNT} nearest on the map",
        err=in_csv,
    )
    if csv_file is not None:
        write_csv(positions(layout), csv_file)


def _open_or_build_map(request: SourceRequest, device: str, memory: int | None, progress: Progress) -> Map:
    """Return the map from the cache without loading torch or UMAP, or compute it if it is missing."""
    try:
        return open_map(request)
    except NotBuilt:
        from kernel_core import pipeline  # torch takes seconds to load

        return pipeline.build_map(request, device=device, budget=memory, progress=progress)


def positions(layout: Map) -> pd.DataFrame:
    """Return one row per example: split, index within its split, x and y.

    x and y have no unit; only which examples are near each other has a meaning.
    """
    test_count, train_count = layout.counts
    return pd.DataFrame(
        {
            "split": ["test"] * test_count + ["train"] * train_count,
            "index": [*range(test_count), *range(train_count)],
            "x": layout.xy[:, 0],
            "y": layout.xy[:, 1],
        }
    )
