"""`kernel-explorer resplit`: propose a new split in which duplicates are never across."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pandas as pd

from kernel_core.cli.directions import open_directions
from kernel_core.cli.options import open_progress, similarity_option, source_options
from kernel_core.cli.output import say
from kernel_core.cli.review_options import leaked_option, read_verdicts, rule_option, verdicts_option
from kernel_core.cli.tables import rows_of
from kernel_core.exports.resplit import Resplit, class_shares, index_lists, resplit
from kernel_core.report.report_files import json_text, refuse_unwritable, write_files
from kernel_core.results.grouping import SURE, default_threshold, find_groups
from kernel_core.results.pair_orders import ORDERS
from kernel_core.results.results import Results
from kernel_core.review.leaked import decided_pairs
from kernel_core.sources.source import SourceRequest


@click.command("resplit")
@source_options
@similarity_option
@click.option(
    "--order",
    type=click.Choice(list(ORDERS)),
    default=next(iter(ORDERS)),
    show_default=True,
    help="What links pairs. kernel: the similarity. twin: the twin score.",
)
@click.option(
    "--threshold",
    type=float,
    metavar="X",
    help="Link pairs of at least this similarity, or twin score.  [default: as in `groups`; with --order "
    f"twin at least {SURE}]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the split.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR",
    help="Write resplit.csv, resplit.json, train.csv and test.csv to this folder.",
)  # fmt: skip
@leaked_option
@rule_option
@verdicts_option
def resplit_command(
    source: str,
    device: str,
    memory: int | None,
    progress_file: Path | None,
    similarity: str,
    order: str,
    threshold: float | None,
    seed: int,
    out: Path,
    leaked: tuple[str, ...],
    rule: str,
    **amount: Any,
) -> None:
    """Propose a new split in which duplicates are never across.

    Pairs from --threshold on link examples of both splits into groups. Verdicts stand over that: pairs judged
    duplicates are linked, those judged otherwise are not. Each group goes to one side whole; sizes and shares
    of classes stay as near as groups allow.

    \b
    Example:  kernel-explorer resplit digits --threshold 0.9 --out new-split
    """
    refuse_unwritable(out)
    request = SourceRequest(source, **amount, similarities=(similarity,))
    with open_progress(progress_file) as progress:
        parts = open_directions(request, similarity, order, device=device, memory=memory, progress=progress)
        least = default_threshold(parts[0], similarity, order) if threshold is None else threshold
        near = find_groups(parts, similarity, least, order=order, progress=progress).pairs
    results = parts[0]
    decided = decided_pairs(read_verdicts(results, request), rule, leaked)
    labels = {split: examples.labels for split, examples in results.examples.items()}
    new = resplit(near, decided, labels, seed)
    about = {
        "name": results.name, "fingerprint": results.id, "similarity": similarity, "order": order,
        "threshold": round(near.threshold, 6), "rule": rule, "leaked": list(leaked), "seed": seed,
    }  # fmt: skip
    for path in write_files(out, _files(new, results, about)):
        say(f"written: {path}", err=True)
    say(*_words(new, results))


def _files(new: Resplit, results: Results, about: dict[str, Any]) -> dict[str, str]:
    """Return the contents of the files by name."""
    names = results.class_names
    table = new.table.assign(class_name=[names[label] for label in new.table["label"]])
    content = {
        **about,
        **{name: getattr(new, name) for name in ("pairs", "cut", "added", "crossing")},
        "groups": int(table["group"].max()),
        "sizes": {when: table[f"{when}_split"].value_counts().to_dict() for when in ("old", "new")},
        "moved": _moved(table),
        "classes": [{key: value.item() if hasattr(value, "item") else value for key, value in row.items()}
                    for row in rows_of(class_shares(table, names))],
        "indices": index_lists(table),
    }  # fmt: skip
    lists = {
        f"{split}.csv": of_split[["old_split", "index"]].to_csv(index=False)
        for split, of_split in table.groupby("new_split")
    }
    return {"resplit.csv": table.to_csv(index=False), "resplit.json": json_text(content), **lists}


def _moved(table: pd.DataFrame) -> dict[str, int]:
    """Return how many examples change sides, by where they go."""
    moved = table.loc[table["old_split"] != table["new_split"], "new_split"]
    return {f"to_{split}": int((moved == split).sum()) for split in ("test", "train")}


def _words(new: Resplit, results: Results) -> list[str]:
    """Return what the new split is as lines of text."""
    table = new.table
    old, now = (table[f"{when}_split"].value_counts() for when in ("old", "new"))
    shares = class_shares(table, results.class_names)
    change = max((shares[f"new_{split}_share"] - shares[f"old_{split}_share"]).abs().max()
                 for split in ("test", "train"))  # fmt: skip
    grouped = table[table["group"] > 0]
    verdicts = f"; verdicts brought {new.added:,} and took away {new.cut:,}" if new.added + new.cut else ""
    groups = f"{grouped['group'].nunique():,} groups hold {len(grouped):,} examples"
    sizes = [f"{split}: {now[split]:,} examples (before: {old[split]:,})" for split in ("test", "train")]
    return [
        f"{results.name}: {new.pairs:,} links between duplicates{verdicts}.",
        f"{groups}; {new.crossing:,} of these were across the splits, now none is.",
        f"{'; '.join(sizes)}. The share of no class changes by more than {change:.2%}.",
    ]
