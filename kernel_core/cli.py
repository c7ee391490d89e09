"""The command `kernel-explorer`: results on stdout, progress on stderr; exit 0, 1 (failed), 2 (usage)."""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import click
import pandas as pd
from tqdm import tqdm

from kernel_core import __version__, duplicates, failures, hub, pipeline
from kernel_core.errors import KernelExplorerError, NotBuilt, RequestError
from kernel_core.records import SIMILARITIES, Results
from kernel_core.sources import BUILT_IN, SourceRequest
from kernel_core.store import Store

F = TypeVar("F", bound=Callable[..., Any])
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}


class _Group(click.Group):
    """Turns the errors a user can meet into one message and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KernelExplorerError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="kernel-explorer")
def main() -> None:
    """Which training examples does the training process itself find similar to this one?

    SOURCE is digits (embedded), cifar10-multirun (the published ensemble), or the path of a source.toml.

    \b
    Example:  kernel-explorer serve digits
    """
    logging.basicConfig(format="warning: %(message)s", level=logging.WARNING, stream=sys.stderr)


class _Bytes(click.ParamType[int]):
    """A size such as 500MB or 2GB, in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?B?)", str(value).upper())
        unit = (match[2] + "B" if match[2] in "KMG" and match[2] else match[2]) if match else ""
        if not match or (unit != "B" and unit not in UNITS) or float(match[1]) <= 0:
            self.fail(f"{value!r} is no size; expected a number with KB, MB or GB, as in 2GB.", param, ctx)
        return int(float(match[1]) * UNITS.get(unit, 1))


def _opens_source(command: F) -> Callable[..., Any]:
    """Add SOURCE and the options that say how much of it is opened and how it is built."""

    @click.argument("source", default="digits")
    @click.option("--runs", type=int, help="Use the first so many runs of the ensemble.  [default: all]")
    @click.option("--files", type=int, help="Of cifar10-multirun: download so many files of about 500 runs.")
    @click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
    @click.option(
        "--memory", type=_Bytes(), help="Memory budget of the neighbor search.  [default: 1GB, CUDA 3GB]"
    )
    @click.option("--progress-file", type=click.Path(path_type=Path), hidden=True)
    @functools.wraps(command)
    def wrapped(
        source: str, runs: int | None, files: int | None, device: str, memory: int | None, progress_file: Path | None,
        **options: Any,
    ) -> None:  # fmt: skip
        request = SourceRequest(source, runs, files)
        report = _ProgressFile(progress_file) if progress_file else _ProgressBars()
        with report:
            results = _results(request, device, memory, report)
        command(results=results, request=request, **options)

    return wrapped


def _results(request: SourceRequest, device: str, memory: int | None, report: Any) -> Results:
    """From the cache without loading torch if all is there, else built."""
    if device != "cuda":  # asking for CUDA where there is none is an error even if nothing is left to do
        try:
            return pipeline.open_results(request)
        except NotBuilt:
            pass
    else:
        pipeline.choose_device(device)
    return pipeline.build(request, device=device, budget=memory, progress=report)


class _ProgressBars:
    """One bar a step on stderr; in a file or pipe, one line a step."""

    def __init__(self) -> None:
        self.step, self.bar = "", None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, step: str, done: int, total: int) -> None:
        if step != self.step:
            self.__exit__()
            self.step = step
            if not sys.stderr.isatty():
                click.echo(f"{step} …", err=True)
            layout = "{desc:<44} {percentage:3.0f}% |{bar:30}| {elapsed} (left {remaining})"
            self.bar = tqdm(desc=step, total=total, bar_format=layout, disable=not sys.stderr.isatty())
        if self.bar is not None:
            self.bar.total = total
            self.bar.update(done - self.bar.n)


