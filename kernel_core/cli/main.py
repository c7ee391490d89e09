"""The command `kernel-explorer`.

Results go to stdout, progress to stderr. The exit status is 0, 1 (failed), 2 (wrong usage) or 130 (Ctrl-C).
"""

from __future__ import annotations

import errno
import functools
import sys
from dataclasses import asdict
from typing import Any

import click

from kernel_core import __version__, crash
from kernel_core.cli import findings, output, serving
from kernel_core.cli.bench import bench
from kernel_core.cli.cache import cache
from kernel_core.cli.check import check
from kernel_core.cli.features import features
from kernel_core.cli.groups import groups
from kernel_core.cli.map import lay_out_map
from kernel_core.cli.options import query_option, similarities_option, variant_options, with_results
from kernel_core.cli.output import say, say_json
from kernel_core.cli.report import report_command
from kernel_core.cli.sources import sources
from kernel_core.cli.tables import label_text, print_accuracy, print_evaluation
from kernel_core.cli.train import train
from kernel_core.errors import KernelExplorerError
from kernel_core.printable import printable
from kernel_core.results.accuracy import accuracies, class_accuracies
from kernel_core.results.results import Results
from kernel_core.sources.source import SourceRequest


class _Group(click.Group):
    """A group that turns every error of a verb into one line and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except KernelExplorerError as error:
            raise click.ClickException(printable(error)) from None
        except KeyboardInterrupt:
            say("Stopped. Run the same command again to continue; what was finished is kept.", err=True)
            ctx.exit(130)
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # who reads the output has seen enough; click ends without a word
            raise click.ClickException(crash.last_words(error)) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="kernel-explorer")
def main() -> None:
    """Find the training examples that the training process itself treats as similar.

    SOURCE is digits (built in), cifar10-multirun (the published ensemble), the path of a source.toml, or that
    of labeled images: a folder with a folder per class, or a Parquet file. `sources` lists more.

    \b
    Example:  kernel-explorer serve digits
    """
    output.prepare()


@main.command()
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


@main.command()
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
@click.pass_obj
def serve(request: SourceRequest, results: Results, host: str, allowed: tuple[str, ...], port: int) -> None:
    """Build whatever the cache lacks, then serve the app.

    The app shows SOURCE at 127.0.0.1, or at --host, until it is stopped with Ctrl-C.

    \b
    Example:  kernel-explorer serve path/to/source.toml --port 8600
    """
    say(f"{results.name} is at {serving.address_of(host, port)}   (stop with Ctrl-C)")
    if host not in serving.LOOPBACK:
        say("warning: everybody who reaches this machine can open it; there is no password", err=True)
    sys.stdout.flush()
    sys.exit(serving.serve(request, port, host, allowed))


@main.command()
@with_results
@query_option
@variant_options(each=True)
@similarities_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; accuracies are fractions.")
def evaluate(results: Results, as_json: bool) -> None:
    """Print the accuracies of single runs, the ensemble and k-NN.

    All are measured on the query split, k-NN by each similarity.

    \b
    Example:  kernel-explorer evaluate digits --json
    """
    accuracy, by_class = accuracies(results), class_accuracies(results)
    if as_json:
        spec = asdict(results.spec)
        variant = {name: spec[name] for name in ("query", "database", "transform", "classes")}
        by_class_or_none = list(by_class.values()) or None
        say_json({**variant, **accuracy, "kernel_class_knn3": by_class_or_none})
        return
    say(results.title)
    print_evaluation(results, accuracy)
    for c, value in by_class.items():
        print_accuracy(f"Kernel of class {label_text(c, results.class_names)}, 3 nearest", value)


for verb in (
    bench,
    cache,
    check,
    features,
    findings.failures,
    findings.figures,
    findings.neighbors,
    findings.pairs,
    groups,
    lay_out_map,
    report_command,
    sources,
    train,
):
    main.add_command(verb)
