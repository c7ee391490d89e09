"""`kernel-explorer map`: place all examples in the plane, near the ones they are similar to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from kernel_core.cli.engine_options import engine_options, take_engine
from kernel_core.cli.options import (
    open_or_build,
    open_progress,
    similarity_option,
    source_options,
    table_options,
)
from kernel_core.cli.output import is_stdout, say
from kernel_core.cli.tables import give_table
from kernel_core.engines.engine import Engine
from kernel_core.errors import NotBuilt
from kernel_core.findings.map_layout import NEIGHBOR_COUNT, SPLIT_ORDER, Map
from kernel_core.progress import Progress
from kernel_core.results.opening import open_map
from kernel_core.results.results import Results
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import ADJECTIVES


@click.command("map")
@source_options
@engine_options
@similarity_option
@table_options
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
    as_json: bool,
    **where: Any,
) -> None:
    """Lay out all examples in the plane, for the app's map.

    Examples of SOURCE that the kernel, or another similarity, finds similar are placed near each other. With
    --csv or --json, also give their positions. With --engine ray, a cluster finds the neighbors; the layout
    itself takes one core here.

    \b
    Example:  kernel-explorer map digits --csv map.csv
    """
    request = SourceRequest(source, run_count, files, similarities=(similarity,), precision=precision)
    engine = take_engine(where)
    asks_for_table = as_json or csv_file is not None
    with open_progress(progress_file) as progress:
        layout = _open_or_build_map(request, device, memory, progress, engine)
        results = open_or_build(request, device, memory, progress, engine=engine) if asks_for_table else None
    is_on_stdout = as_json or (csv_file is not None and is_stdout(csv_file))
    say(_sentence(request, layout), err=is_on_stdout)
    if results is not None:
        about = {
            "name": results.name,
            "similarity": similarity,
            "examples": results.example_counts,
            "neighbors": NEIGHBOR_COUNT,
            "share_kept": layout.share_kept,
        }
        give_table(positions(layout, results), "positions", about, csv_file=csv_file, as_json=as_json)


def _sentence(request: SourceRequest, layout: Map) -> str:
    """Return what was laid out, and how faithful it is."""
    counts = zip(layout.counts, SPLIT_ORDER, strict=True)
    examples = " and ".join(f"{count:,} {ADJECTIVES[split]}" for count, split in counts if count)
    by = f"the {request.map_by}" if request.map_by == "kernel" else request.map_by
    return (
        f"{request.name}: a map of {examples} examples; of each example's {NEIGHBOR_COUNT} nearest by {by}, "
        f"{layout.share_kept:.1%} are among its {NEIGHBOR_COUNT} nearest on the map"
    )


def _open_or_build_map(
    request: SourceRequest, device: str, memory: int | None, progress: Progress, engine: Engine
) -> Map:
    """Return the map from the cache without loading torch or UMAP, or compute it if it is missing."""
    try:
        return open_map(request)
    except NotBuilt:
        from kernel_core import pipeline  # torch takes seconds to load

        return pipeline.build_map(request, device=device, budget=memory, progress=progress, engine=engine)


def positions(layout: Map, results: Results) -> pd.DataFrame:
    """Return one row per example: split, index within its split, x, y, label and class_name.

    x and y have no unit; only which examples are near each other has a meaning.
    """
    labels = np.concatenate(
        [results.examples[split].labels for split in SPLIT_ORDER if split in results.examples]
    )
    test_count, train_count = layout.counts
    return pd.DataFrame(
        {
            "split": ["test"] * test_count + ["train"] * train_count,
            "index": [*range(test_count), *range(train_count)],
            "x": layout.xy[:, 0],
            "y": layout.xy[:, 1],
            "label": labels,
            "class_name": [results.class_names[label] for label in labels],
        }
    )
