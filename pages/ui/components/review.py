"""One item after the other, large, judged with one key: what the browser draws, and what it is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import streamlit as st

from kernel_core.review.judged import Judged
from kernel_core.review.verdicts import VERDICTS, WITHDRAWN, Kind
from kernel_core.spec import Split, example_name
from pages.ui import label_checks, links, load, look, pictures
from pages.ui.components.component import component
from pages.ui.components.gallery import tile, tile_size
from pages.ui.paired import has_twins, ranking
from pages.ui.panels.review_stop import SoFar
from pages.ui.review_intake import Answer, Reviewer, standing
from pages.ui.review_queue import Candidate, Queue, proposed_classes

KEY = "review"
BLOCK = 16  # items after which the next ones are sent
AHEAD = 8  # items that are here before the next are asked for
SENT_BLOCK = "_review_block"
"""Key of the session: what was sent of the queue last, and for which place."""
LARGE, SMALL = 256, 72  # pixels of an image that is judged, and of one beside it
EVIDENCE = 2  # nearest examples of a class


def sent() -> dict[str, Any]:
    """Return what the browser sent last: the queue, the place, and verdicts; empty if nothing yet."""
    state = st.session_state.get(KEY)
    value = state and state.get("sent")
    return value if isinstance(value, dict) else {}


def place_of(run: str, items: Sequence[Candidate]) -> int:
    """Return the place among the items at which the reviewer is, from 0. run: its `_identity`."""
    at = sent().get("at") if sent().get("id") == run else 0
    return min(max(at, 0), len(items)) if isinstance(at, int) else 0


def show_review(
    queue: Queue, items: Sequence[Candidate], reviewer: Reviewer, judged: Judged, *, store: str
) -> None:
    """Draw the queue from where the reviewer is.

    items: of the queue, those that are to be judged. judged: the verdicts that stand now. store: the name
    under which the browser keeps verdicts that are not saved yet.
    """
    run = _identity(queue, items, reviewer)
    at = place_of(run, items)
    place = run, at // BLOCK, store
    kept = st.session_state.get(SENT_BLOCK)
    if kept is None or kept[0] != place or not sent():
        # The same until the next block is due, so that a verdict does not send the items again.
        data = _block(queue, items, reviewer, judged, at=at)
        kept = st.session_state[SENT_BLOCK] = place, {**data, "id": run, "store": store}
    component("review")(key=KEY, data=kept[1], on_sent_change=lambda: None)


def _block(
    queue: Queue, items: Sequence[Candidate], reviewer: Reviewer, judged: Judged, *, at: int
) -> dict[str, Any]:
    """Return what the browser needs to go on from a place of the queue."""
    results = queue.results
    image = results.examples[results.query].images.shape[1:3]
    width, _, rendering = tile_size(image, LARGE)
    first = max(0, at // BLOCK * BLOCK - AHEAD)
    window = items[first : first + 2 * BLOCK + AHEAD]
    return {
        "queue": queue.text, "kind": queue.kind, "reviewer": reviewer.name, "blind": reviewer.blind,
        "total": len(items), "first": first, "at": at, "ahead": AHEAD,
        "items": [_item(queue, candidate, reviewer, judged) for candidate in window],
        "verdicts": buttons(queue.kind), "withdrawn": WITHDRAWN,
        "classes": list(results.class_names) if queue.kind == "label" else [],
        "size": [image[1], image[0]], "width": width, "rendering": look.rendering(rendering),
        "small": tile_size(image, SMALL)[0],
        "done": "This queue is done. Choose another above, or see what has come out on the page Verdicts.",
    }  # fmt: skip


def tell_saved(answer: Answer, found: SoFar) -> None:
    """Tell the browser what is saved, and what the verdicts on the queue come to so far."""
    data = {"saved": answer.saved, "problem": answer.problem, **asdict(found)}
    component("review_saved")(key="review_saved", data=data)


def buttons(kind: Kind) -> list[dict[str, str]]:
    """Return the verdicts of a kind with their keys, 1 for the first."""
    return [
        {"key": str(number), "verdict": verdict, "words": verdict, "about": about}
        for number, (verdict, about) in enumerate(VERDICTS[kind].items(), 1)
    ]


def _identity(queue: Queue, items: Sequence[Candidate], reviewer: Reviewer) -> str:
    """Return what tells one run through a queue from another."""
    names = "\n".join(candidate.name for candidate in items)
    text = f"{queue.text}\n{reviewer}\n{names}"
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _item(queue: Queue, candidate: Candidate, reviewer: Reviewer, judged: Judged) -> dict[str, Any]:
    by = dict(standing(judged, candidate, queue.kind))
    own = None if candidate.repeats else by.get(reviewer.name)
    others = [] if reviewer.blind else [v for name, v in sorted(by.items()) if name != reviewer.name]
    said = ", ".join(f"{v.reviewer}: {v.verdict}" + (f" ({v.note})" if v.note else "") for v in others)
    made: dict[str, Any] = {
        "name": candidate.name, "head": f"#{candidate.rank:,}", "about": "", "others": said,
        "mine": own.verdict if own else "", "own": own.id if own else "",
        "a": _side(queue, candidate.shown[0], "A" if len(candidate.shown) == 2 else ""),
    }  # fmt: skip
    if queue.kind == "pair":
        made["b"] = _side(queue, candidate.shown[1], "B")
        made["head"] += _numbers(queue, candidate)
        made["about"] = _band(queue, candidate)
    else:
        _add_label(queue, candidate, made)
        made["proposed"] = own.proposed_label if own and own.proposed_label else made["proposed"]
    return made


def _side(queue: Queue, example: tuple[Split, int], letter: str) -> dict[str, Any]:
    shown = tile(queue.results, *example)
    name = example_name(*example)
    words = f"{letter}: {name} · {shown['label']}" if letter else f"{name} · labeled {shown['label']}"
    return {
        "src": pictures.whole(queue.results.id, *example),
        "name": name, "label": shown["label"], "alt": shown["alt"], "words": words,
        "href": links.example_href(name),
    }  # fmt: skip


def _numbers(queue: Queue, candidate: Candidate) -> str:
    if candidate.value is None or queue.by not in queue.results.names:
        return ""
    return f"  ·  {queue.results.title_of(queue.by)} {candidate.value:.3f}"


def _band(queue: Queue, candidate: Candidate) -> str:
    """Return what aligned pixels say of a pair of the ranking, where they are built."""
    (split, query), (among, database) = candidate.shown
    if (split, among) != queue.results.spec.splits or not has_twins(queue.results, queue.by):
        return ""
    pairs = ranking(queue.results, queue.by, "twin")
    row = pairs.iloc[_rows(queue.results.id, queue.by)[query]] if len(pairs) else None
    if row is None or int(row["query_index"]) != query or int(row["database_index"]) != database:
        return ""
    return f"pixels aligned {row['aligned']:.2f} · twin score {row['twin']:.2f} · “{row['band']}”"


@st.cache_resource(max_entries=4, show_spinner=False)
def _rows(results_id: str, by: str) -> dict[int, int]:
    """Return the row of each query index in the ranking by the twin score."""
    pairs = ranking(load.by_id[results_id], by, "twin")
    return {int(query): row for row, query in enumerate(pairs["query_index"])}


def _add_label(queue: Queue, candidate: Candidate, made: dict[str, Any]) -> None:
    """Add the proposed class of a label, and the nearest examples of both classes."""
    opened = load.results()
    (split, index), names = candidate.shown[0], queue.results.class_names
    results = label_checks.in_direction(opened, split)
    label = int(results.examples[split].labels[index])
    by = queue.by if queue.by in results.names else "kernel"
    proposed = proposed_classes(results.id, by).get(index, label)
    made["proposed"] = names[proposed]
    made["about"] = f"labeled {names[label]} · proposed: {names[proposed]}" if proposed != label else ""
    made["groups"] = []
    for of_class, what in {label: "as labeled", proposed: "proposed"}.items():
        _, found = label_checks.evidence(opened.id, results, by, index, of_class)
        tiles = [tile(results, results.database, i) for i, _ in found[:EVIDENCE]]
        made["groups"].append({"title": f"nearest {names[of_class]} ({what})", "tiles": tiles})
