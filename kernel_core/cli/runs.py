"""`kernel-explorer runs`: what the first 10, 20, 50, … runs find, beside what all of them find."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kernel_core.cli.options import open_or_build, open_progress, source_options, table_options
from kernel_core.cli.output import say
from kernel_core.cli.tables import give_table, table_text
from kernel_core.progress import Progress
from kernel_core.report.run_counts import SHARES, sentences, table_by_runs
from kernel_core.results.results import Results
from kernel_core.results.run_counts import built_run_counts, read_run_counts
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import run_count_steps

TITLES = {
    "runs": "runs",
    "single": "one run, mean",
    "ensemble": "ensemble",
    "kernel_knn3": "kernel 3-NN",
    "kernel_weighted20": "weighted 20-NN",
    "agreement": "same nearest",
    "pairs_kept": "same pairs",
}


@click.command()
@source_options
@table_options
def runs(
    source: str,
    device: str,
    memory: int | None,
    progress_file: Path | None,
    csv_file: Path | None,
    as_json: bool,
    **amount: Any,
) -> None:
    """Say how many runs are enough: what fewer of them find.

    Compares the first 10, 20, 50, … runs with all: accuracy of one run, the ensemble and the kernel's votes,
    and how many nearest neighbors and first pairs stay the same. What is missing is built.

    \b
    Example:  kernel-explorer runs digits
    """
    request = SourceRequest(source, **amount)
    with open_progress(progress_file) as progress:
        results = open_or_build(request, device, memory, progress)
        table = table_by_runs(_open_or_build_counts(results, request, device, memory, progress), results)
    about = {"name": results.name, "runs": results.run_count, "examples": results.example_counts}
    if give_table(table, "by_runs", about, csv_file=csv_file, as_json=as_json):
        return
    shown = table[list(TITLES)].rename(columns=TITLES)
    for name in SHARES:
        shown[TITLES[name]] = [f"{share:.2%}" for share in table[name]]
    say(*table_text(shown).splitlines())
    if len(table) > 1:
        say(sentences(table, results.spec.database_example))


def _open_or_build_counts(
    results: Results, request: SourceRequest, device: str, memory: int | None, progress: Progress
) -> dict[int, Results]:
    """Return number of runs → results by so many first runs; loads torch only to build what is missing."""
    store, counts = Store(), run_count_steps(results.run_count)
    built = built_run_counts(results, request, store, counts)
    missing = [count for count in counts if count not in built]
    if missing:
        from kernel_core import pipeline  # torch takes seconds to load

        pipeline.build_run_counts(
            request, missing, device=device, budget=memory, progress=progress, store=store
        )
    return read_run_counts(results, request, store, counts)
