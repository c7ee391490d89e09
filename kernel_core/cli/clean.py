"""`kernel-explorer clean`: a cleaned set from what was judged, in the forms that other tools read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from kernel_core import __version__
from kernel_core.cli.building import build_pixels
from kernel_core.cli.options import open_or_build, open_progress, similarity_option, source_options
from kernel_core.cli.output import say
from kernel_core.cli.review_options import leaked_option, read_verdicts, rule_option, verdicts_option
from kernel_core.errors import NotBuilt, RequestError
from kernel_core.exports.decisions import LABELS, SIDES, Rules
from kernel_core.exports.folder import FORMATS, Asked, files_of
from kernel_core.records import Neighbors
from kernel_core.report.report_files import refuse_unwritable, write_files
from kernel_core.results.opening import open_results
from kernel_core.results.pair_orders import lacks_pixels
from kernel_core.results.results import Results
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import Split


def _described(choices: dict[str, str]) -> str:
    return "  ".join(f"{name}: {about}." for name, about in choices.items())


@click.command()
@source_options
@similarity_option
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR",
    help="Write the files to this folder; others in it stay.",
)  # fmt: skip
@click.option(
    "--drop", "side", type=click.Choice(list(SIDES)), default="test", show_default=True,
    help="What to drop of duplicates between the splits. " + _described(SIDES),
)  # fmt: skip
@click.option(
    "--labels", type=click.Choice(list(LABELS)), default="correct", show_default=True,
    help="What to do with labels that were judged wrong. " + _described(LABELS),
)  # fmt: skip
@click.option(
    "--machine", is_flag=True,
    help="Count what nobody judged, too: copies equal in every byte, and the first band of the twin score.",
)  # fmt: skip
@rule_option
@leaked_option
@click.option(
    "--format", "formats", type=click.Choice(list(FORMATS)), multiple=True,
    help="Write only this; repeat the option for several.  [default: all]  " + _described(FORMATS),
)  # fmt: skip
@verdicts_option
def clean(
    source: str,
    device: str,
    memory: int | None,
    progress_file: Path | None,
    similarity: str,
    out: Path,
    **options: Any,
) -> None:
    """Write a cleaned set: what to keep, what to drop, and why.

    It comes from the verdicts of people, and from what machines find only with --machine. Duplicates within a
    split keep one of each group. Neighbors are written in the directions that are built.

    \b
    Example:  kernel-explorer clean digits --machine --out cleaned
    """
    refuse_unwritable(out)
    amount = {name: options[name] for name in ("run_count", "files", "precision")}
    request = SourceRequest(source, **amount, similarities=(similarity,))
    with open_progress(progress_file) as progress:
        results = open_or_build(request, device, memory, progress)
        kernel = open_or_build(SourceRequest(source, **amount), device, memory, progress)
        if options["machine"] and kernel.has_images and lacks_pixels(kernel, "kernel", "twin"):
            build_pixels(request, "kernel", device, memory, progress)
    judged = read_verdicts(kernel, request)
    rules = Rules(options["rule"], options["leaked"], options["side"], options["labels"], options["machine"])
    tables = _tables(request, results, similarity)
    asked = Asked(rules, similarity, options["formats"] or tuple(FORMATS), tables, __version__)
    whole = replace(kernel, neighbors={**results.neighbors, **kernel.neighbors})
    cleaned, files = files_of(whole, judged, asked)
    for path in write_files(out, files):
        say(f"written: {path}", err=True)
    counts = [
        f"{len(kept):,} of {whole.example_counts[split]:,} {split}" for split, kept in cleaned.keep.items()
    ]
    say(f"Kept: {' and '.join(counts)} examples. Labels to correct: {len(cleaned.corrections):,}.")


def _tables(request: SourceRequest, results: Results, similarity: str) -> dict[Split, Neighbors]:
    """Return the neighbors to give, by query split: those within it, where they are built."""
    tables: dict[Split, Neighbors] = {results.query: results.neighbors_by(similarity)}
    for split in results.examples:
        try:
            own = open_results(replace(request, query=split, database=split))
        except (NotBuilt, RequestError):
            say(
                f"no neighbors within {split}: build them with `kernel-explorer build {request.name} --query "
                f"{split} --database {split}`",
                err=True,
            )
            continue
        tables[split] = own.neighbors_by(similarity)
    return tables