class _ProgressFile:
    """Progress as JSON in a file, replaced whole at most every fifth of a second, for a process that watches."""

    def __init__(self, path: Path) -> None:
        self.path, self.written = path, 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, KernelExplorerError):
            self._write({"state": "failed", "error": str(error)})
        elif error is not None:
            self._write({"state": "failed", "error": f"The build stopped: {type(error).__name__}: {error}"})
        else:
            self._write({"state": "done"})

    def __call__(self, step: str, done: int, total: int) -> None:
        if time.monotonic() - self.written > 0.2 or done == 0:
            self._write({"state": "running", "step": step, "done": done, "total": total})

    def _write(self, content: dict[str, Any]) -> None:
        temporary = self.path.with_name(f"{self.path.name}.{uuid.uuid4().hex}")
        temporary.write_text(json.dumps(content))
        os.replace(temporary, self.path)
        self.written = time.monotonic()


@main.command()
@_opens_source
def build(results: Results, request: SourceRequest) -> None:
    """Compute everything the cache lacks of SOURCE.

    \b
    Example:  kernel-explorer build cifar10-multirun --runs 500
    """
    train, test = (len(results.examples[split]) for split in ("train", "test"))
    click.echo(
        f"{results.name}: {len(results.predictions.single)} runs, {train:,} train and {test:,} test examples, "
        f"neighbors by {', '.join(results.neighbors)}"
    )


@main.command()
@_opens_source
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8501,
    show_default=True,
    is_eager=True,
    callback=lambda *given: _free_port(given[2]),
)
@click.pass_context
def serve(ctx: click.Context, results: Results, request: SourceRequest, port: int) -> None:
    """Serve the app for SOURCE on 127.0.0.1, after building what the cache lacks.

    \b
    Example:  kernel-explorer serve path/to/source.toml --port 8600
    """
    folder = app_folder()
    environment = dict(os.environ, KERNEL_EXPLORER_CACHE=str(Store().root.absolute()))
    named = Path(request.name).expanduser()
    is_path = request.name.endswith(".toml") or named.is_dir()
    environment["KERNEL_EXPLORER_SOURCE"] = str(named.resolve()) if is_path else request.name
    for option, value in (("RUNS", request.runs), ("FILES", request.files)):
        environment[f"KERNEL_EXPLORER_{option}"] = str(value or "")
    click.echo(f"{results.name} is at http://127.0.0.1:{port}   (stop with Ctrl-C)")
    sys.stdout.flush()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    command += ["--logger.hideWelcomeMessage", "true"]
    if (
        os.name == "posix"
    ):  # become the server: this process has torch loaded if it built, the server must not
        os.chdir(folder)
        os.execve(sys.executable, command, environment)
    ctx.exit(subprocess.call(command, cwd=folder, env=environment))


def app_folder() -> Path:
    """The folder of app.py: the checkout, or the copy inside an installed package."""
    here = Path(__file__).parent
    return here.parent if (here.parent / "app.py").is_file() else here / "app"


