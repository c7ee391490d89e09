"""The door's tables of verdicts."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.notebook.door import Door
from kernel_core.review.agreement import agreement
from kernel_core.review.consensus import RULES, consensus
from kernel_core.review.overview import unmatched_table
from kernel_core.review.verdicts import VERDICTS, Kind
from kernel_core.review.votes import WHICH, votes_of
from kernel_core.spec import example_name


class VerdictTables(Door):
    """What reviewers said of pairs and of labels."""

    def verdicts(self, kind: Kind = "pair", *, unmatched: bool = False) -> pd.DataFrame:
        """Return the verdicts that stand, one row per reviewer of each pair or label.

        kind: pair or label. unmatched: instead, the verdicts on examples that the source lacks, as
        `kernel_core.review.overview.unmatched_table` does. Raises `DataError` if the file cannot be read.
        Columns: a and b, or for labels example; then reviewer, verdict, proposed_label, note, at, id,
        similarity, value, rank, filter, design, stratum, inclusion_probability, blind, milliseconds and
        repeats, the fields of a verdict.

        >>> import kernel_core as ke
        >>> list(ke.open("digits").verdicts("label").columns)[:4]
        ['example', 'reviewer', 'verdict', 'proposed_label']
        """
        one_of("kind", kind, VERDICTS)
        judged = self._standing()
        if unmatched:
            table = unmatched_table(judged)
            return table[table["kind"] == kind].reset_index(drop=True)
        return _named(judged.table(kind), kind)

    def consensus(self, kind: Kind = "pair", rule: str = "majority") -> pd.DataFrame:
        """Return one verdict per pair or label that a rule decides.

        kind: pair or label. rule: majority, unanimous or adjudicated. Columns: a and b, or for labels
        example; then those of `kernel_core.review.consensus.consensus`: verdict, proposed_label, votes,
        agree, design, stratum, inclusion_probability and at. Raises `DataError` if the file cannot be read.

        >>> import kernel_core as ke
        >>> list(ke.open("digits").consensus().columns)[:5]
        ['a', 'b', 'verdict', 'proposed_label', 'votes']
        """
        one_of("kind", kind, VERDICTS)
        one_of("rule", rule, RULES)
        return _named(consensus(self._standing(), kind, rule), kind)

    def agreement(
        self, kind: Kind = "pair", which: str = "independent", *, by_side: bool = False
    ) -> pd.DataFrame:
        """Return how far reviewers agree, one row per measure.

        kind: pair or label. which: independent, blind or all: the verdicts that count. by_side: of verdicts
        reduced to duplicate or not, or to label applies or not. Columns: measure, title, value, low, high
        (95%), items and why, as of `kernel_core.review.agreement.agreement`. Raises `DataError` if the file
        cannot be read.

        >>> import kernel_core as ke
        >>> ke.open("digits").agreement()["measure"].tolist()[:2]
        ['percent', 'cohen_kappa']
        """
        one_of("kind", kind, VERDICTS)
        one_of("which", which, WHICH)
        votes = votes_of(self._standing(), kind, which)
        return agreement(votes.by_side() if by_side else votes)


def one_of(name: str, value: str, known: Collection[str]) -> None:
    """Raise `RequestError` if the value of a parameter is none of those known."""
    if value not in known:
        raise RequestError(f"Found {name} = {value!r}; expected one of {', '.join(known)}.")


def _named(table: pd.DataFrame, kind: Kind) -> pd.DataFrame:
    """Return a table of items with the names of examples instead of their splits and indices."""
    sides = {"a": "a", "b": "b"} if kind == "pair" else {"a": "example"}
    names = {
        name: [
            example_name(split, index)
            for split, index in zip(table[f"{side}_split"], table[f"{side}_index"], strict=True)
        ]
        for side, name in sides.items()
    }
    rest = [column for column in table if not column.endswith(("_split", "_index"))]
    return table.assign(**names)[[*names, *rest]]
