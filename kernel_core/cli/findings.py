"""The verbs that print or draw findings: `failures`, `neighbors` and `figures`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pandas as pd

from kernel_core.cli.by_verdict import by_verdict, judged_options
from kernel_core.cli.options import (
    query_option,
    similarity_option,
    table_options,
    variant_options,
    with_results,
)
from kernel_core.cli.output import say, say_json
from kernel_core.cli.tables import (
    about_results,
    give_table,
    label_text,
    print_pairs,
    table_text,
)
from kernel_core.findings.label_orders import ORDERS, labels_in_doubt, with_labels
from kernel_core.findings.pairs import (
    expand_neighbors,
    with_class_names,
)
from kernel_core.library_caches import prepare_matplotlib
from kernel_core.records import Neighbors
from kernel_core.results.results import Results
from kernel_core.spec import example_name, parse_class, parse_example


@click.command()
@with_results
@query_option
@variant_options(each=False)
@similarity_option
@click.option(
    "--top",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Number of examples to list.",
)
@click.option(
    "--neighbors",
    "neighbor_count",
    type=click.IntRange(1),
    default=9,
    show_default=True,
    help="Number of neighbors to list for each.",
)
@click.option(
    "--order",
    type=click.Choice(list(ORDERS)),
    default=next(iter(ORDERS)),
    show_default=True,
    help="most similar: examples whose nearest has another label. label to check: all examples, the label "
    "that the ensemble and the 20 nearest support least first.",
)
@click.option("--label", metavar="NAME", help="List only examples of this class.")
@click.option(
    "--against",
    metavar="NAME",
    help="List only examples whose nearest is of this class; for label to check, whose neighbors vote so.",
)
@judged_options("label", "examples whose labels")
@table_options
def failures(
    results: Results,
    similarity: str,
    top: int,
    neighbor_count: int,
    csv_file: Path | None,
    as_json: bool,
    **choice: str | None,
) -> None:
    """List examples whose label is in doubt, each with its neighbors.

    By default, test examples whose nearest training example has another label; --query and --database
    choose other splits. Within one split, each pair is listed once.

    \b
    Example:  kernel-explorer failures digits --top 8 --neighbors 9
    Example:  kernel-explorer failures digits --order "label to check"
    """
    by_similarity = results.neighbors_by(similarity)
    verdicts = by_verdict(results, click.get_current_context().obj, "label", choice)
    listed = verdicts.select(_in_doubt(results, by_similarity, **choice))
    if len(listed) < top:
        say(f"{len(listed)} label mismatch(es) in all", err=True)
    table = expand_neighbors(listed.head(top), by_similarity, results.labels[1], neighbor_count)
    table = verdicts.with_columns(with_class_names(table, results.class_names))
    about = {**about_results(results, similarity), "count": len(listed)}
    if not give_table(table, "failures", about, csv_file=csv_file, as_json=as_json):
        print_pairs(table, results.class_names)


def _in_doubt(
    results: Results, neighbors: Neighbors, *, order: str | None, label: str | None, against: str | None
) -> pd.DataFrame:
    """Return the examples that the options of `failures` choose, in their order."""
    table = labels_in_doubt(neighbors, results.labels, results.predictions, order or "")
    numbers = [None if name is None else parse_class(name, results.class_names) for name in (label, against)]
    return with_labels(table, *numbers)


@click.command()
@with_results
@variant_options(each=False)
@similarity_option
@click.option("--query", "example", required=True, help="The example, as in test:123 or train:123.")
@click.option(
    "--k", type=click.IntRange(1), default=10, show_default=True, help="Number of neighbors to list."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def neighbors(results: Results, similarity: str, example: str, k: int, as_json: bool) -> None:
    """List the nearest neighbors of one example.

    By default, training examples; with --database test, test examples.

    \b
    Example:  kernel-explorer neighbors digits --query test:123 --k 10
    """
    by_similarity = results.neighbors_by(similarity)
    spec, names = by_similarity.spec, results.class_names
    _, index = parse_example(example, {spec.query: len(by_similarity.indices)})
    rows = _neighbor_rows(results, by_similarity.head(k), index)
    label = int(results.labels[0][index])
    if as_json:
        query = {
            "query_split": spec.query, "query_index": index, "query_label": label, "query_class": names[label]
        }  # fmt: skip
        kernel = {name: getattr(spec, name) for name in ("transform", "classes", "whitened")}
        say_json({**query, "similarity": similarity, **kernel, "neighbors": rows})
        return
    by = results.title_of(similarity)
    by = f"{by} ({spec.variant})" if spec.variant and similarity == "kernel" else by
    say(f"{example_name(spec.query, index)}, label {label_text(label, names)}, by {by}")
    say(*table_text(pd.DataFrame(rows)).splitlines())


def _neighbor_rows(results: Results, by_similarity: Neighbors, index: int) -> list[dict[str, Any]]:
    """Return one row per neighbor of the query example `index`, nearest first."""
    labels = results.labels[1]
    nearest = zip(by_similarity.indices[index], by_similarity.values[index], strict=True)
    return [
        {
            "position": position,
            "database_split": by_similarity.spec.database,
            "database_index": int(i),
            "similarity": round(float(value), 6),
            "database_label": int(labels[i]),
            "database_class": results.class_names[labels[i]],
        }
        for position, (i, value) in enumerate(nearest, start=1)
    ]


@click.command()
@with_results
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random examples.")
def figures(results: Results, out: Path, seed: int) -> None:
    """Draw figures for a paper, as PNG files.

    They show near-duplicates, label mismatches and random examples.

    \b
    Example:  kernel-explorer figures digits --out figures
    """
    prepare_matplotlib()
    from kernel_core.report.figures import draw_all  # matplotlib takes a second to load

    for path in draw_all(results, out, seed=seed):
        say(path)