def _free_port(port: int) -> int:
    """The port, if it can be listened on; asked before anything is built."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise RequestError(
                f"Port {port} on 127.0.0.1 cannot be used ({error.strerror}); stop the program that has it, or name "
                "another: --port 8502, make run PORT=8502."
            ) from None
    return port


@main.command()
def sources() -> None:
    """List the sources that need no file of yours, and the published training configurations.

    \b
    Example:  kernel-explorer sources
    """
    click.echo(
        "digits                     scikit-learn's 1,797 handwritten digits; an ensemble is trained here"
    )
    click.echo("cifar10-multirun           CIFAR-10 and the published ensemble (downloads about 650 MB)")
    try:
        listing = hub.list_files(hub.LOGITS_REPO)
    except KernelExplorerError as error:
        click.echo(f"  its configurations cannot be listed: {error}", err=True)
    else:
        for name, files in hub.configurations(listing).items():
            click.echo(
                f"cifar10-multirun/{name:<30} {len(files)} file(s) of about 500 runs{' here' * listing.local}"
            )
    click.echo("PATH/source.toml           your own images and logits; the README has the schema")


@main.command("evaluate")
@_opens_source
@click.option("--json", "as_json", is_flag=True, help="One JSON object; accuracies are fractions.")
def evaluate_command(results: Results, request: SourceRequest, as_json: bool) -> None:
    """Accuracy on the test split: single runs, the ensemble, and k-NN by each similarity.

    \b
    Example:  kernel-explorer evaluate digits --json
    """
    accuracy = pipeline.evaluation(results)
    if as_json:
        click.echo(json.dumps(accuracy))
        return
    click.echo(f"{results.name}, {accuracy['runs']} runs")
    for key, title in EVALUATION_TITLES.items():
        value = accuracy[key]
        click.echo(f"{title:<46} {'no features' if value is None else f'{100 * value:6.2f} %'}")


EVALUATION_TITLES = {
    "single": "one run, mean",
    "ensemble": "ensemble (averaged logits)",
    "kernel_knn3": "kernel, 3 nearest",
    "kernel_weighted20": "kernel, 20 nearest weighted by value^4",
    "penultimate_knn3": "penultimate features (cosine), 3 nearest",
    "pixels_knn3": "pixels, 3 nearest",
}
by_similarity = click.option(
    "--similarity", type=click.Choice(list(SIMILARITIES)), default="kernel", show_default=True
)
to_csv = click.option(
    "--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write CSV there."
)


class _Ranks(click.ParamType[tuple[int, int]]):
    """A window of ranks such as 601-648."""

    name = "first-last"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        match = re.fullmatch(r"(\d+)(?:[-–](\d+))?", str(value))
        if not match:
            self.fail(f"{value!r} is no window of ranks; expected first-last, as in 601-648.", param, ctx)
        return int(match[1]), int(match[2] or match[1])


@main.command()
@_opens_source
@by_similarity
@click.option(
    "--ranks", type=_Ranks(), help="First and last rank.  [default: 601-648, scaled to a small test set]"
)
@to_csv
def pairs(
    results: Results,
    request: SourceRequest,
    similarity: str,
    ranks: tuple[int, int] | None,
    csv_file: Path | None,
) -> None:
    """Near-duplicates: test examples ranked by the similarity to their nearest training example.

    \b
    Example:  kernel-explorer pairs digits --ranks 1-20 --csv pairs.csv
    """
    ranking = duplicates.nearest_pairs(results.neighbors_by(similarity), *results.labels)
    window = duplicates.rank_window(ranking, *(ranks or duplicates.default_ranks(len(ranking))))
    _print_table(window, results.class_names, csv_file)


@main.command("failures")
@_opens_source
@by_similarity
@click.option(
    "--top", type=click.IntRange(1), default=8, show_default=True, help="Mismatches shown, nearest first."
)
@click.option("--neighbors", "count", type=click.IntRange(1), default=9, show_default=True)
@to_csv
def failures_command(
    results: Results, request: SourceRequest, similarity: str, top: int, count: int, csv_file: Path | None
) -> None:
    """Label mismatches: test examples whose nearest training example has another label.

    \b
    Example:  kernel-explorer failures digits --top 8 --neighbors 9
    """
    neighbors = results.neighbors_by(similarity)
    mismatches = failures.label_mismatches(neighbors, *results.labels)
    if len(mismatches) < top:
        click.echo(f"{len(mismatches)} label mismatch(es) in all", err=True)
    table = failures.with_neighbors(mismatches.head(top), neighbors, results.labels[1], count)
    _print_table(table, results.class_names, csv_file)


def _print_table(table: pd.DataFrame, class_names: tuple[str, ...], csv_file: Path | None) -> None:
    """To a CSV file as it is; to a terminal with the classes' names beside their numbers."""
    if csv_file is not None:
        temporary = csv_file.with_name(f".{csv_file.name}.{uuid.uuid4().hex}")
        try:
            table.to_csv(temporary, index=False)
            os.replace(temporary, csv_file)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise RequestError(
                f"Cannot write {csv_file} ({error.strerror or error}); name another --csv."
            ) from None
        click.echo(f"{len(table)} rows written to {csv_file}")
        return
    shown = table.copy()
    for column in ("query_label", "database_label"):
        shown[column] = [_label_text(label, class_names) for label in table[column]]
    click.echo(shown.to_string(index=False, float_format=lambda value: f"{value:.4f}"))


