"""What the verbs of the command line share: opening a source, its options, and the forms their values take."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from kernel_core.errors import NotBuilt
from kernel_core.progress import ProgressBars, ProgressFile
from kernel_core.records import SIMILARITIES, Progress, Results
from kernel_core.results import open_results
from kernel_core.sources import SourceRequest

F = TypeVar("F", bound=Callable[..., Any])
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}


class Bytes(click.ParamType[int]):
    """A size such as 500MB or 2GB, in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?B?)", str(value).upper())
        unit = (match[2] + "B" if match[2] in "KMG" and match[2] else match[2]) if match else ""
        if not match or (unit != "B" and unit not in UNITS) or float(match[1]) <= 0:
            self.fail(f"{value!r} is no size; expected a number with KB, MB or GB, as in 2GB.", param, ctx)
        return int(float(match[1]) * UNITS.get(unit, 1))


class Ranks(click.ParamType[tuple[int, int]]):
    """A window of ranks such as 601-648."""

    name = "first-last"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        match = re.fullmatch(r"(\d+)(?:[-–](\d+))?", str(value))
        if not match:
            self.fail(f"{value!r} is no window of ranks; expected first-last, as in 601-648.", param, ctx)
        return int(match[1]), int(match[2] or match[1])


def opens_source(command: F) -> Callable[..., Any]:
    """Add SOURCE and the options that say how much of it is opened and how it is built."""

    @click.argument("source", default="digits")
    @click.option("--runs", type=int, help="Use the first so many runs of the ensemble.  [default: all]")
    @click.option("--files", type=int, help="Of cifar10-multirun: download so many files of about 500 runs.")
    @click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
    @click.option(
        "--memory", type=Bytes(), help="Memory budget of the neighbor search.  [default: 1GB, CUDA 3GB]"
    )
    @click.option("--progress-file", type=click.Path(path_type=Path), hidden=True)
    @functools.wraps(command)
    def wrapped(
        source: str, runs: int | None, files: int | None, device: str, memory: int | None, progress_file: Path | None,
        **options: Any,
    ) -> None:  # fmt: skip
        request = SourceRequest(source, runs, files)
        report = ProgressFile(progress_file) if progress_file else ProgressBars()
        with report:
            results = _results(request, device, memory, report)
        click.get_current_context().obj = request  # for the verb that passes it on
        command(results=results, **options)

    return wrapped


def _results(request: SourceRequest, device: str, memory: int | None, report: Progress) -> Results:
    """From the cache without loading torch if all is there, else built."""
    if device != "cuda":  # asking for CUDA where there is none is an error even if nothing is left to do
        try:
            return open_results(request)
        except NotBuilt:
            pass
    from kernel_core import pipeline  # torch takes seconds to load

    return pipeline.build(request, device=device, budget=memory, progress=report)


by_similarity = click.option(
    "--similarity", type=click.Choice(list(SIMILARITIES)), default="kernel", show_default=True
)
to_csv = click.option(
    "--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write CSV there."
)
