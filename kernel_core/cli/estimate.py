"""`kernel-explorer estimate`: what a build of any size would cost."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from kernel_core.cli.option_types import Bytes
from kernel_core.cli.options import json_option
from kernel_core.cli.output import say, say_json
from kernel_core.engines.engine import BLOCK_SECONDS

if TYPE_CHECKING:
    from kernel_core.bench.costs import Size, Step


@click.command()
@click.option("--train", type=click.IntRange(1), required=True, metavar="N", help="Training examples.")
@click.option("--test", type=click.IntRange(1), required=True, metavar="N", help="Test examples.")
@click.option("--classes", type=click.IntRange(2), required=True, metavar="N", help="Classes.")
@click.option("--runs", type=click.IntRange(2), required=True, metavar="N", help="Runs of the ensemble.")
@click.option(
    "--size", "side", type=click.IntRange(0), default=0, metavar="N",
    help="Side of the images in pixels.  [default: 0, labels alone]",
)  # fmt: skip
@click.option(
    "--cores", type=click.IntRange(1), default=2, show_default=True, metavar="N",
    help="Cores that share the work, on one machine or many.",
)  # fmt: skip
@click.option(
    "--memory", type=Bytes(), default="4GB", show_default=True, help="What the search of a worker may take."
)
@click.option(
    "--block-seconds", type=click.FloatRange(0, min_open=True), default=BLOCK_SECONDS, show_default=True,
    metavar="S", help="As of build.",
)  # fmt: skip
@json_option
def estimate(cores: int, memory: int, block_seconds: float, as_json: bool, **of_size: int) -> None:
    """Say what a build of a source of any size would cost.

    It is estimated from times measured per pair and per logit, on a virtual core that does 105 GFLOP/s in
    float32 and has nothing else to do. All cores read images and find neighbors; the other steps take one.
    "read" is of the logits, "kept" stays in the cache.

    \b
    Example:  kernel-explorer estimate --train 1281167 --test 50000 --classes 1000 --runs 10 --cores 64
    """
    from kernel_core.bench.costs import Size, blocks, steps  # torch takes seconds to load

    size = Size(**of_size)
    found, cut = steps(size, memory), blocks(size, block_seconds, memory)
    if as_json:
        say_json({"size": asdict(size), "steps": [asdict(step) for step in found], "blocks": asdict(cut)})
        return
    say(_sentence(size))
    say(f"{'':<26}{'core-seconds':>14}{f'on {cores:,} cores':>16}{'read':>12}{'kept':>12}")
    *built, within = found
    for step in built:
        say(_line(step.name, [step], cores))
    say(_line("a build", built, cores))
    say(_line("more: within train", [within], cores))
    say(
        f"on Ray: {cut.count:,} blocks of {cut.seconds:,.0f} core-seconds for the neighbors test→train; a "
        f"worker takes {size_of(cut.memory)}, reads {size_of(cut.read)} per block and sends back "
        f"{size_of(cut.returned)}"
    )


def _sentence(size: Size) -> str:
    return (
        f"{size.train:,} training and {size.test:,} test examples, {size.classes:,} classes, {size.runs:,} "
        f"runs: {size_of(2 * size.logits)} of logits"
    )


def _sum(parts: list[Step], cores: int) -> tuple[float, float, float, float]:
    """Return core-seconds, time, bytes read and bytes kept of all parts."""
    values = [(part.seconds, part.time(cores), part.read, part.kept) for part in parts]
    seconds, time, read, kept = map(sum, zip(*values, strict=True))
    return seconds, time, read, kept


def _line(name: str, parts: list[Step], cores: int) -> str:
    seconds, time, read, kept = _sum(parts, cores)
    return f"{name:<26}{seconds:>14,.0f}{time_of(time):>16}{size_of(read):>12}{size_of(kept):>12}"


def time_of(seconds: float) -> str:
    """Return a time in the unit that suits it.

    >>> time_of(3), time_of(250), time_of(9000), time_of(400_000)
    ('3 s', '4.2 min', '2.5 h', '4.6 days')
    """
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:,.0f} s"


def size_of(count: float) -> str:
    """Return a number of bytes in the unit that suits it.

    >>> size_of(0), size_of(12_300_000), size_of(266e9)
    ('0 MB', '12 MB', '266 GB')
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:,.3g} {unit}"
    return f"{count / 1e6:,.0f} MB"
