"""`kernel-explorer groups`: list groups of near-duplicates, and the example to keep of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pandas as pd

from kernel_core.cli.by_verdict import ByVerdict, by_verdict, judged_options
from kernel_core.cli.directions import open_directions
from kernel_core.cli.options import (
    open_progress,
    parquet_option,
    refuse_two_on_stdout,
    similarity_option,
    source_options,
    table_options,
)
from kernel_core.cli.output import is_stdout, say, say_json
from kernel_core.cli.tables import label_text, rows_of, table_text, write_csv, write_parquet
from kernel_core.findings.group_words import describe_groups, warn_of_chains
from kernel_core.findings.groups import Groups, members_of, select_groups
from kernel_core.progress import Progress
from kernel_core.results.grouping import SURE, counts_of, default_threshold, find_groups
from kernel_core.results.judged_rows import GROUP_COLUMNS
from kernel_core.results.pair_orders import ORDERS
from kernel_core.results.results import Results
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import SPLITS, Split, example_name, parse_class

NAMED = 5  # members that a line of the list names, beside the one to keep


@click.command()
@source_options
@similarity_option
@click.option(
    "--threshold",
    type=float,
    metavar="X",
    help="Link pairs of at least this similarity, or twin score.  [default: that of rank 601, where `pairs` "
    f"begins; with --order twin at least {SURE}]",
)
@click.option(
    "--order",
    type=click.Choice(list(ORDERS)),
    default=next(iter(ORDERS)),
    show_default=True,
    help="What links pairs. kernel: the similarity. twin: the twin score, of similarity, aligned pixels and "
    "background.",
)
@click.option("--within", type=click.Choice(SPLITS), help="Only this split.  [default: across both]")
@click.option(
    "--aligned-pixels",
    "--aligned",
    "aligned",
    type=click.FloatRange(-1, 1),
    metavar="R",
    help="Link only pairs whose pixels correlate at least so much, 0.8 for instance, where the images fit "
    "best, shifted or mirrored.",
)
@click.option(
    "--labels",
    type=click.Choice(["all", "same", "different"]),
    default="all",
    show_default=True,
    help="Only groups whose labels are all the same, or different.",
)
@click.option("--class", "class_name", metavar="NAME", help="Only groups with a member of this class.")
@click.option("--crossing", is_flag=True, help="Only groups with members in both splits.")
@click.option(
    "--top", type=click.IntRange(1), default=20, show_default=True, help="Number of groups to list."
)
@judged_options("pair", "groups with pairs")
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
    refuse_two_on_stdout(options["csv_file"], options["parquet_file"], as_json=options["as_json"])
    amount = {name: options.pop(name) for name in ("run_count", "files", "precision")}
    request = SourceRequest(source, **amount, similarities=(similarity,))
    with open_progress(progress_file) as progress:
        parts = open_directions(
            request, similarity, options["order"],
            within=within, device=device, memory=memory, progress=progress,
        )  # fmt: skip
        found = _find(parts, similarity, options.pop("threshold"), progress, options)
    verdicts = by_verdict(parts[0], request, "pair", options)
    _show(found, parts[0], (similarity, verdicts), **options)


def _find(
    parts: list[Results],
    similarity: str,
    threshold: float | None,
    progress: Progress,
    options: dict[str, Any],
) -> Groups:
    """Return the groups by the similarity or the twin score, from a threshold or the default one on."""
    order, aligned = options["order"], options["aligned"]
    if threshold is None:
        threshold = default_threshold(parts[0], similarity, order)
    return find_groups(parts, similarity, threshold, order=order, aligned=aligned, progress=progress)


def _show(
    found: Groups,
    results: Results,
    asked: tuple[str, ByVerdict],
    *,
    order: str,
    aligned: float | None,
    labels: str,
    class_name: str | None,
    crossing: bool,
    top: int,
    csv_file: Path | None,
    parquet_file: Path | None,
    as_json: bool,
) -> None:
    """Say what was found, and give the members as asked for: by a similarity, and by verdicts."""
    similarity, verdicts = asked
    files = [file for file in (csv_file, parquet_file) if file is not None]
    is_on_stdout = as_json or any(map(is_stdout, files))
    say(_sentence(found, results, similarity, order, aligned), err=is_on_stdout)
    if warning := warn_of_chains(found):
        say(f"warning: {warning}", err=True)
    of_class = None if class_name is None else parse_class(class_name, results.class_names)
    rows = verdicts.select_groups(select_groups(found, labels, of_class, crossing=crossing), found.members)
    if len(rows) < len(found):
        say(f"{len(rows):,} of these groups pass the filter.", err=True)
    table = verdicts.with_pairs(members_of(found, rows, results.class_names))
    if csv_file is not None:
        write_csv(table, csv_file)
    if parquet_file is not None:
        write_parquet(table, parquet_file)
    if as_json:
        about = {"name": results.name, "similarity": similarity, "order": order, "aligned_pixels": aligned}
        say_json(_as_json(found, rows, table, about))
    elif not files and len(rows):
        say(*table_text(_lines(rows.head(top), table, results.class_names)).splitlines())
        if len(rows) > top:
            say(f"{len(rows) - top:,} more; --top {len(rows)} lists them all.", err=True)


def _sentence(found: Groups, results: Results, similarity: str, order: str, aligned: float | None) -> str:
    """Return what links pairs, and what the groups hold."""
    title = results.title_of(similarity)
    by = f"the twin score ({title})" if order == "twin" else title
    by += f" of at least {found.pairs.threshold:.4g}"
    by += f" and aligned pixels of at least {aligned:.4g}" if aligned is not None else ""
    directions = ", ".join(found.pairs.directions)
    return f"{results.name}, by {by} ({directions}): {describe_groups(found, counts_of(results))}"


def _lines(rows: pd.DataFrame, table: pd.DataFrame, class_names: tuple[str, ...]) -> pd.DataFrame:
    """Return one row per group, for people. rows: the groups. table: members, of more groups too."""
    lines = rows[["group", "size", "similarity"]].copy()
    members = [of_group for _, of_group in table[table["group"].isin(rows["group"])].groupby("group")]
    lines["labels"] = [
        ", ".join(label_text(label, class_names) for label in sorted(set(of_group["label"])))
        for of_group in members
    ]
    if GROUP_COLUMNS[-1] in table:
        lines["judged"] = [of_group[GROUP_COLUMNS[-1]].iloc[0] for of_group in members]
    names = [_names(of_group) for of_group in members]
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


def _as_json(found: Groups, rows: pd.DataFrame, table: pd.DataFrame, about: dict[str, Any]) -> dict[str, Any]:
    """Return what was found, with the members of each group. rows, table: groups and members that are listed.

    about: what the object begins with; the keys are in docs/command_line.md.
    """
    columns = ["split", "index", "label", "class_name", "similarity", "is_medoid"]
    by_group = dict(iter(table.groupby("group")))
    judged = [name for name in GROUP_COLUMNS if name in table]
    return {
        **about,
        "threshold": round(found.pairs.threshold, 6),
        "directions": list(found.pairs.directions),
        "pairs": len(found.pairs),
        "full_lists": found.pairs.full_lists,
        "count": len(found),
        "groups": [
            {
                **row,
                **{name: by_group[row["group"]][name].iloc[0] for name in judged},
                "members": rows_of(by_group[row["group"]][columns]),
            }
            for row in rows_of(rows)
        ],
    }
