"""What the verbs of the command line share: opening a source, its options, and the forms their values take."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from kernel_core.errors import NotBuilt
from kernel_core.progress import Progress, ProgressBars, ProgressFile
from kernel_core.results.results import Results, open_results
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import PRECISIONS, SIMILARITIES, SPLITS, TRANSFORMS, parse_example

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


class Classes(click.ParamType["tuple[int, ...] | str"]):
    """all, class numbers such as 0,3 in any order, or where the verb can show it, each."""

    name = "classes"

    def __init__(self, *, each: bool) -> None:
        self.words = ("all", "each") if each else ("all",)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...] | str:
        if value in self.words:
            return str(value)
        if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", str(value)):
            known = ", ".join(self.words)
            self.fail(f"{value!r} names no classes here; expected {known}, or numbers as in 0,3.", param, ctx)
        return tuple(sorted(map(int, str(value).split(","))))  # one given twice is for the spec to refuse


first_runs = click.option(
    "--runs", type=int, help="Use the first so many runs of the ensemble.  [default: all]"
)


def names_source(command: F, *, runs: Callable[[F], F] = first_runs) -> F:
    """Add SOURCE and the options that say how much of it is opened and how it is built; runs: the option `--runs`."""
    added = (
        click.option("--progress-file", type=click.Path(path_type=Path), hidden=True),
        click.option(
            "--precision", type=click.Choice(PRECISIONS), default="auto", show_default=True,
            help="On CUDA, how neighbors are found. exact: float32 products. certified: float16 products propose, "
            "float32 decides, each row is proved. fast: rows without a proof stay as they are. auto: certified.",
        ),
        click.option(
            "--memory", type=Bytes(), help="Memory budget of the neighbor search.  [default: 1GB, CUDA 3GB]"
        ),
        click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True),
        click.option("--files", type=int, help="Of cifar10-multirun: download so many files of about 500 runs."),
        runs,
        click.argument("source", default="digits"),
    )  # fmt: skip
    for option in added:  # the last added stands first
        command = option(command)
    return command


def reports_to(progress_file: Path | None) -> ProgressBars | ProgressFile:
    """Where a verb tells its progress: the file that a watching process named, else stderr."""
    return ProgressFile(progress_file) if progress_file else ProgressBars()


def opens_source(command: F) -> Callable[..., Any]:
    """Add `names_source`'s options, and give the verb what they name, built."""

    @names_source
    @functools.wraps(command)
    def wrapped(
        source: str, device: str, memory: int | None, progress_file: Path | None, **options: Any
    ) -> None:
        asked = {name: options.pop(name) for name in ("files", "precision")}
        request = SourceRequest(source, options.pop("runs"), **asked, **_variant(options))
        with reports_to(progress_file) as report:
            results = results_of(request, device, memory, report, complete=command.__name__ == "build")
        click.get_current_context().obj = request  # for the verb that passes it on
        command(results=results, **options)

    return wrapped


def _variant(options: dict[str, Any]) -> dict[str, Any]:
    """What a verb's options say of direction, kernel and similarities, as a `SourceRequest` takes it.

    Takes out of `options` what the verb itself has no use for: all but `similarity` and `example`.
    """
    asked = {name: options.pop(name) for name in VARIANT if name in options}
    if asked.get("classes") == "all":
        asked["classes"] = None
    if "example" in options:
        asked["query"], _ = parse_example(options["example"])
    if "similarities" in options:
        asked["similarities"] = options.pop("similarities") or None
    elif "similarity" in options:
        asked["similarities"] = (options["similarity"],)
    return asked


def results_of(
    request: SourceRequest, device: str, memory: int | None, report: Progress, *, complete: bool = False
) -> Results:
    """From the cache without loading torch if all is there, else built; `complete` with what verbs can do without.

    Raises any `KernelExplorerError`.
    """
    if device != "cuda":  # asking for CUDA where there is none is an error even if nothing is left to do
        try:
            return open_results(request, complete=complete)
        except NotBuilt:
            pass
    from kernel_core import pipeline  # torch takes seconds to load

    return pipeline.build(request, device=device, budget=memory, progress=report)


VARIANT = ("query", "database", "transform", "classes")


def by_variant(*, each: bool) -> Callable[[F], F]:
    """Add the options that say which kernel, and among which examples its neighbors are.

    each: whether the verb can take the kernels of each class one by one.
    """
    one_by_one = " each: all together, and each alone." if each else ""
    added = (
        click.option(
            "--classes", type=Classes(each=each), default="all", show_default=True,
            metavar="all|0,3|each" if each else "all|0,3",
            help=f"Classes that the kernel is averaged over.{one_by_one}",
        ),
        click.option(
            "--transform", type=click.Choice(list(TRANSFORMS)), default="log_softmax", show_default=True,
            help="What the kernel correlates; none: raw logits.",
        ),
        click.option(
            "--database", type=click.Choice(SPLITS),
            help="Neighbors are from this split.  [default: train, or test where SOURCE has no other]",
        ),
    )  # fmt: skip

    def add(command: F) -> F:
        for option in added:
            command = option(command)
        return command

    return add


by_query = click.option(
    "--query",
    type=click.Choice(SPLITS),
    default="test",
    show_default=True,
    help="Neighbors are of the examples of this split, each never its own.",
)
by_similarities = click.option(
    "--similarity",
    "similarities",
    type=click.Choice(list(SIMILARITIES)),
    multiple=True,
    help="This similarity alone; give it again for more.  [default: all that SOURCE has, or the kernel where query, "
    "database, transform or classes are given]",
)
by_similarity = click.option(
    "--similarity", type=click.Choice(list(SIMILARITIES)), default="kernel", show_default=True
)
to_csv = click.option(
    "--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write CSV there."
)
