"""The verdicts that a static copy shows beside its examples and pairs."""

from __future__ import annotations

from typing import Any

from kernel_core.results.judged_rows import By, verdict_of
from kernel_core.review.judged import Judged
from kernel_core.review.verdicts import VERDICTS
from kernel_core.static_copy.numbered import Numbered


def verdicts_of(judged: Judged, numbered: Numbered, *, named: bool = True) -> dict[str, Any]:
    """Return the standing verdicts on what the copy shows.

    pairs: by the two numbers of its examples, the smaller first, as "3-17"; labels: by the example's number.
    Each is what was said in all, and a list of reviewer, verdict, proposed class and note. named: with the
    reviewers' names and notes; else they are "reviewer 1" and so on. kinds: every verdict there is, by kind.
    """
    known = numbered.number_of
    names = {name: name if named else f"reviewer {n}" for n, name in enumerate(judged.reviewers, start=1)}
    pairs = {
        "-".join(map(str, sorted((known[a], known[b])))): _told(by, names, named)
        for (a, b), by in judged.pairs.items()
        if a in known and b in known
    }
    labels = {str(known[a]): _told(by, names, named) for a, by in judged.labels.items() if a in known}
    kinds = {kind: list(words) for kind, words in VERDICTS.items()}
    return {"pairs": pairs, "labels": labels, "kinds": kinds, "reviewers": sorted(names.values())}


def _told(by: By, names: dict[str, str], named: bool) -> list[Any]:
    votes = [
        [names[who], verdict.verdict, verdict.proposed_label, verdict.note if named else ""]
        for who, verdict in sorted(by.items())
    ]
    return [verdict_of(by), votes]
