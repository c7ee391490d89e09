"""Tables of pairs and of labels with what was judged of their rows, and which rows to keep by that.

An item's verdict is what its reviewers agree on by the rule `adjudicated` of `kernel_core.review.consensus`,
`DISPUTED` where they differ, and empty where nobody judged it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.printable import CELL, printable
from kernel_core.review.consensus import agreed
from kernel_core.review.judged import Judged, Key, pair_of
from kernel_core.review.verdicts import VERDICTS, Kind, Verdict

JUDGED, UNJUDGED, DISPUTED = "judged", "unjudged", "disputed"
STATES = (JUDGED, UNJUDGED, DISPUTED)
COLUMNS = ["verdict", "reviewers", "votes"]
"""What `with_verdicts` adds: the verdict, the names of who judged, and how many they are."""
GROUP_COLUMNS = ["judged_pairs", "verdicts"]
"""What `with_judged_pairs` adds."""
By = Mapping[str, Verdict]


def choices(kind: Kind) -> tuple[str, ...]:
    """Return by what items of a kind can be chosen: their states, then their verdicts."""
    return *STATES, *VERDICTS[kind]


def verdict_of(by: By) -> str:
    """Return what an item was judged: a verdict, `DISPUTED`, or an empty text. by: reviewer → verdict."""
    if not by:
        return ""
    vote = agreed(by)
    return vote[0] if vote else DISPUTED


@dataclass(frozen=True)
class Wanted:
    """Which items, by what was judged of them.

    judged: of `choices`; empty for all, or with a reviewer for those that the reviewer judged. reviewer: only
    this one's verdicts count; empty for those of all. A disputed item is one of the reviewer's if the
    reviewer judged it.
    """

    judged: str = ""
    reviewer: str = ""

    def __bool__(self) -> bool:
        return bool(self.judged or self.reviewer)

    def accepts(self, by: By) -> bool:
        """Return whether an item passes. by: reviewer → standing verdict."""
        if not self:
            return True
        own = by if not self.reviewer else {name: by[name] for name in (self.reviewer,) if name in by}
        if self.judged in ("", JUDGED, UNJUDGED):
            return bool(own) != (self.judged == UNJUDGED)
        return bool(own) and verdict_of(by if self.judged == DISPUTED else own) == self.judged

    def to_text(self) -> str:
        """Return it as a part of an address, without a colon or an @; `from_text` reads it.

        >>> Wanted("unjudged").to_text(), Wanted("exact", "a:b").to_text(), Wanted().to_text()
        ('unjudged', 'exact~a%3Ab', '')
        """
        return "~".join([self.judged, *([quote(self.reviewer, safe="")] if self.reviewer else [])])

    @classmethod
    def from_text(cls, text: str) -> Wanted:
        """Return what `to_text` was of. Raises `ValueError` for another text."""
        judged, _, reviewer = text.partition("~")
        if judged and not any(judged in choices(kind) for kind in VERDICTS):
            raise ValueError(text)
        return cls(judged, unquote(reviewer))

    @property
    def words(self) -> str:
        """What it keeps, as plain text: unjudged, judged exact by Ann; empty for everything."""
        if not self:
            return ""
        state = self.judged or JUDGED
        words = state if state in STATES else f"judged “{state}”"
        by = "with a verdict of" if state == DISPUTED else "by"
        return f"{words} {by} {printable(self.reviewer, CELL)}" if self.reviewer else words


EVERYTHING = Wanted()


def wanted_of(kind: Kind, judged: str | None, reviewer: str | None) -> Wanted:
    """Return what is asked for in words. Raises `RequestError` for what is no choice of this kind."""
    if judged and judged not in choices(kind):
        raise RequestError(f"Found judged = {judged!r}; expected one of {', '.join(choices(kind))}.")
    return Wanted(judged or "", reviewer or "")


def keys_of(table: pd.DataFrame, kind: Kind) -> list[Key]:
    """Return the item of each row, as `Judged` knows it.

    table: with query_split and query_index; of pairs also with database_split and database_index.
    """
    a = list(zip(table["query_split"].tolist(), table["query_index"].tolist(), strict=True))
    if kind == "label":
        return [(example,) for example in a]
    b = zip(table["database_split"].tolist(), table["database_index"].tolist(), strict=True)
    return list(map(pair_of, a, b))


def standing_on(judged: Judged, key: Key) -> By:
    """Return the standing verdicts on an item, by reviewer; a copy, as others may judge meanwhile."""
    return dict(judged.of_label(key[0]) if len(key) == 1 else judged.of_pair(key[0], key[1]))


def keeps(judged: Judged, keys: Iterable[Key], wanted: Wanted) -> npt.NDArray[np.bool_]:
    """Return which items pass, bool (n,). 10,000 take about 10 ms."""
    return np.array([wanted.accepts(standing_on(judged, key)) for key in keys], bool)


def select_judged(table: pd.DataFrame, judged: Judged, kind: Kind, wanted: Wanted) -> pd.DataFrame:
    """Return the rows that pass; they keep their ranks. table: as in `keys_of`."""
    return table[keeps(judged, keys_of(table, kind), wanted)] if wanted else table


def with_verdicts(table: pd.DataFrame, judged: Judged, kind: Kind) -> pd.DataFrame:
    """Return a table with the columns of `COLUMNS` after all others, if any item of its kind was judged.

    table: as in `keys_of`. verdict: as this module says. reviewers: names in order, with commas. votes: int,
    their number.
    """
    if not (judged.pairs if kind == "pair" else judged.labels):
        return table
    found = [standing_on(judged, key) for key in keys_of(table, kind)]
    return table.assign(
        verdict=[verdict_of(by) for by in found],
        reviewers=[", ".join(sorted(by)) for by in found],
        votes=[len(by) for by in found],
    )


def judged_pairs_of(members: pd.DataFrame, judged: Judged) -> dict[int, dict[Key, By]]:
    """Return the judged pairs whose two examples are in one group, by the group's number.

    members: of groups, with the columns split, index and group.
    """
    if not judged.pairs:
        return {}
    examples = zip(members["split"].tolist(), members["index"].tolist(), strict=True)
    group_of = dict(zip(examples, members["group"].tolist(), strict=True))
    found: dict[int, dict[Key, By]] = {}
    for (a, b), by in list(judged.pairs.items()):
        if a in group_of and group_of[a] == group_of.get(b):
            found.setdefault(group_of[a], {})[a, b] = dict(by)
    return found


def keeps_groups(members: pd.DataFrame, judged: Judged, wanted: Wanted) -> set[int]:
    """Return the numbers of the groups that pass: those with a pair that does.

    Unjudged are those without a judged pair. members: as for `judged_pairs_of`.
    """
    found = judged_pairs_of(members, judged)
    is_unjudged = wanted.judged == UNJUDGED
    met = Wanted(JUDGED, wanted.reviewer) if is_unjudged else wanted
    passing = {group for group, pairs in found.items() if any(map(met.accepts, pairs.values()))}
    return set(members["group"].tolist()) - passing if is_unjudged else passing


def select_groups_judged(
    rows: pd.DataFrame, members: pd.DataFrame, judged: Judged, wanted: Wanted
) -> pd.DataFrame:
    """Return the rows of the table of groups that pass. members: of all groups."""
    return rows[rows["group"].isin(keeps_groups(members, judged, wanted))] if wanted else rows


def with_judged_pairs(members: pd.DataFrame, judged: Judged) -> pd.DataFrame:
    """Return members of groups with the columns of `GROUP_COLUMNS` after all others, if pairs were judged.

    judged_pairs: number of judged pairs in the group. verdicts: what they were judged, the most frequent
    first, as in "exact 2, different 1".
    """
    if not judged.pairs:
        return members
    found = judged_pairs_of(members, judged)
    counts = {group: Counter(map(verdict_of, pairs.values())) for group, pairs in found.items()}
    words = {
        group: ", ".join(f"{verdict} {count}" for verdict, count in sorted(said.items(), key=_most_first))
        for group, said in counts.items()
    }
    numbers = members["group"].tolist()
    return members.assign(
        judged_pairs=[len(found.get(group, ())) for group in numbers],
        verdicts=[words.get(group, "") for group in numbers],
    )


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def unmatched_words(judged: Judged, source: str) -> str:
    """Return how many verdicts are on no example of a source, as a sentence; empty where all are.

    source: its name. Where none is on it, the sentence names the source that most verdicts were given on.
    """
    lost, total = len(judged.unmatched), judged.count
    if not lost:
        return ""
    if lost < total:
        return f"{lost:,} of {total:,} verdicts are on examples that {source} does not have."
    sources = Counter(verdict.shown.source for verdict in judged.unmatched if verdict.shown.source)
    named = f"; the file names the source {printable(sources.most_common(1)[0][0], CELL)}" if sources else ""
    return f"0 of {total:,} verdicts are on examples of {source}{named}."
