"""`kernel-explorer labels`: list the labels to check, and what ensemble and neighbors propose instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pandas as pd

from kernel_core.cli.by_verdict import ByVerdict, by_verdict, judged_options
from kernel_core.cli.options import (
    open_or_build,
    open_progress,
    parquet_option,
    refuse_two_on_stdout,
    similarity_option,
    source_options,
    table_options,
)
from kernel_core.cli.output import is_stdout, say
from kernel_core.cli.tables import about_results, give_table, label_text, table_text, write_parquet
from kernel_core.findings.labels_to_check import DEFAULT, ORDERS, select_labels
from kernel_core.findings.pairs import with_class_names
from kernel_core.results.judged_rows import COLUMNS as VERDICT_COLUMNS
from kernel_core.results.label_check import BASES, check_labels, judging, said_of_left_out, said_of_unlikely
from kernel_core.results.results import Results
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import SPLITS, Split, example_name, parse_class

LISTED = 20  # examples that are printed by default


@click.command()
@source_options
@similarity_option
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    default="test",
    show_default=True,
    help="Whose labels. Test examples are held against training examples, training examples against "
    "each other.",
)
@click.option(
    "--order",
    type=click.Choice(list(ORDERS)),
    default=DEFAULT,
    show_default=True,
    help="  ".join(f"{name}: {order.about}." for name, order in ORDERS.items()),
)
@click.option("--class", "class_name", metavar="NAME", help="List only examples with this label.")
@click.option("--proposed", metavar="NAME", help="List only examples for which this class is proposed.")
@click.option(
    "--both", is_flag=True, help="List only examples on which ensemble and neighbors agree against the label."
)
@click.option(
    "--top",
    type=click.IntRange(1),
    metavar="N",
    help=f"Number of examples to list.  [default: {LISTED}; all in a file or as JSON]",
)
@judged_options("label", "examples whose labels")
@table_options
@parquet_option
def labels(
    source: str,
    device: str,
    memory: int | None,
    progress_file: Path | None,
    similarity: str,
    split: Split,
    **options: Any,
) -> None:
    """List labels to check, and what ensemble and neighbors propose.

    The neighbors that judge are those by --similarity; those that are missing are built. No order is known
    to find more wrong labels than the others.

    \b
    Example:  kernel-explorer labels digits --top 10
    Example:  kernel-explorer labels digits --split train --order vote --csv labels.csv
    """
    refuse_two_on_stdout(options["csv_file"], options["parquet_file"], as_json=options["as_json"])
    amount = {name: options.pop(name) for name in ("run_count", "files", "precision")}
    within: dict[str, Any] = {"query": split, "database": split} if split != "test" else {}
    request = SourceRequest(source, **amount, similarities=(similarity,), **within)
    with open_progress(progress_file) as progress:
        results = open_or_build(request, device, memory, progress)
        if ORDERS[options["order"]].needs_pixels and results.has_images and similarity not in results.aligned:
            from kernel_core import pipeline  # torch takes seconds to load

            pipeline.build_aligned(request, similarity, device=device, budget=memory, progress=progress)
    verdicts = by_verdict(results, request, "label", options)
    _show(results, (similarity, verdicts), **options)


def _show(
    results: Results,
    asked: tuple[str, ByVerdict],
    *,
    order: str,
    class_name: str | None,
    proposed: str | None,
    both: bool,
    top: int | None,
    csv_file: Path | None,
    parquet_file: Path | None,
    as_json: bool,
) -> None:
    """Say what was found, and give the rows in the forms that were asked for.

    asked: the similarity, and the verdicts that choose rows.
    """
    similarity, verdicts = asked
    names = results.class_names
    chosen = [None if name is None else parse_class(name, names) for name in (class_name, proposed)]
    table = check_labels(results, similarity, order)
    rows = verdicts.select(select_labels(table, *chosen, both=both))
    basis = judging(results)[0]
    files = [file for file in (csv_file, parquet_file) if file is not None]
    say(_sentence(results, similarity, order, table), err=as_json or any(map(is_stdout, files)))
    if BASES[basis]:
        say(f"warning: {BASES[basis]}", err=True)
    for sentence in filter(None, (said_of_left_out(results), said_of_unlikely(results))):
        say(sentence, err=True)
    if len(rows) < len(table):
        say(f"{len(rows):,} of these examples pass the filter.", err=True)
    named = verdicts.with_columns(with_class_names(rows.head(top or len(rows)), names))
    if parquet_file is not None:
        write_parquet(named, parquet_file)
    about = {**about_results(results, similarity), "order": order, "predictions": basis, "count": len(table)}
    is_given = give_table(named, "labels", about, csv_file=csv_file, as_json=as_json)
    if not is_given and not files and len(rows):
        shown = verdicts.with_columns(rows.head(top or LISTED))
        say(*table_text(_lines(shown, names)).splitlines())


def _sentence(results: Results, similarity: str, order: str, table: pd.DataFrame) -> str:
    """Return what is listed: how many labels, and against how many something speaks."""
    by = results.title_of(similarity)
    return (
        f"{results.name}, {len(table):,} {results.spec.query_example}s by {order}: ensemble and neighbors "
        f"(by {by}) agree on another class for {int(table['both_against'].sum()):,}; confident learning "
        f"flags {int(table['flagged'].sum()):,}."
    )


def _lines(rows: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Return one row per example, for people."""

    def said(label: str, share: str) -> list[str]:
        pairs = zip(rows[label], rows[share], strict=True)
        return [f"{label_text(label, names)} {share:.2f}" for label, share in pairs]

    examples = zip(rows["query_split"], rows["query_index"], strict=True)
    return pd.DataFrame(
        {
            "rank": rows["rank"],
            "example": [example_name(split, index) for split, index in examples],
            "label": said("query_label", "probability"),
            "ensemble": said("likeliest", "likeliest_probability"),
            "neighbors": said("voted", "voted_share"),
            "proposed": [label_text(label, names) for label in rows["proposed"]],
            "flagged": ["yes" if flagged else "" for flagged in rows["flagged"]],
            "score": rows["score"],
            **{name: rows[name] for name in VERDICT_COLUMNS if name in rows},
        }
    )
