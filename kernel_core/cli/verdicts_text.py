"""What `kernel-explorer verdicts` prints for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from kernel_core.cli.tables import table_text
from kernel_core.review.agreement_words import interval_text, measures_table, side_title
from kernel_core.review.verdicts import Kind
from kernel_core.review.votes import WHICH

PLURAL: Mapping[Kind, str] = {"pair": "pairs", "label": "labels"}
MOST_TWOS = 20  # rows of two reviewers that are printed


def summary_lines(kinds: Mapping[Kind, dict[str, Any]], which: str) -> list[str]:
    """Return the lines of the summary. kinds: as in the JSON of the verb. which: of `WHICH`."""
    lines = []
    for kind, of in kinds.items():
        if of["counts"]["items"]:
            lines += ["", *_kind_lines(kind, of, which)]
    if not lines:
        return ["No verdict stands. Open the app and press a key on a pair, or merge a file with --merge."]
    return lines


def _kind_lines(kind: Kind, of: dict[str, Any], which: str) -> Iterator[str]:
    counts = of["counts"]
    yield (
        f"{counts['items']:,} {PLURAL[kind]} judged, {counts['verdicts']:,} verdicts stand: "
        f"{counts['queue']:,} from queues, {counts['sample']:,} from samples, {counts['gold']:,} decided; "
        f"{counts['blind']:,} blind."
    )
    yield from _table(pd.DataFrame(of["by_reviewer"]).drop(columns="seconds"))
    if counts["shared"]:
        yield (
            f"{counts['shared']:,} {PLURAL[kind]} have verdicts of two reviewers or more; "
            f"{counts['disputed']:,} are disputed and open ({counts['serious']:,} on {side_title(kind)}). "
            "--disputed lists them."
        )
    yield from _agreement_lines(kind, of, which)
    for row in of["self_consistency"]:
        yield f"{row['reviewer']} repeated {row['agree']:,} of {row['items']:,} verdicts in second looks."


def _agreement_lines(kind: Kind, of: dict[str, Any], which: str) -> Iterator[str]:
    if not of["counts"]["shared"]:
        yield "No agreement to measure: no item has verdicts of two reviewers."
        return
    yield f"Agreement, by verdicts that are {which} ({WHICH[which]}):"
    if of["left_out"]:
        yield f"{of['left_out']:,} verdicts are left out; --which all has them in."
    by_verdict, by_side = (pd.DataFrame(of[name]) for name in ("agreement", "agreement_by_side"))
    yield from _table(measures_table(by_verdict, by_side, kind))
    if len(of["by_two"]) > 1:
        twos = [
            (f"{row['first']}, {row['second']}", f"{row['items']:,}", f"{row['agree']:,}", _kappa(row))
            for row in of["by_two"][:MOST_TWOS]
        ]
        yield from _table(pd.DataFrame(twos, columns=["two reviewers", "items", "agree", "Cohen's κ"]))
        if len(of["by_two"]) > MOST_TWOS:
            yield f"{len(of['by_two']) - MOST_TWOS:,} more; --json has them all."


def _kappa(row: Mapping[str, Any]) -> str:
    return interval_text(row["kappa"], row["kappa_low"], row["kappa_high"])


def _table(table: pd.DataFrame) -> list[str]:
    return table_text(table).splitlines()
