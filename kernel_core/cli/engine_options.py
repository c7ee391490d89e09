"""The options that say where work is done: on this machine, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from kernel_core.engines.engine import BLOCK_SECONDS, ENGINES, LOCAL, Engine
from kernel_core.engines.ray_cluster import refuse_missing

F = TypeVar("F", bound=Callable[..., Any])

engine_option = click.option(
    "--engine", type=click.Choice(ENGINES), default="local", show_default=True,
    help="Where to do the work. local: on this machine. ray: on a Ray cluster, whose nodes find every file "
    "under the same path.",
)  # fmt: skip
address_option = click.option(
    "--address", metavar="HOST:PORT",
    help="The running Ray cluster to join: HOST:PORT, ray://HOST:PORT, or auto for the one that this machine "
    "is part of.  [default: start Ray on this machine for the time being]",
)  # fmt: skip
workers_option = click.option(
    "--workers", type=click.IntRange(1), metavar="N",
    help="Number of workers, of one thread each.  [default: one per core]",
)  # fmt: skip
block_seconds_option = click.option(
    "--block-seconds", type=click.FloatRange(0, min_open=True), default=BLOCK_SECONDS, show_default=True,
    metavar="S",
    help="About how many core-seconds a block of a neighbor search takes, and at most those of a range of "
    "examples that a cluster's worker does. Finished blocks are kept: a search that was stopped goes on with "
    "the next.",
)  # fmt: skip


def engine_options(command: F) -> F:
    """Add the options of a search in blocks; `take_engine` returns what they say."""
    for option in (block_seconds_option, workers_option, address_option, engine_option):
        command = option(command)
    return command


def take_engine(options: dict[str, Any]) -> Engine:
    """Remove from a verb's options those of `engine_options`, if it has them; return the engine.

    Raises `RequestError` if they do not fit together, `Unavailable` if Ray is asked for and not installed.
    """
    if "block_seconds" not in options:
        return LOCAL
    name, *others = (options.pop(key) for key in ("engine", "address", "workers", "block_seconds"))
    engine = Engine(name, *others)
    refuse_missing(engine)
    return engine
