"""`kernel-explorer build` and `kernel-explorer serve`: compute what the cache lacks, and serve the app."""

from __future__ import annotations

import functools
import sys
from typing import Any

import click

from kernel_core.cli import serving
from kernel_core.cli.options import query_option, similarities_option, variant_options, with_results
from kernel_core.cli.output import say
from kernel_core.cli.review_options import verdicts_option
from kernel_core.results.results import Results
from kernel_core.sources.source import SourceRequest


@click.command()
@functools.partial(with_results, complete=True)
@query_option
@variant_options(each=True)
@similarities_option
def build(results: Results) -> None:
    """Compute whatever the cache lacks of SOURCE.

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


@click.command()
@with_results
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
@verdicts_option
@click.pass_obj
def serve(request: SourceRequest, results: Results, host: str, allowed: tuple[str, ...], port: int) -> None:
    """Build whatever the cache lacks, then serve the app.

    The app shows SOURCE at 127.0.0.1, or at --host, until it is stopped with Ctrl-C.

    \b
    Example:  kernel-explorer serve path/to/source.toml --port 8600
    """
    if host not in serving.LOOPBACK:
        say("warning: everybody who reaches this machine can open it; there is no password", err=True)
    sys.exit(serving.serve(request, results.name, port, host=host, allowed=allowed))
