"""The verbs that print or draw findings: `pairs`, `failures`, `neighbors` and `figures`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pandas as pd

from kernel_core.cli.options import (
    Ranks,
    csv_option,
    query_option,
    similarity_option,
    variant_options,
    with_results,
)
from kernel_core.cli.output import say, say_json
from kernel_core.cli.tables import label_text, print_pairs, table_text
from kernel_core.findings.pairs import (
    default_rank_window,
    expand_neighbors,
    label_mismatches,
    nearest_pairs,
    rank_window,
)
from kernel_core.library_caches import prepare_matplotlib
from kernel_core.records import Neighbors
from kernel_core.results.results import Results
from kernel_core.spec import example_name, parse_example


@click.command()
@with_results
@query_option
@variant_options(each=False)
@similarity_option
@click.option(
    "--ranks", type=Ranks(), help="First and last rank.  [default: 601-648, scaled to a small test set]"
)
@csv_option
def pairs(results: Results, similarity: str, ranks: tuple[int, int] | None, csv_file: Path | None) -> None:
    """List near-duplicates between test and training set.

    Rank test examples by the similarity to their nearest training example. --query and --database
    choose other splits; within one split, each pair is listed once.

    \b
    Example:  kernel-explorer pairs digits --ranks 1-20 --csv pairs.csv
    """
    ranking = nearest_pairs(results.neighbors_by(similarity), *results.labels)
    first, last = ranks or default_rank_window(len(ranking))
    print_pairs(rank_window(ranking, first, last), results.class_names, csv_file)


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
    help="Number of mismatches to list, nearest first.",
)
@click.option(
    "--neighbors",
    "neighbor_count",
    type=click.IntRange(1),
    default=9,
    show_default=True,
    help="Number of neighbors to list for each.",
)
@csv_option
def failures(
    results: Results, similarity: str, top: int, neighbor_count: int, csv_file: Path | None
) -> None:  # fmt: skip
    """List examples whose nearest neighbor has another label.

    By default, test examples with their nearest training examples; --query and --database choose other
    splits. Within one split, each pair is listed once.

    \b
    Example:  kernel-explorer failures digits --top 8 --neighbors 9
    """
    by_similarity = results.neighbors_by(similarity)
    mismatches = label_mismatches(by_similarity, *results.labels)
    if len(mismatches) < top:
        say(f"{len(mismatches)} label mismatch(es) in all", err=True)
    table = expand_neighbors(mismatches.head(top), by_similarity, results.labels[1], neighbor_count)
    print_pairs(table, results.class_names, csv_file)


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
        kernel = {"similarity": similarity, "transform": spec.transform, "classes": spec.classes}
        say_json({**query, **kernel, "neighbors": rows})
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
