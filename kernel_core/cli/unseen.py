"""The verbs `memorization` and `influence`: what runs on subsets of the training set say of its examples."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pandas as pd

from kernel_core.cli.options import (
    F,
    parquet_option,
    query_option,
    refuse_two_on_stdout,
    similarity_option,
    table_options,
    variant_options,
    with_results,
)
from kernel_core.cli.output import is_stdout, say
from kernel_core.cli.tables import about_results, give_table, print_pairs, write_parquet
from kernel_core.findings.influence import CANDIDATES, ORDERS, with_intervals
from kernel_core.findings.pairs import matching_pairs, with_class_names
from kernel_core.results.counterfactuals import influence_on, memorization_of, unseen_of
from kernel_core.results.results import Results
from kernel_core.results.shown import readable
from kernel_core.spec import parse_class

with_complete_results: Callable[..., Any] = functools.partial(with_results, complete=True)


def _list_options(command: F) -> F:
    """Add the options that say which rows are listed, and in which form."""
    for option in (
        parquet_option,
        table_options,
        click.option(
            "--top", type=click.IntRange(1), default=50, show_default=True, help="Number of rows to list."
        ),
    ):
        command = option(command)
    return command


@click.command()
@with_complete_results
@click.option("--class", "class_name", metavar="NAME", help="List only examples with this label.")
@_list_options
def memorization(results: Results, class_name: str | None, **forms: Any) -> None:
    """List training examples that are memorized.

    Runs that trained on them are right, the others wrong. SOURCE needs training masks, as `train heads
    --subset 0.5` writes them.

    \b
    Example:  kernel-explorer memorization my-ensemble --top 100 --csv memorized.csv
    """
    of_class = None if class_name is None else parse_class(class_name, results.class_names)
    table = memorization_of(results, of_class)
    about = {"name": results.name, "runs": unseen_of(results).run_count, "count": len(table)}
    _give(results, "memorization", table, about, **forms)


@click.command()
@with_complete_results
@query_option
@variant_options(each=False)
@similarity_option
@click.option(
    "--order",
    type=click.Choice(ORDERS),
    default=ORDERS[0],
    show_default=True,
    help="First those whose training example raises the label's probability most, or lowers it most.",
)
@click.option("--labels", type=click.Choice(["all", "same", "different"]), default="all", show_default=True)
@click.option("--class", "class_name", metavar="NAME", help="List only pairs with an example of this class.")
@_list_options
def influence(
    results: Results, similarity: str, order: str, labels: str, class_name: str | None, **forms: Any
) -> None:
    """List training examples that change a label's probability.

    Runs that trained on one are compared with those that did not, for the nearest training examples of
    each example. SOURCE needs training masks, as `train heads --subset 0.5` writes them.

    \b
    Example:  kernel-explorer influence my-ensemble --top 100 --csv influence.csv
    """
    of_class = None if class_name is None else parse_class(class_name, results.class_names)
    table = matching_pairs(influence_on(results, similarity, order), labels, of_class)
    about = {
        **about_results(results, similarity),
        "order": order,
        "candidates": CANDIDATES,
        "count": len(table),
    }
    _give(results, "influence", table, about, **forms)


def _give(
    results: Results,
    key: str,
    table: pd.DataFrame,
    about: dict[str, Any],
    *,
    top: int,
    csv_file: Path | None,
    parquet_file: Path | None,
    as_json: bool,
) -> None:
    """Say what was found, and give the first rows in the forms that were asked for."""
    refuse_two_on_stdout(csv_file, parquet_file, as_json=as_json)
    files = [file for file in (csv_file, parquet_file) if file is not None]
    is_on_stdout = as_json or any(map(is_stdout, files))
    rows = table.head(top)
    if key == "influence":
        rows = with_intervals(rows, unseen_of(results))
    noun = "training examples" if key == "memorization" else "pairs of an example and a candidate"
    say(f"{results.title}: {key} of {len(table):,} {noun}; {len(rows):,} are listed.", err=is_on_stdout)
    named = with_class_names(rows, results.class_names)
    if parquet_file is not None:
        write_parquet(named, parquet_file)
    is_given = give_table(named, key, about, csv_file=csv_file, as_json=as_json)
    if len(rows) and not is_given and not files:
        print_pairs(readable(rows, results.class_names), results.class_names)
