"""`kernel-explorer verdicts`: what was judged of a source, by whom, and how far they agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pandas as pd

from kernel_core.cli.options import parquet_option, refuse_two_on_stdout, table_options, with_results
from kernel_core.cli.output import is_stdout, say, say_json
from kernel_core.cli.review_options import verdicts_option
from kernel_core.cli.tables import rows_of, table_text, write_csv, write_parquet
from kernel_core.cli.verdicts_text import summary_lines
from kernel_core.errors import RequestError
from kernel_core.results.judged_rows import unmatched_words
from kernel_core.results.results import Results
from kernel_core.results.verdicts import read_judged, verdicts_path
from kernel_core.review.agreement import agreement, by_two, by_verdict, self_consistency
from kernel_core.review.consensus import RULES, consensus, undecided
from kernel_core.review.judged import Judged
from kernel_core.review.merging import merge, shared_names_words
from kernel_core.review.overview import by_reviewer, counts_of, standing_table, unmatched_table
from kernel_core.review.verdict_file import VerdictFile
from kernel_core.review.verdicts import VERDICTS, Kind
from kernel_core.review.votes import WHICH, votes_of


@dataclass(frozen=True)
class _Asked:
    """What the options ask for. kinds: of `VERDICTS`. table: which rows go to files."""

    kinds: tuple[Kind, ...]
    rule: str | None
    which: str
    reviewers: tuple[str, ...]
    table: str


@click.command()
@verdicts_option
@click.option("--kind", type=click.Choice(list(VERDICTS)), help="Only verdicts on these.  [default: both]")
@click.option(
    "--rule",
    type=click.Choice(list(RULES)),
    help="Write one verdict per item instead of all that stand: the one that most reviewers gave, that all "
    "gave, or that was decided.",
)
@click.option(
    "--reviewer",
    "reviewers",
    metavar="NAME",
    multiple=True,
    help="Measure the agreement of these reviewers; repeat the option.  [default: all]",
)
@click.option(
    "--which",
    type=click.Choice(list(WHICH)),
    default="independent",
    show_default=True,
    help="Measure agreement by these verdicts. independent: blind ones and the first on each item. blind: "
    "blind ones only. all: also those given in sight of others.",
)
@click.option("--disputed", is_flag=True, help="List the items on which reviewers disagree.")
@click.option("--unmatched", is_flag=True, help="List verdicts on examples that SOURCE does not have.")
@click.option(
    "--merge",
    "merged",
    type=click.Path(path_type=Path),
    metavar="FILE",
    multiple=True,
    help="First add the verdicts of another file; repeat the option. Nothing is added twice.",
)
@table_options
@parquet_option
@with_results
def verdicts(
    results: Results,
    kind: Kind | None,
    rule: str | None,
    reviewers: tuple[str, ...],
    which: str,
    **options: Any,
) -> None:
    """Say what was judged, by whom, and how far reviewers agree.

    --csv, --json and --parquet write the verdicts that stand; with --rule one per item.

    \b
    Example:  kernel-explorer verdicts digits --rule majority --csv consensus.csv
    """
    disputed, unmatched, merged = (options.pop(name) for name in ("disputed", "unmatched", "merged"))
    if bool(rule) + disputed + unmatched > 1:
        raise RequestError("--rule, --disputed and --unmatched each choose the rows; give one of them.")
    refuse_two_on_stdout(options["csv_file"], options["parquet_file"], as_json=options["as_json"])
    file = VerdictFile(verdicts_path(click.get_current_context().obj))
    judged = read_judged(results, file)
    if merged:
        for report in merge(merged, file, judged, results.name):
            say(report, *(f"warning: {warning}" for warning in report.warnings), err=True)
        judged = read_judged(results, file)
    _warn(file, judged, results, reviewers)
    table = "disputed" if disputed else "unmatched" if unmatched else rule or ""
    asked = _Asked((kind,) if kind else tuple(VERDICTS), rule, which, reviewers, table)
    _show(results, file, judged, asked, **options)


def _warn(file: VerdictFile, judged: Judged, results: Results, reviewers: tuple[str, ...]) -> None:
    """Say what is wrong with the file. Raises `RequestError` for a reviewer without a verdict."""
    unknown = [name for name in reviewers if name not in judged.reviewers]
    if unknown:
        known = ", ".join(judged.reviewers) or "nobody yet"
        raise RequestError(f"No verdict of {unknown[0]} stands; expected a reviewer of {known}.")
    for warning in filter(None, [*file.warnings, shared_names_words(judged)]):
        say(f"warning: {warning}", err=True)
    if words := unmatched_words(judged, results.name):
        say(f"warning: {words} --unmatched lists them.", err=True)


def _show(
    results: Results,
    file: VerdictFile,
    judged: Judged,
    asked: _Asked,
    *,
    csv_file: Path | None,
    parquet_file: Path | None,
    as_json: bool,
) -> None:
    files = [path for path in (csv_file, parquet_file) if path is not None]
    table = _rows(judged, asked) if files or as_json or asked.table else pd.DataFrame()
    if csv_file is not None:
        write_csv(table, csv_file)
    if parquet_file is not None:
        write_parquet(table, parquet_file)
    if as_json:
        say_json(_as_json(results, file, judged, asked) | {"rows": rows_of(table)})
        return
    if any(map(is_stdout, files)):
        return
    if asked.table and not files:
        say(*table_text(table).splitlines() if len(table) else [f"No rows ({asked.table})."])
        return
    say(f"{results.name}: {len(file.verdicts):,} lines in {file.path}")
    say(*summary_lines(_as_json(results, file, judged, asked)["kinds"], asked.which))


def _rows(judged: Judged, asked: _Asked) -> pd.DataFrame:
    """Return the rows that the options choose, those of both kinds below each other."""
    if asked.table == "unmatched":
        table = unmatched_table(judged)
        return table[table["kind"].isin(asked.kinds)]
    if not asked.table:
        return standing_table(judged, asked.kinds)
    parts = []
    for kind in asked.kinds:
        if asked.table == "disputed":
            part = undecided(judged, kind, "adjudicated")
        else:
            part = consensus(judged, kind, asked.table)
        part.insert(0, "kind", kind)
        parts.append(part)
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _as_json(results: Results, file: VerdictFile, judged: Judged, asked: _Asked) -> dict[str, Any]:
    """Return everything but the rows; the keys are in docs/command_line.md."""
    kinds = {}
    for kind in asked.kinds:
        votes = votes_of(judged, kind, asked.which, asked.reviewers or None)
        sides = votes.by_side()
        kinds[kind] = {
            "counts": counts_of(judged, kind),
            "by_reviewer": rows_of(by_reviewer(judged, kind)),
            "left_out": votes.left_out,
            "agreement": rows_of(agreement(votes)),
            "agreement_by_side": rows_of(agreement(sides)),
            "by_verdict": rows_of(by_verdict(votes)),
            "by_two": rows_of(by_two(votes)),
            "self_consistency": rows_of(self_consistency(judged, kind)),
        }
    return {
        "name": results.name,
        "file": file.path,
        "lines": len(file.verdicts),
        "problems": len(file.problems),
        "unmatched": len(judged.unmatched),
        "which": asked.which,
        "rule": asked.rule,
        "kinds": kinds,
    }
