"""`kernel-explorer pairs`: list near-duplicates by similarity or by the twin score."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import click
import pandas as pd

from kernel_core.cli.by_verdict import ByVerdict, by_verdict, judged_options
from kernel_core.cli.option_types import Ranks
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
from kernel_core.cli.output import say
from kernel_core.cli.tables import about_results, give_table, print_pairs, write_parquet
from kernel_core.findings.pairs import (
    WINDOW,
    default_window,
    matching_pairs,
    rank_window,
    with_class_names,
)
from kernel_core.findings.twins import BANDS, pixels_last
from kernel_core.results.pair_orders import ORDERS, lacks_pixels, ordered_pairs
from kernel_core.results.results import Results
from kernel_core.spec import parse_class

UNPRINTED = ["others", "background"]  # columns of the files that a terminal has no room for


def _filter_options(command: F) -> F:
    """Add the options that filter pairs."""
    for option in (
        click.option(
            "--aligned",
            type=click.FloatRange(-1, 1),
            metavar="R",
            help="List only pairs whose pixels correlate at least so much, 0.8 for instance, where the "
            "images fit best, shifted or mirrored.",
        ),
        click.option(
            "--band", type=click.Choice(BANDS), help="List only pairs in this band of the twin score."
        ),
        click.option("--threshold", type=float, help="List only pairs whose similarity is at least this."),
        click.option(
            "--class", "class_name", metavar="NAME", help="List only pairs with an example of this class."
        ),
        click.option(
            "--labels", type=click.Choice(["all", "same", "different"]), default="all", show_default=True,
            help="List only pairs whose two labels are the same, or different.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def _lacks_pixels(results: Results, options: dict[str, Any]) -> bool:
    order = "twin" if options["band"] else options["order"]  # bands are of the twin score
    return lacks_pixels(results, options["similarity"], order, options["aligned"])


@click.command()
@functools.partial(with_results, lacks=_lacks_pixels)
@query_option
@variant_options(each=False)
@similarity_option
@click.option(
    "--order",
    type=click.Choice(list(ORDERS)),
    default=next(iter(ORDERS)),
    show_default=True,
    help="; ".join(f"{name}: {about}" for name, about in ORDERS.items()) + ".",
)
@click.option(
    "--ranks",
    type=Ranks(),
    help="First and last rank. With a filter, they count among the pairs that pass it.  "
    "[default: 601-648, scaled to a small test set; 1-48 with --order twin, --labels or --class; all with "
    "--threshold, --aligned, --band, --judged or --reviewer]",
)
@_filter_options
@judged_options("pair", "pairs")
@table_options
@parquet_option
def pairs(
    results: Results,
    similarity: str,
    order: str,
    ranks: tuple[int, int] | None,
    csv_file: Path | None,
    parquet_file: Path | None,
    as_json: bool,
    **filters: Any,
) -> None:
    """List near-duplicates between test and training set.

    Rank test examples by the similarity to their nearest training example, or by the twin score, which also
    compares pixels. --query and --database choose other splits; within one split, each pair is listed once.

    \b
    Example:  kernel-explorer pairs digits --ranks 1-20 --csv pairs.csv
    Example:  kernel-explorer pairs digits --order twin --labels different
    """
    refuse_two_on_stdout(csv_file, parquet_file, as_json=as_json)
    ranking = ordered_pairs(results, similarity, order)
    verdicts = by_verdict(results, click.get_current_context().obj, "pair", filters)
    table = _listed(ranking, (order, ranks), results.class_names, verdicts, **filters)
    if not len(table):
        say("No pair passes the filter.", err=True)
    named = verdicts.with_columns(pixels_last(with_class_names(table, results.class_names)))
    about = {**about_results(results, similarity), "order": order, "count": len(ranking)}
    if parquet_file is not None:
        write_parquet(named, parquet_file)
    is_given = give_table(named, "pairs", about, csv_file=csv_file, as_json=as_json)
    if len(table) and not is_given and parquet_file is None:
        table = verdicts.with_columns(table.drop(columns=UNPRINTED, errors="ignore"))
        print_pairs(table, results.class_names)


def _listed(
    ranking: pd.DataFrame,
    part: tuple[str, tuple[int, int] | None],
    class_names: tuple[str, ...],
    verdicts: ByVerdict,
    *,
    labels: str,
    class_name: str | None,
    **others: Any,
) -> pd.DataFrame:
    """Return the pairs of a ranking that the options of `pairs` choose.

    part: the order, and the first and the last rank. others: threshold, aligned, band.
    """
    order, ranks = part
    of_class = None if class_name is None else parse_class(class_name, class_names)
    matches = verdicts.select(matching_pairs(ranking, labels, of_class, **others))
    if ranks:
        return rank_window(matches, *ranks)
    chosen = verdicts.wanted or any(value is not None for value in others.values())
    if chosen or not len(matches):
        return matches
    if order == "twin":
        return matches.head(WINDOW)
    return rank_window(matches, *default_window(ranking, matches))
