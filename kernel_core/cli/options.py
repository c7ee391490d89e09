"""Options and their types that the verbs share, and how a verb opens its source."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from kernel_core.cli.building import build_pixels
from kernel_core.cli.completion import complete_similarity, complete_source
from kernel_core.cli.engine_options import take_engine
from kernel_core.cli.option_types import Bytes, Classes
from kernel_core.cli.output import is_stdout
from kernel_core.cli.progress import ProgressBars
from kernel_core.engines.engine import LOCAL, Engine
from kernel_core.errors import NotBuilt, RequestError
from kernel_core.held import remove_abandoned
from kernel_core.progress import Progress, ProgressFile
from kernel_core.recipes import HEADS_RUNS
from kernel_core.results.opening import open_results
from kernel_core.results.results import Results
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import PRECISIONS, SPLITS, TRANSFORMS, parse_example

F = TypeVar("F", bound=Callable[..., Any])


def _writable(path: Path | None, option: str = "--csv") -> Path | None:
    """Return the path of a file to write. Raises `RequestError` if its folder does not take it."""
    if path is None or is_stdout(path) or path.exists():
        return path
    folder = Path(os.path.realpath(path)).parent
    if not os.access(folder, os.W_OK | os.X_OK):
        found = "takes no files" if folder.exists() else "does not exist"
        raise RequestError(f"Cannot write {path}: {folder} {found}. Choose another file with {option}.")
    return path


runs_option = click.option(
    "--runs",
    "run_count",
    type=int,
    metavar="N",
    help="Use only the first N runs; of images alone, train N.  "
    f"[default: all; {HEADS_RUNS} of images alone]",
)
device_option = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
)
query_option = click.option(
    "--query",
    type=click.Choice(SPLITS),
    default="test",
    show_default=True,
    help="Find the neighbors of this split's examples. No example is its own neighbor.",
)
similarities_option = click.option(
    "--similarity",
    "similarities",
    metavar="NAME",
    shell_complete=complete_similarity,
    multiple=True,
    help="Use only this similarity; repeat the option for several. Names: kernel, pixels, penultimate, "
    "penultimate-euclidean, nngp, those that the source.toml gives, and variants such as kernel.whitened or "
    "kernel.first-50.  [default: all that SOURCE has, without nngp; kernel if query, database, transform, "
    "classes or whitened are set]",
)
similarity_option = click.option(
    "--similarity",
    metavar="NAME",
    shell_complete=complete_similarity,
    default="kernel",
    show_default=True,
    help="kernel, pixels, penultimate, penultimate-euclidean, nngp, a name that the source.toml gives, or a "
    "variant such as kernel.whitened or kernel.first-50.",
)
csv_option = click.option(
    "--csv",
    "csv_file",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    callback=lambda _context, _option, path: _writable(path),
    is_eager=True,  # refused before anything is built
    help="Write the table to a CSV file; - is stdout.",
)
parquet_option = click.option(
    "--parquet",
    "parquet_file",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    callback=lambda _context, _option, path: _writable(path, "--parquet"),
    is_eager=True,
    help="Write the table to a Parquet file; - is stdout.",
)


def _not_beside_csv(context: click.Context, _option: click.Parameter, as_json: bool) -> bool:
    """Return whether JSON is asked for. Raises `UsageError` if the CSV goes to stdout too."""
    csv_file = context.params.get("csv_file")
    if as_json and csv_file is not None and is_stdout(csv_file):
        raise click.UsageError("--csv - and --json would both go to stdout; give --csv a file.")
    return as_json


json_option = click.option(
    "--json", "as_json", is_flag=True, callback=_not_beside_csv, help="Print one JSON object."
)


def table_options(command: F) -> F:
    """Add `--csv` and `--json`, as `csv_file` and `as_json`; `give_table` does what they say."""
    return add_options((csv_option, json_option), command)


def refuse_two_on_stdout(*files: Path | None, as_json: bool) -> None:
    """Raise `UsageError` if more than one result would go to stdout."""
    if as_json + sum(file is not None and is_stdout(file) for file in files) > 1:
        raise click.UsageError("Several results would go to stdout; write all but one to a file.")


def source_options(command: F, *, runs: Callable[[F], F] = runs_option) -> F:
    """Add SOURCE, and the options that say how much of it to open and how to build it.

    runs: the option `--runs`.
    """
    options = (
        click.argument("source", default="digits", shell_complete=complete_source),
        runs,
        click.option(
            "--files", type=int, metavar="N",
            help="Number of files to download (about 500 runs each); for cifar10-multirun only.",
        ),
        device_option,
        click.option(
            "--memory", type=Bytes(),
            help="Memory budget of the neighbor search.  [default: 40% of what is free; 3GB on CUDA]",
        ),
        click.option(
            "--precision", type=click.Choice(PRECISIONS), default="auto", show_default=True,
            help="How to search on CUDA. exact: float32 products. certified: float16 products propose "
            "candidates, float32 decides, and each row is proved exact. fast: keeps rows without a proof. "
            "auto: certified.",
        ),
        click.option("--progress-file", type=click.Path(path_type=Path), hidden=True),
    )  # fmt: skip
    return add_options(options, command)


def variant_options(*, each: bool) -> Callable[[F], F]:
    """Add the options that choose the kernel and the split of its neighbors.

    each: whether the verb can also show the kernel of each class.
    """
    options = (
        click.option(
            "--database", type=click.Choice(SPLITS),
            help="Find neighbors in this split.  [default: train; test if SOURCE has no training examples]",
        ),
        click.option(
            "--transform", type=click.Choice(list(TRANSFORMS)), default="log_softmax", show_default=True,
            help="Function applied to the logits first. none: use raw logits. centred: subtract their mean "
            "over the classes. shift: that mean alone (experimental).",
        ),
        click.option(
            "--whitened", is_flag=True,
            help="Whiten the kernel's rows by the covariance of the training rows.",
        ),
        click.option(
            "--classes", type=Classes(each=each), default="all", show_default=True,
            metavar="all|0,3|each" if each else "all|0,3",
            help="Average the kernel over these classes."
            + (" each: over all, and separately for each class." if each else ""),
        ),
    )  # fmt: skip
    return lambda command: add_options(options, command)


def add_options(options: tuple[Callable[[F], F], ...], command: F) -> F:
    """Decorate a command with options that its help shows in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def with_results(
    command: F, *, complete: bool = False, lacks: Callable[[Results, dict[str, Any]], bool] | None = None
) -> Callable[..., Any]:
    """Add `source_options`, and call the verb with the source's results, built if necessary.

    complete: also build what most verbs can do without. lacks: whether aligned pixels by the similarity must
    be built too, from results and options. The context's object is the request.
    """

    @source_options
    @functools.wraps(command)
    def wrapped(
        source: str, device: str, memory: int | None, progress_file: Path | None, **options: Any
    ) -> None:
        amount = {name: options.pop(name) for name in ("run_count", "files", "precision")}
        request = SourceRequest(source, **amount, **_take_variant(options))
        engine = take_engine(options)
        with open_progress(progress_file) as progress:
            results = open_or_build(request, device, memory, progress, complete=complete, engine=engine)
            if lacks is not None and lacks(results, options):
                build_pixels(request, options["similarity"], device, memory, progress)
        click.get_current_context().obj = request
        command(results=results, **options)

    return wrapped


