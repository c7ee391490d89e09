"""Verdicts as they come from the browser: checked, completed from the queue, saved, and counted once.

The browser sends what it has not seen saved yet, again and again, with an id that it made for each. A server
that was stopped, a page that was loaded anew or two clicks in one run of the page therefore lose nothing, and
nothing is written twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kernel_core.errors import KernelExplorerError
from kernel_core.printable import printable
from kernel_core.results.results import Results
from kernel_core.review.judged import Judged
from kernel_core.review.verdicts import LONGEST, VERDICTS, WITHDRAWN, Kind, Shown, Verdict
from pages.ui import read_only, verdicts
from pages.ui.review_queue import Candidate, Queue, queue_of

ID = re.compile(r"[0-9a-f]{32}")
MOST = 1_000  # verdicts taken at a time
ANONYMOUS = "anonymous"


@dataclass(frozen=True)
class Reviewer:
    """Who judges. name: as others see it. blind: whether the verdicts of others are hidden from them."""

    name: str
    blind: bool = False


@dataclass(frozen=True)
class Answer:
    """What the browser is told. saved: ids that it can forget. problem: why others are not; else empty."""

    saved: list[str]
    problem: str = ""


def take(results: Results, queue: Queue, sent: Any) -> Answer:
    """Save the verdicts that the browser sent. sent: its list of them, of whatever form.

    results: those that the server shows. queue: on the page; entries may be of another one that was left
    before they were saved. What makes no sense, or is on no item of its queue, is left out, and the browser
    told to forget it.
    """
    entries = [entry for entry in sent if _has_id(entry)][:MOST] if isinstance(sent, list) else []
    if not entries:
        return Answer([])
    try:
        read_only.refuse()
        judged = verdicts.judged(results)
        made: dict[str, Verdict] = {}
        queues: dict[str, Queue | None] = {queue.text: queue}
        for entry in entries:
            if entry["id"] not in judged.by_id:
                verdict = _verdict(_queue_of(results, entry, queues), entry, judged, made)
                made |= {verdict.id: verdict} if verdict else {}
        if made:
            verdicts.save(results, made.values())
    except KernelExplorerError as error:
        return Answer([], printable(error))
    return Answer([entry["id"] for entry in entries])


def _queue_of(results: Results, entry: Mapping[str, Any], known: dict[str, Queue | None]) -> Queue | None:
    text, reviewer = str(entry.get("queue")), reviewer_of(entry.get("reviewer"))
    if text not in known:
        known[text] = queue_of(results, text, reviewer, str(entry.get("kind")))
    return known[text]


def reviewer_of(text: Any) -> str:
    """Return the name of a reviewer as it is written; `ANONYMOUS` where there is none."""
    return str(text or "").strip()[: LONGEST["reviewer"]] or ANONYMOUS


def _has_id(entry: Any) -> bool:
    return isinstance(entry, dict) and bool(ID.fullmatch(str(entry.get("id"))))


def _verdict(
    queue: Queue | None, entry: Mapping[str, Any], judged: Judged, made: Mapping[str, Verdict]
) -> Verdict | None:
    """Return the verdict that an entry stands for; None if it stands for none."""
    candidate = queue.by_name.get(str(entry.get("item"))) if queue else None
    word, supersedes = str(entry.get("verdict")), str(entry.get("supersedes") or "")
    reviewer = reviewer_of(entry.get("reviewer"))
    if queue is None or candidate is None or word not in (*VERDICTS[queue.kind], WITHDRAWN):
        return None
    if word == WITHDRAWN and not (supersedes in judged.by_id or supersedes in made):
        return None
    if not supersedes and (own := standing(judged, candidate, queue.kind).get(reviewer)):
        supersedes = own.id
    hashes, shown = judged.hashes, candidate.shown
    milliseconds = entry.get("milliseconds")
    return Verdict(
        queue.kind,
        hashes.item(shown[0]),
        hashes.item(shown[1]) if len(shown) == 2 else None,
        word,
        reviewer,
        id=entry["id"],
        supersedes=supersedes,
        repeats=candidate.repeats if word != WITHDRAWN else "",
        note=str(entry.get("note") or "")[: LONGEST["note"]],
        proposed_label=_class_of(queue.results, entry) if queue.kind == "label" else "",
        shown=_shown(queue, candidate),
        design=candidate.design,
        stratum=candidate.stratum,
        inclusion_probability=candidate.probability,
        blind=bool(entry.get("blind")),
        milliseconds=milliseconds if isinstance(milliseconds, int) and milliseconds >= 0 else None,
        browser=str(entry.get("browser") or "")[:32],
    )


def _class_of(results: Results, entry: Mapping[str, Any]) -> str:
    name = str(entry.get("proposed") or "")
    return name if name in results.class_names else ""


def _shown(queue: Queue, candidate: Candidate) -> Shown:
    results = queue.results
    value, rank = candidate.value, candidate.rank
    return Shown(queue.by, value, rank, queue.text[:1_000], results.name[:1_000], results.id)


def standing(judged: Judged, candidate: Candidate, kind: Kind) -> Mapping[str, Verdict]:
    """Return the standing verdicts on an item, by reviewer."""
    return judged.of_label(candidate.shown[0]) if kind == "label" else judged.of_pair(*candidate.shown)
