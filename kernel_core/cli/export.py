"""`kernel-explorer export`: a read-only copy of the findings that needs no server."""

from __future__ import annotations

from pathlib import Path

import click

from kernel_core.cli.options import similarity_option, with_results
from kernel_core.cli.output import say
from kernel_core.cli.progress import ProgressBars
from kernel_core.cli.review_options import verdicts_option
from kernel_core.results.directions import in_direction
from kernel_core.results.grouping import directions_of
from kernel_core.results.results import Results
from kernel_core.results.store import Store
from kernel_core.results.verdicts import read_judged, verdicts_path
from kernel_core.review.verdict_file import VerdictFile
from kernel_core.sources.source import SourceRequest

DEFAULT = 4_000  # rows per list: 46 MB for CIFAR-10 with all directions built


def _new_folder(_context: click.Context, _option: click.Parameter, folder: Path) -> Path:
    """Return the folder. Raises `RequestError`, before anything is built, if it is no place for a copy."""
    from kernel_core.static_copy.writing import refuse_other_folder

    refuse_other_folder(folder)
    return folder


@click.command()
@with_results
@similarity_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    callback=_new_folder,
    is_eager=True,
    help="Write to this new folder, or in the place of an earlier copy.",
)
@click.option(
    "--pairs",
    "most",
    type=click.IntRange(1),
    default=DEFAULT,
    show_default=True,
    metavar="N",
    help="First rows of each list to copy, with their images.",
)
@click.option("--no-images", is_flag=True, help="Copy labels and numbers alone.")
@click.option("--anonymous", is_flag=True, help="Leave out notes and the names of reviewers.")
@verdicts_option
@click.pass_obj
def export(
    request: SourceRequest, /, results: Results, similarity: str, out: Path, most: int, **options: bool
) -> None:
    """Write a read-only copy of the findings that needs no server.

    It opens from disk, or from any host of static files: lists, groups, pairs and verdicts, with filters in
    the browser. It has what is built of SOURCE; other lists are named with what builds them.

    \b
    Example:  kernel-explorer export digits --out copy
    """
    from kernel_core.static_copy.writing import Options, write_copy  # jinja2

    parts = [results, *_others(results, request)]
    file = VerdictFile(verdicts_path(request))
    judged = read_judged(results, file)
    for warning in file.warnings:
        say(f"warning: {warning}", err=True)
    chosen = Options(most, images=not options["no_images"], named=not options["anonymous"])
    with ProgressBars() as progress:
        written = write_copy(parts, similarity, judged, out, chosen, progress)
    for missing in written.lacking:
        say(f"not copied: {missing}", err=True)
    say(*written.summary(out))


def _others(results: Results, request: SourceRequest) -> list[Results]:
    """Return the results in the directions that are built beside the one that is open."""
    others = []
    for query, database in directions_of(results):
        if (query, database) != results.spec.splits:
            others.append(in_direction(results, request, Store(), query, database))
    return others