def _take_variant(options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of `SourceRequest` that a verb's options set: direction, kernel and similarities.

    Removes them from `options`, except `example` and `similarity`, which the verb needs too.
    """
    fields: dict[str, Any] = {}
    for name in ("query", "database", "transform", "classes", "whitened"):
        if name in options:
            fields[name] = options.pop(name)
    if fields.get("classes") == "all":
        fields["classes"] = None
    if "example" in options:
        fields["query"], _ = parse_example(options["example"])
    if "similarities" in options:
        fields["similarities"] = options.pop("similarities") or None
    elif "similarity" in options:
        fields["similarities"] = (options["similarity"],)
    return fields


def open_progress(progress_file: Path | None) -> ProgressBars | ProgressFile:
    """Return a `Progress` that writes to the file of a watching process, or to stderr if there is none."""
    return ProgressFile(progress_file) if progress_file else ProgressBars()


def open_or_build(
    request: SourceRequest,
    device: str,
    memory: int | None,
    progress: Progress,
    *,
    complete: bool = False,
    engine: Engine = LOCAL,
) -> Results:
    """Return results from the cache without loading torch, or build them if any are missing.

    memory: budget in bytes. complete: as in `open_results`. engine: where neighbors are found.
    Raises any `KernelExplorerError`.
    """
    remove_abandoned(Store().unfinished())  # of builds that were killed
    # Asking for CUDA where there is none is an error even if nothing is left to build.
    if device != "cuda":
        try:
            return open_results(request, complete=complete)
        except NotBuilt:
            pass
    from kernel_core import pipeline  # torch takes seconds to load

    return pipeline.build(request, device=device, budget=memory, progress=progress, engine=engine)
