"""`kernel-explorer build` and `kernel-explorer serve`: compute what the cache lacks, and serve the app."""

from __future__ import annotations

import functools
import re
import shlex
import sys
from collections.abc import Mapping
from typing import Any

import click

from kernel_core.cli import serving
from kernel_core.cli.engine_options import engine_options
from kernel_core.cli.options import (
    open_or_build,
    open_progress,
    query_option,
    similarities_option,
    source_options,
    variant_options,
    with_results,
)
from kernel_core.cli.output import say
from kernel_core.cli.review_options import verdicts_option
from kernel_core.errors import NotBuilt
from kernel_core.results.opening import open_results
from kernel_core.results.results import Results
from kernel_core.sources.source import SourceRequest


@click.command()
@functools.partial(with_results, complete=True)
@engine_options
@query_option
@variant_options(each=True)
@similarities_option
def build(results: Results) -> None:
    """Compute whatever the cache lacks of SOURCE.

    Neighbors are found in blocks, which the cache keeps until all are done: a build that was stopped goes on
    where it was. With --engine ray, the workers of a cluster do the blocks.

    \b
    Example:  kernel-explorer build cifar10-multirun --runs 500
    """
    name, _, details = results.title.partition(", ")
    counts = " and ".join(f"{len(examples):,} {split}" for split, examples in results.examples.items())
    by = ", ".join(results.neighbors)
    if results.class_neighbors:
        by += f", and by the kernel of each of {len(results.class_neighbors)} classes"
    say(f"{name}: {details}, {counts} examples, neighbors by {by}")
    for similarity, neighbors in results.neighbors.items():
        if neighbors.certified is not None:
            say(
                f"{similarity}: {neighbors.certified:,} of {len(neighbors.indices):,} rows certified, "
                f"{neighbors.redone:,} searched again in float32"
            )


def _claimed(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """Return the value of --host or --port; claim the port until the verb ends, once both are known.

    Raises `RequestError` if it is taken.
    """
    known = {**context.params, str(option.name): value}
    if "host" in known and "port" in known:
        context.call_on_close(serving.claim_port(known["port"], known["host"]).close)
    return value


def _site(_context: click.Context, _option: click.Parameter, sites: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values of --framed-by. Raises `BadParameter` for what is no site: it becomes a header."""
    for site in sites:
        if not re.fullmatch(r"https?://[a-z0-9.-]+(:[0-9]+)?", site):
            raise click.BadParameter(f"{site!r} is no site; expected one such as https://huggingface.co.")
    return sites


@click.command()
@source_options
@click.option(
    "--host",
    default=serving.LOCAL,
    show_default=True,
    envvar="STREAMLIT_SERVER_ADDRESS",
    is_eager=True,  # a port that is taken is refused before anything is built
    callback=_claimed,
    metavar="ADDRESS",
    help="Listen on this address; 0.0.0.0 for all that this machine has. There is no password.",
)
@click.option(
    "--allow",
    "allowed",
    multiple=True,
    metavar="NAME",
    help="Also answer under this name, as a proxy passes it; repeat the option for several.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8501,
    show_default=True,
    is_eager=True,
    callback=_claimed,
)
@click.option(
    "--read-only",
    is_flag=True,
    envvar=serving.READ_ONLY,
    help="Only show what the cache has: build, train and save nothing, neither now nor from a page.",
)
@click.option(
    "--framed-by",
    "framing",
    multiple=True,
    callback=_site,
    metavar="URL",
    help="Let pages of this site show the app in a frame, as https://huggingface.co does with Spaces; repeat "
    "the option for several. For --read-only alone.",
)
@verdicts_option
def serve(source: str, read_only: bool, framing: tuple[str, ...], **options: Any) -> None:
    """Build whatever the cache lacks, then serve the app.

    The app shows SOURCE at 127.0.0.1, or at --host, until it is stopped with Ctrl-C. With --read-only,
    nothing is built, and torch need not be installed.

    \b
    Example:  kernel-explorer serve path/to/source.toml --port 8600
    """
    if framing and not read_only:
        raise click.UsageError("--framed-by is for --read-only: a page in another's could trick who judges.")
    amount = {name: options[name] for name in ("run_count", "files", "precision")}
    request = SourceRequest(source, **amount)
    results = _open_built(request) if read_only else _open_or_build(request, options)
    if options["host"] not in serving.LOOPBACK:
        say("warning: everybody who reaches this machine can open it; there is no password", err=True)
    where = {name: options[name] for name in ("host", "allowed")}
    variables = {serving.READ_ONLY: "1" if read_only else "", serving.FRAMED_BY: " ".join(framing)}
    sys.exit(serving.serve(request, results.name, options["port"], **where, variables=variables))


def _open_or_build(request: SourceRequest, options: Mapping[str, Any]) -> Results:
    with open_progress(options["progress_file"]) as progress:
        return open_or_build(request, options["device"], options["memory"], progress)


def _open_built(request: SourceRequest) -> Results:
    """Return results from the cache. Raises `NotBuilt`, with the command that builds them."""
    try:
        return open_results(request)
    except NotBuilt as missing:
        raise NotBuilt(
            f"{missing} A read-only server builds nothing. Build them first: kernel-explorer build "
            f"{shlex.quote(request.name)}"
        ) from None
