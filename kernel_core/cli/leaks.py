"""`kernel-explorer leaks`: the leak report, of what was judged and what machines find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from kernel_core.cli.building import build_pixels
from kernel_core.cli.options import (
    add_options,
    open_or_build,
    open_progress,
    similarity_option,
    source_options,
)
from kernel_core.cli.output import say
from kernel_core.cli.review_options import F, leaked_option, read_verdicts, rule_option, verdicts_option
from kernel_core.progress import Progress
from kernel_core.report.leak_files import leak_texts
from kernel_core.report.leak_pairs import Asked
from kernel_core.report.leak_report import leak_report
from kernel_core.report.leak_review import architecture
from kernel_core.report.leak_words import leak_document
from kernel_core.report.report_files import refuse_unwritable, write_files
from kernel_core.results.pair_orders import ORDERS, lacks_pixels
from kernel_core.results.results import Results
from kernel_core.sources.source import SourceRequest


def report_options(name: str) -> Callable[[F], F]:
    """Add the options that both reports have. name: of their files."""
    options = (
        rule_option,
        click.option(
            "--out", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR",
            help=f"Write {name}.json, {name}.md, {name}.html and lists to this folder.",
        ),
        click.option("--no-images", is_flag=True, help=f"Leave pictures out of {name}.html."),
        click.option("--anonymous", is_flag=True, help="Number the reviewers instead of naming them."),
        verdicts_option,
    )  # fmt: skip

    return lambda command: add_options(options, command)


def with_all_similarities(
    request: SourceRequest, similarity: str, device: str, memory: int | None, progress: Progress
) -> Results:
    """Return results by every similarity that the source has, and by one that may be a variant."""
    results = open_or_build(request, device, memory, progress)
    if similarity in results.names:
        return results
    own = open_or_build(replace(request, similarities=(similarity,)), device, memory, progress)
    return replace(results, neighbors={**results.neighbors, similarity: own.neighbors_by(similarity)})


@click.command()
@source_options
@similarity_option
@click.option(
    "--order", type=click.Choice(list(ORDERS)), default=next(iter(ORDERS)), show_default=True,
    help="Ranking that the report goes along. "
    + "  ".join(f"{name}: {about}." for name, about in ORDERS.items()),
)  # fmt: skip
@leaked_option
@click.option(
    "--threshold", type=float,
    help="Least similarity, or twin score with --order twin, of a candidate.  [default: as in groups]",
)  # fmt: skip
@report_options("leak")
def leaks(
    source: str,
    device: str,
    memory: int | None,
    progress_file: Path | None,
    similarity: str,
    out: Path,
    **options: Any,
) -> None:
    """Report how many test examples have a duplicate in training.

    It counts what people judged, with intervals, and says apart from that what machines find. Written to the
    folder: leak.json, leak.md, leak.html, pairs.csv, and lists of the examples to drop.

    \b
    Example:  kernel-explorer leaks digits --out leak
    """
    refuse_unwritable(out)
    asked = Asked(similarity, options["order"], options["rule"], options["leaked"], options["threshold"])
    amount = {name: options[name] for name in ("run_count", "files", "precision")}
    request = SourceRequest(source, **amount)
    with open_progress(progress_file) as progress:
        results = with_all_similarities(request, similarity, device, memory, progress)
        if lacks_pixels(results, similarity, asked.order):
            build_pixels(request, similarity, device, memory, progress)
    judged = read_verdicts(results, request)
    made_by = architecture(request)
    report = leak_report(results, judged, asked, anonymous=options["anonymous"], made_by=made_by)
    for path in write_files(out, leak_texts(report, images=not options["no_images"])):
        say(f"written: {path}", err=True)
    say(*leak_document(report).lead)
