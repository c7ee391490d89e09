"""The command `kernel-explorer`: results on stdout, progress on stderr; exit 0, 1 (failed), 2 (usage)."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import pandas as pd

from kernel_core import __version__
from kernel_core.cli import serving
from kernel_core.cli.bench import bench
from kernel_core.cli.cache import cache
from kernel_core.cli.features import features_command
from kernel_core.cli.map import map_command
from kernel_core.cli.options import (
    Ranks,
    by_query,
    by_similarities,
    by_similarity,
    by_variant,
    opens_source,
    to_csv,
)
from kernel_core.cli.report import report_command
from kernel_core.cli.tables import label_text, print_accuracy, print_evaluation, print_table
from kernel_core.cli.train import train
from kernel_core.errors import KernelExplorerError
from kernel_core.findings.pairs import (
    default_ranks,
    label_mismatches,
    nearest_pairs,
    rank_window,
    with_neighbors,
)
from kernel_core.results.results import Results
from kernel_core.results.results import class_evaluation as class_accuracies
from kernel_core.results.results import evaluation as accuracies
from kernel_core.sources import hub
from kernel_core.sources.catalog import BUILT_IN
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import SIMILARITIES, example_name, parse_example


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
    logging.getLogger("huggingface_hub").propagate = False  # it prints its warnings itself


@main.command()
@opens_source
@by_query
@by_variant(each=True)
@by_similarities
def build(results: Results) -> None:
    """Compute everything the cache lacks of SOURCE.

    \b
    Example:  kernel-explorer build cifar10-multirun --runs 500
    """
    counts = " and ".join(f"{len(found):,} {split}" for split, found in results.examples.items())
    name, _, words = results.title.partition(", ")
    each = f", and by the kernel of each of {len(results.class_neighbors)} classes" * bool(
        results.class_neighbors
    )
    click.echo(f"{name}: {words}, {counts} examples, neighbors by {', '.join(results.neighbors)}{each}")
    for similarity, found in results.neighbors.items():
        if found.certified is not None:
            rest = f"{found.redone:,} searched again in float32"
            click.echo(f"{similarity}: {found.certified:,} of {len(found.indices):,} rows certified, {rest}")


@main.command()
@opens_source
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8501,
    show_default=True,
    is_eager=True,
    callback=lambda *given: serving.free_port(given[2]),
)
@click.pass_obj
def serve(request: SourceRequest, results: Results, port: int) -> None:
    """Serve the app for SOURCE on 127.0.0.1, after building what the cache lacks.

    \b
    Example:  kernel-explorer serve path/to/source.toml --port 8600
    """
    click.echo(f"{results.name} is at http://127.0.0.1:{port}   (stop with Ctrl-C)")
    sys.stdout.flush()
    sys.exit(serving.serve(request, port))


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
@opens_source
@by_query
@by_variant(each=True)
@by_similarities
@click.option("--json", "as_json", is_flag=True, help="One JSON object; accuracies are fractions.")
def evaluate_command(results: Results, as_json: bool) -> None:
    """Accuracy on the query split: single runs, the ensemble, and k-NN by each similarity.

    \b
    Example:  kernel-explorer evaluate digits --json
    """
    accuracy, by_class = accuracies(results), class_accuracies(results)
    if as_json:
        spec = asdict(results.spec)
        asked = {name: spec[name] for name in ("query", "database", "transform", "classes")}
        each = {"kernel_class_knn3": list(by_class.values()) or None}
        click.echo(json.dumps({**asked, **accuracy, **each}))
        return
    click.echo(results.title)
    print_evaluation(accuracy, results.offered)
    for c, value in by_class.items():
        print_accuracy(f"Kernel of class {label_text(c, results.class_names)}, 3 nearest", value)


@main.command()
@opens_source
@by_query
@by_variant(each=False)
@by_similarity
@click.option(
    "--ranks", type=Ranks(), help="First and last rank.  [default: 601-648, scaled to a small test set]"
)
@to_csv
def pairs(
    results: Results,
    similarity: str,
    ranks: tuple[int, int] | None,
    csv_file: Path | None,
) -> None:
    """Near-duplicates: test examples ranked by the similarity to their nearest training example.

    Other splits by --query and --database; within one split each pair stands once.

    \b
    Example:  kernel-explorer pairs digits --ranks 1-20 --csv pairs.csv
    """
    ranking = nearest_pairs(results.neighbors_by(similarity), *results.labels)
    window = rank_window(ranking, *(ranks or default_ranks(len(ranking))))
    print_table(window, results.class_names, csv_file)


@main.command("failures")
@opens_source
@by_query
@by_variant(each=False)
@by_similarity
@click.option(
    "--top", type=click.IntRange(1), default=8, show_default=True, help="Mismatches shown, nearest first."
)
@click.option("--neighbors", "count", type=click.IntRange(1), default=9, show_default=True)
@to_csv
def failures_command(results: Results, similarity: str, top: int, count: int, csv_file: Path | None) -> None:
    """Label mismatches: test examples whose nearest training example has another label.

    Other splits by --query and --database; within one split each pair stands once.

    \b
    Example:  kernel-explorer failures digits --top 8 --neighbors 9
    """
    neighbors = results.neighbors_by(similarity)
    mismatches = label_mismatches(neighbors, *results.labels)
    if len(mismatches) < top:
        click.echo(f"{len(mismatches)} label mismatch(es) in all", err=True)
    table = with_neighbors(mismatches.head(top), neighbors, results.labels[1], count)
    print_table(table, results.class_names, csv_file)


@main.command()
@opens_source
@by_variant(each=False)
@by_similarity
@click.option("--query", "example", required=True, help="The example, as in test:123 or train:123.")
@click.option("--k", type=click.IntRange(1), default=10, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def neighbors(results: Results, similarity: str, example: str, k: int, as_json: bool) -> None:
    """The nearest training examples of one example; --database test for the nearest test examples.

    \b
    Example:  kernel-explorer neighbors digits --query test:123 --k 10
    """
    found = results.neighbors_by(similarity)
    _, index = parse_example(example, {found.spec.query: len(found.indices)})
    nearest, spec, names = found.head(k), found.spec, results.class_names
    query_labels, labels = results.labels
    rows = [
        {"position": n + 1, "database_split": spec.database, "database_index": int(i), "similarity": round(float(v), 6),
         "database_label": int(labels[i]), "database_class": names[labels[i]]}
        for n, (i, v) in enumerate(zip(nearest.indices[index], nearest.values[index], strict=True))
    ]  # fmt: skip
    label = int(query_labels[index])
    if as_json:
        head = {
            "query_split": spec.query,
            "query_index": index,
            "query_label": label,
            "query_class": names[label],
        }
        kernel = {"similarity": similarity, "transform": spec.transform, "classes": spec.classes}
        click.echo(json.dumps({**head, **kernel, "neighbors": rows}))
        return
    by = f"{SIMILARITIES[similarity]} ({spec.variant})" if spec.variant else SIMILARITIES[similarity]
    click.echo(f"{example_name(spec.query, index)}, label {label_text(label, names)}, by {by}")
    click.echo(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.4f}"))


@main.command()
@opens_source
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which random examples are drawn.")
def figures(results: Results, out: Path, seed: int) -> None:
    """Draw the near-duplicates, the failure modes and random examples as PNG files for a paper.

    \b
    Example:  kernel-explorer figures digits --out figures
    """
    from kernel_core.report.figures import draw_all

    for path in draw_all(results, out, seed=seed):
        click.echo(path)


for _verb in (bench, cache, features_command, map_command, report_command, train):
    main.add_command(_verb)


assert set(BUILT_IN) == {"digits", "cifar10-multirun"}, "the verb `sources` describes them one by one"