def _label_text(label: int, class_names: tuple[str, ...]) -> str:
    name = class_names[label]
    return name if name == str(label) else f"{label} {name}"


@main.command()
@_opens_source
@by_similarity
@click.option("--query", required=True, help="The example, as in test:123.")
@click.option("--k", type=click.IntRange(1), default=10, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def neighbors(
    results: Results, request: SourceRequest, similarity: str, query: str, k: int, as_json: bool
) -> None:
    """The nearest training examples of one test example.

    \b
    Example:  kernel-explorer neighbors digits --query test:123 --k 10
    """
    found = results.neighbors_by(similarity)
    index = _query_index(query, len(found.indices))
    if k > found.k:
        raise RequestError(f"{k} neighbors were asked for; {found.k} are kept, so ask for 1 to {found.k}.")
    test, train = results.labels
    rows = [
        {"position": n + 1, "database_split": "train", "database_index": int(i), "similarity": round(float(v), 6),
         "database_label": int(train[i]), "database_class": results.class_names[train[i]]}
        for n, (i, v) in enumerate(zip(found.indices[index, :k], found.values[index, :k], strict=True))
    ]  # fmt: skip
    label = int(test[index])
    if as_json:
        head = {"query_split": "test", "query_index": index, "query_label": label, "similarity": similarity}
        click.echo(json.dumps({**head, "query_class": results.class_names[label], "neighbors": rows}))
        return
    click.echo(
        f"test:{index}, label {_label_text(label, results.class_names)}, by {SIMILARITIES[similarity]}"
    )
    click.echo(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.4f}"))


def _query_index(query: str, count: int) -> int:
    match = re.fullmatch(r"test:(\d+)", query)
    if not match:
        raise RequestError(f"{query!r} is no example with neighbors; expected test:0 … test:{count - 1}.")
    if int(match[1]) >= count:
        raise RequestError(f"{query} is out of range; expected test:0 … test:{count - 1}.")
    return int(match[1])


@main.command()
@_opens_source
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which random examples are drawn.")
def figures(results: Results, request: SourceRequest, out: Path, seed: int) -> None:
    """Draw the near-duplicates, the failure modes and random examples as PNG files for a paper.

    \b
    Example:  kernel-explorer figures digits --out figures
    """
    from kernel_core.figures import draw_all

    for path in draw_all(results, out, seed=seed):
        click.echo(path)


@main.group()
def cache() -> None:
    """The cache: everything in it can be computed again.

    \b
    Example:  kernel-explorer cache list
    """


@cache.command("list")
def cache_list() -> None:
    """List the entries, the last used first.

    \b
    Example:  kernel-explorer cache list
    """
    entries = Store().entries()
    for entry in entries:
        day = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        click.echo(
            f"{entry.kind:<12} {entry.key[:12]}  {entry.bytes / 1e6:9.2f} MB  {day}  {entry.about or 'damaged'}"
        )
    click.echo(f"{len(entries)} entries, {sum(e.bytes for e in entries) / 1e6:.2f} MB in {Store().root}")


@cache.command()
@click.option("--days", type=click.FloatRange(0), default=30, show_default=True)
def prune(days: float) -> None:
    """Remove entries that are damaged, of an older format, or unused for some days.

    \b
    Example:  kernel-explorer cache prune --days 7
    """
    click.echo(f"{len(Store().prune(days))} removed from {Store().root}")


@cache.command()
def clear() -> None:
    """Remove every entry.

    \b
    Example:  kernel-explorer cache clear
    """
    click.echo(f"{len(Store().clear())} removed from {Store().root}")


assert set(BUILT_IN) == {"digits", "cifar10-multirun"}, "the verb `sources` describes them one by one"
