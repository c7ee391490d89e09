"""Rows by what was judged of them: the options of the verbs that list pairs, labels or groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
import pandas as pd

from kernel_core.cli.output import say
from kernel_core.cli.review_options import F, verdicts_option
from kernel_core.errors import DataError
from kernel_core.results.judged_rows import (
    Wanted,
    choices,
    select_groups_judged,
    select_judged,
    unmatched_words,
    wanted_of,
    with_judged_pairs,
    with_verdicts,
)
from kernel_core.results.results import Results
from kernel_core.results.verdicts import open_verdicts, verdicts_path
from kernel_core.review.judged import Judged, PixelHashes
from kernel_core.review.verdicts import Kind
from kernel_core.sources.source import SourceRequest


def judged_options(kind: Kind, what: str) -> Callable[[F], F]:
    """Return what adds the options of the filter and of the file. what: rows, in the plural, for the help."""

    def add(command: F) -> F:
        for option in (
            verdicts_option,
            click.option("--reviewer", metavar="NAME", help="Count only this reviewer's verdicts."),
            click.option(
                "--judged",
                type=click.Choice(choices(kind)),
                help=f"List only {what} that were judged, or judged so; disputed: reviewers disagree.",
            ),
        ):
            command = option(command)
        return command

    return add


@dataclass(frozen=True)
class ByVerdict:
    """The verdicts that stand on a source, and which rows a verb lists by them."""

    stands: Judged
    wanted: Wanted
    kind: Kind

    def select(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows that pass, of a table of pairs or labels."""
        return select_judged(table, self.stands, self.kind, self.wanted)

    def select_groups(self, rows: pd.DataFrame, members: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of the table of groups that pass. members: of all groups."""
        return select_groups_judged(rows, members, self.stands, self.wanted)

    def with_pairs(self, members: pd.DataFrame) -> pd.DataFrame:
        """Return members of groups with what was judged of pairs in them, if anything was."""
        return with_judged_pairs(members, self.stands)

    def with_columns(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table of pairs or labels with what was judged of its rows, if anything was."""
        return with_verdicts(table, self.stands, self.kind)


def by_verdict(results: Results, request: SourceRequest, kind: Kind, options: dict[str, Any]) -> ByVerdict:
    """Return what the options of `judged_options` ask for; takes them out of `options`.

    What is wrong with the file is said on stderr. Raises `DataError` if it cannot be read although rows are
    chosen by it.
    """
    wanted = wanted_of(kind, options.pop("judged"), options.pop("reviewer"))
    path = verdicts_path(request)
    try:
        stands, warnings = open_verdicts(results, path)
    except DataError as error:
        if wanted:
            raise
        say(f"warning: {error}", err=True)
        return ByVerdict(Judged(PixelHashes({})), wanted, kind)
    for warning in (*warnings, unmatched_words(stands, results.name)):
        if warning:
            say(f"warning: {warning}", err=True)
    if wanted and not stands.count:
        say(f"There are no verdicts yet: {path} is missing or empty.", err=True)
    return ByVerdict(stands, wanted, kind)
