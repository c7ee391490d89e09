"""What several reviewers say together of an item: the verdict that a rule takes from theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TypeAlias

import pandas as pd

from kernel_core.review.judged import Judged, Key
from kernel_core.review.verdicts import DUPLICATES, UNSURE, Kind, Verdict

RULES = {
    "majority": "the verdict that more reviewers gave than any other; ties are undecided",
    "unanimous": "the verdict that all reviewers of the item gave, who decided it among them",
    "adjudicated": "the decided verdict where there is one, else the one that all gave",
}
"""Rule → which verdict it takes. A decided one (design gold) stands over all others unless all must agree."""
UNANIMOUS = "unanimous"
GOLD, QUEUE, SAMPLE = "gold", "queue", "sample"
SIDES: Mapping[Kind, tuple[str, str]] = {
    "pair": ("duplicate", "no duplicate"),
    "label": ("label applies", "label does not apply"),
}
"""The two sides of the verdicts of a kind; unsure is on none of them."""
SIDE_OF: Mapping[Kind, Mapping[str, str]] = {
    "pair": {**dict.fromkeys(DUPLICATES, SIDES["pair"][0]), "different": SIDES["pair"][1]},
    "label": {
        **dict.fromkeys(("given", "both"), SIDES["label"][0]),
        **dict.fromkeys(("guessed", "neither"), SIDES["label"][1]),
    },
}
"""Verdict of a kind → its side."""
NAMES_A_CLASS = ("guessed", "both")  # verdicts on labels that say little without the class
ITEM_COLUMNS = ["a_split", "a_index", "b_split", "b_index"]
CONSENSUS_COLUMNS = [
    *ITEM_COLUMNS, "verdict", "proposed_label", "votes", "agree", "design", "stratum",
    "inclusion_probability", "at",
]  # fmt: skip
UNDECIDED_COLUMNS = [*ITEM_COLUMNS, "votes", "verdicts", "serious", "at"]
Vote: TypeAlias = tuple[str, str]  # the verdict, and its class if that belongs to it


def consensus(judged: Judged, kind: Kind, rule: str = "majority") -> pd.DataFrame:
    """Return one row per item that the rule decides, sorted by item, with `CONSENSUS_COLUMNS`.

    rule: of `RULES`. a_split, a_index, b_split, b_index: as in `Judged.table`. verdict: unsure is one as
    well. proposed_label: the class most named by those who gave the verdict, empty if none; with the verdicts
    guessed and both, another class is another vote. votes: reviewers who judged the item. agree: those of
    them who gave this verdict. design: gold if decided, else queue if any standing verdict is of a queue,
    else sample. stratum, inclusion_probability: of a sample; a decided item keeps those of its sample, and
    has none if it came from a queue as well. at: of the latest verdict. Of several decided verdicts the
    latest stands.
    """
    rows = []
    for key, by in _sorted_items(judged, kind):
        winner = _winner(by, rule)
        if winner is not None:
            rows.append((*_places(key), *_row(judged, key, by, winner)))
    return pd.DataFrame(rows, columns=CONSENSUS_COLUMNS)


def undecided(judged: Judged, kind: Kind, rule: str = "majority") -> pd.DataFrame:
    """Return one row per item that was judged and that the rule leaves open, with `UNDECIDED_COLUMNS`.

    Under `adjudicated` these are all items on which reviewers disagree and that nobody has decided yet.
    votes: reviewers who judged it. verdicts: each with its number, most named first, as in
    "different 2, exact 1". serious: whether the verdicts are on both of `SIDES`. at: of the latest verdict.
    Sorted by item.
    """
    rows = []
    for key, by in _sorted_items(judged, kind):
        if _winner(by, rule) is None:
            at = max(verdict.at for verdict in by.values())
            rows.append((*_places(key), len(by), _summary(by), is_serious(by), at))
    return pd.DataFrame(rows, columns=UNDECIDED_COLUMNS)


def agreed(by: Mapping[str, Verdict]) -> Vote | None:
    """Return the verdict on one item, and its class if that belongs to it, by the rule `adjudicated`.

    by: reviewer → verdict, at least one. None if they disagree.
    """
    return _winner(by, "adjudicated")


def keys_of(table: pd.DataFrame) -> list[Key]:
    """Return the items of a table of `consensus` or `undecided`, in its order."""
    places = (table[column].tolist() for column in ITEM_COLUMNS)
    return [
        ((a_split, a_index), (b_split, b_index)) if b_split else ((a_split, a_index),)
        for a_split, a_index, b_split, b_index in zip(*places, strict=True)
    ]


def is_serious(by: Mapping[str, Verdict]) -> bool:
    """Return whether verdicts on one item are on both of `SIDES`: duplicate or not, label right or not."""
    return len({SIDE_OF[v.kind][v.verdict] for v in by.values() if v.verdict != UNSURE}) > 1


def _winner(by: Mapping[str, Verdict], rule: str) -> Vote | None:
    """Return what the reviewers' verdicts on one item come to; None if the rule leaves it open."""
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}; expected one of {', '.join(RULES)}")
    decided = [verdict for verdict in by.values() if verdict.design == GOLD]
    if decided and rule != UNANIMOUS:
        return _vote(max(decided, key=lambda verdict: verdict.at))
    votes = Counter(_vote(verdict) for verdict in by.values())
    if len(votes) == 1:
        return next(iter(votes))
    if rule != "majority":
        return None
    (first, most), (_, second) = votes.most_common(2)
    return first if most > second else None


def _vote(verdict: Verdict) -> Vote:
    return verdict.verdict, verdict.proposed_label if verdict.verdict in NAMES_A_CLASS else ""


def _row(judged: Judged, key: Key, by: Mapping[str, Verdict], winner: Vote) -> tuple[object, ...]:
    for_it = [verdict for verdict in by.values() if _vote(verdict) == winner]
    classes = Counter(sorted(verdict.proposed_label for verdict in for_it if verdict.proposed_label))
    design = next(name for name in (GOLD, QUEUE, SAMPLE) if any(v.design == name for v in by.values()))
    sample = None
    if design != QUEUE:
        seen = [verdict for stack in judged.history(key).values() for verdict in stack]
        if all(verdict.design != QUEUE for verdict in seen):
            sample = next((verdict for verdict in seen if verdict.design == SAMPLE), None)
    return (
        winner[0], classes.most_common(1)[0][0] if classes else "", len(by), len(for_it), design,
        sample.stratum if sample else "", sample.inclusion_probability if sample else None,
        max(verdict.at for verdict in by.values()),
    )  # fmt: skip


def _summary(by: Mapping[str, Verdict]) -> str:
    """Return the votes in words: "different 2, exact 1"."""
    votes = Counter(sorted(" ".join(filter(None, _vote(verdict))) for verdict in by.values()))
    return ", ".join(f"{name} {count}" for name, count in votes.most_common())


def _sorted_items(judged: Judged, kind: Kind) -> list[tuple[Key, Mapping[str, Verdict]]]:
    if kind == "pair":
        return [(key, judged.pairs[key]) for key in sorted(judged.pairs)]
    return [((example,), judged.labels[example]) for example in sorted(judged.labels)]


def _places(key: Key) -> tuple[str, int, str, int]:
    (a_split, a_index), (b_split, b_index) = key[0], key[1] if len(key) > 1 else ("", -1)
    return a_split, a_index, b_split, b_index
