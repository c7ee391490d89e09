"""Verdicts as a table of votes, items by reviewers: those that may be compared with each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kernel_core.review.consensus import SIDE_OF, SIDES
from kernel_core.review.judged import Judged, Key
from kernel_core.review.verdicts import UNSURE, VERDICTS, Kind, Verdict

WHICH = {
    "independent": "blind ones, and those given before anyone else had judged the item",
    "blind": "blind ones only",
    "all": "all, also those given in sight of the verdicts of others",
}
"""Which verdicts are compared → what they are. Decided ones and second looks never are."""
MISSING = -1


@dataclass(frozen=True, eq=False)
class Votes:
    """The votes of reviewers on items.

    items: n of them, sorted. reviewers: r names, sorted. verdicts: the q verdicts that were possible. codes:
    int16 (n, r), the number of the verdict, or `MISSING`. ordered: whether the verdicts, all but unsure, have
    an order. left_out: reviewers' verdicts on items that are no votes because they were seen by choice of
    `WHICH`.
    """

    kind: Kind
    items: tuple[Key, ...]
    reviewers: tuple[str, ...]
    verdicts: tuple[str, ...]
    codes: npt.NDArray[np.int16]
    ordered: bool
    left_out: int = 0

    @property
    def shared(self) -> npt.NDArray[np.bool_]:
        """Whether two reviewers or more voted on an item, (n,)."""
        return np.asarray((self.codes != MISSING).sum(1) > 1)

    def of(self, reviewers: Collection[str]) -> Votes:
        """Return the votes of some of the reviewers, in the given order."""
        columns = [self.reviewers.index(name) for name in reviewers]
        return replace(self, reviewers=tuple(reviewers), codes=self.codes[:, columns])

    def without_unsure(self) -> Votes:
        """Return the same votes with unsure as missing."""
        known = [verdict for verdict in self.verdicts if verdict != UNSURE]
        return self._renamed(tuple(known), {verdict: verdict for verdict in known})

    def by_side(self) -> Votes:
        """Return the votes as the two `SIDES` of the kind: duplicate or not. Unsure is missing."""
        return self._renamed(SIDES[self.kind], SIDE_OF[self.kind])

    def _renamed(self, verdicts: tuple[str, ...], new: Mapping[str, str]) -> Votes:
        numbers = [verdicts.index(new[old]) if old in new else MISSING for old in self.verdicts]
        codes = np.array([*numbers, MISSING], np.int16)[self.codes]  # MISSING takes the last one
        return replace(self, verdicts=verdicts, codes=codes)


def votes_of(
    judged: Judged, kind: Kind, which: str = "independent", reviewers: Collection[str] | None = None
) -> Votes:
    """Return the votes on all items of a kind.

    which: of `WHICH`. reviewers: only these, those without a verdict left out; by default all. Of several
    verdicts of one reviewer on an item the last of `which` counts; second looks (`repeats`) and decided ones
    (design gold) do not. Others' verdicts count as seen if they are older by the time in the file.
    """
    if which not in WHICH:
        raise ValueError(f"which is {which!r}; expected one of {', '.join(WHICH)}")
    rows: dict[Key, dict[str, str]] = {}
    left_out = 0
    for key in sorted(judged.items(kind)):
        history = judged.history(key)
        found = {name: _counting(history, name, which) for name in history
                 if reviewers is None or name in reviewers}  # fmt: skip
        rows[key] = {name: verdict for name, verdict in found.items() if verdict}
        left_out += sum(not verdict and bool(_own(history[name])) for name, verdict in found.items())
    names = sorted({name for row in rows.values() for name in row})
    verdicts = tuple(VERDICTS[kind])
    number = {verdict: code for code, verdict in enumerate(verdicts)}
    items = tuple(key for key, row in rows.items() if row)
    codes = np.full((len(items), len(names)), MISSING, np.int16)
    column = {name: at for at, name in enumerate(names)}
    for at, key in enumerate(items):
        for name, verdict in rows[key].items():
            codes[at, column[name]] = number[verdict]
    return Votes(kind, items, tuple(names), verdicts, codes, kind == "pair", left_out)


def _own(stack: list[Verdict]) -> list[Verdict]:
    """Return the verdicts of one reviewer on one item that may be votes."""
    return [verdict for verdict in stack if not verdict.repeats and verdict.design != "gold"]


def _counting(history: Mapping[str, list[Verdict]], reviewer: str, which: str) -> str:
    """Return the verdict by which a reviewer votes on an item; empty if there is none."""
    own = _own(history[reviewer])
    if which == "all":
        counting = own
    elif which == "blind":
        counting = [verdict for verdict in own if verdict.blind]
    else:
        others = [verdict.at for name, stack in history.items() if name != reviewer for verdict in stack]
        first = min(others, default="")
        counting = [verdict for verdict in own if verdict.blind or not others or verdict.at <= first]
    return counting[-1].verdict if counting else ""
