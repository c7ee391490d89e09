"""`kernel-explorer groups`: list groups of near-duplicates, and the example to keep of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pandas as pd

from kernel_core.cli.options import (
    open_or_build,
    open_progress,
    parquet_option,
    similarity_option,
    source_options,
    table_options,
)
from kernel_core.cli.output import is_stdout, say, say_json
from kernel_core.cli.tables import label_text, rows_of, table_text, write_csv, write_parquet
from kernel_core.explain.image_alignment import SHIFT
from kernel_core.findings.groups import Groups, describe_groups, warn_of_chains
from kernel_core.progress import Progress
from kernel_core.results.directions import in_direction
from kernel_core.results.grouping import can_have, default_threshold, directions_of, find_groups
from kernel_core.results.results import Results
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import SPLITS, Split, example_name

NAMED = 5  # members that a line of the list names, beside the one to keep


@click.command()
@source_options
@similarity_option
@click.option(
    "--threshold",
    type=float,
    metavar="X",
    help="Link pairs of at least this similarity.  [default: that of rank 601, where `pairs` begins]",
)
@click.option("--within", type=click.Choice(SPLITS), help="Only this split.  [default: across both]")
@click.option(
    "--aligned-pixels",
    "aligned",
    type=click.FloatRange(-1, 1),
    metavar="R",
    help="Link only pairs whose pixels correlate at least so much, 0.9 for instance, where the images fit "
    f"best, shifted by up to {SHIFT} pixels or mirrored.",
)
@click.option(
    "--top", type=click.IntRange(1), default=20, show_default=True, help="Number of groups to list."
)
@table_options
@parquet_option
def groups(
    source: str,
    device: str,
    memory: int | None,
    progress_file: Path | None,
    similarity: str,
    within: Split | None,
    **options: Any,
) -> None:
    """Find groups of near-duplicates, and which example to keep.

    Pairs of at least --threshold link examples of both splits into groups. Mixed labels come first, then
    larger groups. Neighbors that are missing, as those within one split, are built.

    \b
    Example:  kernel-explorer groups digits --threshold 0.9 --csv groups.csv
    """
    _refuse_two_on_stdout(options["csv_file"], options["parquet_file"], as_json=options["as_json"])
    amount = {name: options.pop(name) for name in ("run_count", "files", "precision")}
    request = SourceRequest(source, **amount, similarities=(similarity,))
    with open_progress(progress_file) as progress:
        parts = _open_directions(request, similarity, within, device, memory, progress)
        threshold = options.pop("threshold")
        if threshold is None:
            threshold = default_threshold(parts[0], similarity)
        found = find_groups(parts, similarity, threshold, aligned=options["aligned"], progress=progress)
    _show(found, parts[0], similarity, **options)


def _refuse_two_on_stdout(*files: Path | None, as_json: bool) -> None:
    """Raise `UsageError` if more than one result would go to stdout."""
    if as_json + sum(file is not None and is_stdout(file) for file in files) > 1:
        raise click.UsageError("Several results would go to stdout; write all but one to a file.")


def _open_directions(
    request: SourceRequest,
    similarity: str,
    within: Split | None,
    device: str,
    memory: int | None,
    progress: Progress,
) -> list[Results]:
    """Return the results in each direction that groups are made of; what is missing is built."""
    first = replace(request, query=within, database=within) if within else request
    own = open_or_build(first, device, memory, progress)
    parts = []
    for query, database in directions_of(own, within):
        part = in_direction(own, first, Store(), query, database)
        if not can_have(part, similarity):
            continue
        if similarity not in part.names:
            part = open_or_build(replace(request, query=query, database=database), device, memory, progress)
        parts.append(part)
    return parts


def _show(
    found: Groups,
    results: Results,
    similarity: str,
    *,
    aligned: float | None,
    top: int,
    csv_file: Path | None,
    parquet_file: Path | None,
    as_json: bool,
) -> None:
    """Say what was found, and give the members in the forms that were asked for."""
    files = [file for file in (csv_file, parquet_file) if file is not None]
    is_on_stdout = as_json or any(map(is_stdout, files))
    by = f"{results.title_of(similarity)} of at least {found.pairs.threshold:.4g}"
    by += f" and aligned pixels of at least {aligned:.4g}" if aligned is not None else ""
    directions = ", ".join(found.pairs.directions)
    sentence = describe_groups(found, results.example_counts)
    say(f"{results.name}, by {by} ({directions}): {sentence}", err=is_on_stdout)
    if warning := warn_of_chains(found):
        say(f"warning: {warning}", err=True)
    table = named_members(found, results.class_names)
    if csv_file is not None:
        write_csv(table, csv_file)
    if parquet_file is not None:
        write_parquet(table, parquet_file)
    if as_json:
        say_json(_as_json(found, table, results, similarity, aligned))
    elif not files and len(found):
        say(*table_text(_lines(found, table, results.class_names, top)).splitlines())
        if len(found) > top:
            say(f"{len(found) - top:,} more; --top {len(found)} lists them all.", err=True)


def named_members(found: Groups, class_names: tuple[str, ...]) -> pd.DataFrame:
    """Return the table of members with the name of each one's class beside its label."""
    table = found.members.copy()
    names = [class_names[label] for label in table["label"]]
    table.insert(table.columns.get_loc("label") + 1, "class_name", names)
    return table


def _lines(found: Groups, table: pd.DataFrame, class_names: tuple[str, ...], top: int) -> pd.DataFrame:
    """Return one row per group, for people: the first `top` groups."""
    lines = found.table.head(top)[["group", "size", "similarity"]].copy()
    members = table[table["group"] <= top].groupby("group")
    lines["labels"] = [
        ", ".join(label_text(label, class_names) for label in sorted(set(of_group["label"])))
        for _, of_group in members
    ]
    names = [_names(of_group) for _, of_group in members]
    lines["keep"] = [of_group[0] for of_group in names]
    lines["others"] = [
        " ".join(of_group[1 : NAMED + 1])
        + (f" +{len(of_group) - NAMED - 1:,} more" if len(of_group) > NAMED + 1 else "")
        for of_group in names
    ]
    return lines


def _names(members: pd.DataFrame) -> list[str]:
    """Return the names of examples, as test:123."""
    return [example_name(split, i) for split, i in zip(members["split"], members["index"], strict=True)]


def _as_json(
    found: Groups, table: pd.DataFrame, results: Results, similarity: str, aligned: float | None
) -> dict[str, Any]:
    """Return everything that was found as plain values; the keys are in docs/command_line.md."""
    columns = ["split", "index", "label", "class_name", "similarity", "is_medoid"]
    by_group = {number: of_group[columns] for number, of_group in table.groupby("group")}
    return {
        "name": results.name,
        "similarity": similarity,
        "threshold": round(found.pairs.threshold, 6),
        "aligned_pixels": aligned,
        "directions": list(found.pairs.directions),
        "pairs": len(found.pairs),
        "full_lists": found.pairs.full_lists,
        "groups": [{**row, "members": rows_of(by_group[row["group"]])} for row in rows_of(found.table)],
    }
