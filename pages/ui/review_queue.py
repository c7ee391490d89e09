"""What a reviewer is to judge, in which order: the queue that an address names.

An address says `list=near_duplicates:kernel`, as on other pages (`pages.ui.list_makers`), or one of `QUEUES`:
`list=sample:kernel:kernel:300:0`, `list=disputed:pair`, `list=again:pair`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TypeAlias, cast

import numpy as np
import streamlit as st

from kernel_core.errors import KernelExplorerError
from kernel_core.findings.labels_to_check import DEFAULT
from kernel_core.results.judged_rows import EVERYTHING, Wanted
from kernel_core.results.results import Results
from kernel_core.review.consensus import undecided
from kernel_core.review.judged import Example, Key, pair_of
from kernel_core.review.pooling import pool
from kernel_core.review.sampling import draw_sample
from kernel_core.review.verdicts import VERDICTS, Kind, Verdict
from kernel_core.spec import Split, example_name
from pages.ui import label_checks, lists, load, paired, verdicts
from pages.ui.list_makers import Ranked
from pages.ui.wording import escape, plural

LABEL_LISTS = {"labels", "failure_modes", "labels_to_check", "memorization", "all_examples", "examples"}
"""Lists whose examples are judged by their label; those of other lists by the pair that they make."""
RANKED_LABELS = {"labels", "failure_modes", "labels_to_check"}
"""Of these lists, those that begin with what is most in doubt."""
SAMPLE_SIZE = 300  # verdicts: the interval is then a fifth to a tenth of the total, on CIFAR-10
PAUSE = 600  # seconds after which an own verdict may be asked for again


@dataclass(frozen=True)
class Candidate:
    """One item to judge. key: the example, or the pair, as `Judged` knows it. shown: A, and B of a pair.

    rank: its place in the list, from 1. value: its similarity. design, stratum, probability: as `Verdict`
    has them. repeats: the verdict that is asked for again.
    """

    shown: tuple[Example, ...]
    rank: int
    value: float | None = None
    design: str = "queue"
    stratum: str = ""
    probability: float | None = None
    repeats: str = ""

    @property
    def key(self) -> Key:
        """The item as verdicts are looked up by."""
        return pair_of(*self.shown) if len(self.shown) == 2 else self.shown

    @property
    def name(self) -> str:
        """The item in the browser, such as test:3~train:9."""
        return "~".join(example_name(*example) for example in self.shown)


@dataclass(frozen=True, eq=False)
class Queue:
    """Items in the order in which to judge them.

    text: of the address. title: in Markdown. by: the similarity that made it; empty if none did. results: in
    the direction of its pairs. ranked: whether the items are in the order of a ranking, as the stopping rule
    needs it. ranking: items of the ranking that a sample is of; order: that of the ranking. wanted: which of
    the items are to be judged at first; all others are of the queue too, so that nothing said of an item is
    lost when it is judged.
    """

    text: str
    kind: Kind
    title: str
    by: str
    results: Results
    items: tuple[Candidate, ...]
    ranked: bool = False
    ranking: int = 0
    wanted: Wanted = EVERYTHING
    order: str = ""

    @cached_property
    def by_name(self) -> dict[str, Candidate]:
        """The items by their names in the browser."""
        return {candidate.name: candidate for candidate in self.items}


Maker: TypeAlias = Callable[[Results, str, str], Queue]


def queue_of(results: Results, text: str, reviewer: str, kind: str = "") -> Queue | None:
    """Return the queue of an address, or None where its text is none.

    reviewer: whose earlier verdicts. kind: label to judge the labels of a list of pairs.
    """
    try:
        whole, wanted = lists.split_wanted(text)
    except ValueError:
        return None
    queue = _whole_queue(results, whole, reviewer, kind)
    if queue is None or not wanted:
        return queue
    return replace(queue, wanted=wanted, title=f"{queue.title}, {escape(wanted.words)}")


def _whole_queue(results: Results, text: str, reviewer: str, kind: str) -> Queue | None:
    name, _, arguments = text.partition(":")
    name, _, within = name.partition("@")
    try:
        if name in QUEUES:
            return QUEUES[name](load.in_direction(results, within), arguments, reviewer)
        found = lists.ranked(results.id, text)
        if found is None:
            return None
        is_label = kind == "label" or name in LABEL_LISTS
        return _of_list(load.in_direction(results, within), text, found, is_label=is_label)
    except (KernelExplorerError, LookupError, ValueError):
        return None


def _of_list(results: Results, text: str, found: Ranked, *, is_label: bool) -> Queue:
    splits = np.broadcast_to(found.split, found.order.shape).tolist()
    examples = [(cast(Split, split), int(index)) for split, index in zip(splits, found.order, strict=True)]
    if found.groups is not None and not is_label:
        return _of_groups(results, text, found, examples)
    if is_label or not found.by or found.by not in results.names:
        items = tuple(Candidate((example,), rank) for rank, example in enumerate(examples, 1))
        ranked = text.partition(":")[0].partition("@")[0] in RANKED_LABELS
        return Queue(text, "label", found.title, found.by or "kernel", results, items, ranked=ranked)
    neighbors = results.neighbors_by(found.by)
    others = neighbors.indices[found.order, 0] if found.others is None else found.others
    pairs = zip(examples, others.tolist(), strict=True)
    items = tuple(
        Candidate((a, (results.database, b)), rank, _value(results, found.by, a[1], b))
        for rank, (a, b) in enumerate(pairs, 1)
    )
    return Queue(text, "pair", found.title, found.by, results, items, ranked=True, ranking=len(items))


def _of_groups(results: Results, text: str, found: Ranked, examples: list[Example]) -> Queue:
    """Return the pairs of the example to keep of each group, its first, with each of the others."""
    firsts: dict[int, Example] = {}
    pairs = [
        (firsts[group], example)
        for group, example in zip((found.groups if found.groups is not None else []), examples, strict=True)
        if firsts.setdefault(group, example) != example
    ]
    items = tuple(Candidate(pair, rank) for rank, pair in enumerate(pairs, 1))
    return Queue(text, "pair", found.title, text.split(":")[1], results, items)


def _value(results: Results, by: str, query: int, database: int) -> float | None:
    neighbors = results.neighbors_by(by)
    places = np.flatnonzero(neighbors.indices[query] == database)
    return float(neighbors.values[query, places[0]]) if len(places) else None


def _sample(results: Results, arguments: str, _reviewer: str) -> Queue:
    by, order, size, seed = (arguments.split(":") + [""] * 4)[:4]
    by, order = by or "kernel", order or paired.SIMILARITY
    if order not in (paired.SIMILARITY, paired.TWIN):
        raise ValueError(order)
    size, seed = size or str(SAMPLE_SIZE), seed or "0"
    pairs = paired.find(results, paired.Asked(by, order)).pairs
    drawn = draw_sample(len(pairs), int(size), int(seed))
    rows = pairs.iloc[drawn["rank"].to_numpy() - 1]
    items = tuple(
        Candidate(
            ((results.query, int(pair.query_index)), (results.database, int(pair.database_index))),
            int(draw.rank), float(pair.similarity), "sample", draw.stratum, float(draw.inclusion_probability),
        )
        for pair, draw in zip(rows.itertuples(), drawn.itertuples(), strict=True)
    )  # fmt: skip
    title = f"random sample of {len(items):,} of {len(pairs):,} pairs by {escape(results.title_of(by))}"
    name = f"sample@{results.within}" if results.within else "sample"
    text = f"{name}:{by}:{order}:{size}:{seed}"
    return Queue(text, "pair", title, by, results, items, ranking=len(pairs), order=order)


def _pool(results: Results, arguments: str, _reviewer: str) -> Queue:
    listed, depth, seed = (arguments.split(":") + [""] * 2)[:3]
    names = [name.partition("~") for name in listed.split("+")]
    rankings = [paired.Asked(by, order or paired.SIMILARITY) for by, _, order in names]
    pairs = pool([paired.find(results, asked).pairs for asked in rankings], int(depth), int(seed or 0))
    items = tuple(Candidate(pair, place) for place, pair in enumerate(pairs, 1))
    title = f"first {int(depth):,} ranks of {plural(len(rankings), 'ranking')}, shuffled"
    name = f"pool@{results.within}" if results.within else "pool"
    return Queue(f"{name}:{arguments}", "pair", title, rankings[0].by, results, items)


def _kind(text: str) -> Kind:
    if text not in VERDICTS:
        raise ValueError(text)
    return cast(Kind, text)


def _disputed(results: Results, arguments: str, _reviewer: str) -> Queue:
    kind = _kind(arguments)
    rows = undecided(verdicts.judged(results), kind, "adjudicated")
    rows = rows.sort_values("serious", ascending=False, kind="stable")
    items = tuple(
        Candidate(_examples(row.a_split, row.a_index, row.b_split, row.b_index), place, design="gold")
        for place, row in enumerate(rows.itertuples(), 1)
    )
    title = f"{kind}s that reviewers disagree on; your verdict decides"
    return Queue(f"disputed:{kind}", kind, title, "kernel", results, items)


def _examples(a_split: str, a_index: int, b_split: str, b_index: int) -> tuple[Example, ...]:
    a = cast(Split, a_split), int(a_index)
    return (a, (cast(Split, b_split), int(b_index))) if b_split else (a,)


def _again(results: Results, arguments: str, reviewer: str) -> Queue:
    kind = _kind(arguments)
    judged = verdicts.judged(results)
    old = (datetime.now(UTC) - timedelta(seconds=PAUSE)).isoformat()
    own = [
        (key, by[reviewer])
        for key, by in sorted(judged.items(kind).items())
        if reviewer in by and by[reviewer].at < old and not by[reviewer].repeats
    ]
    order = np.random.default_rng(len(own)).permutation(len(own))
    items = tuple(_once_more(place, *own[at]) for place, at in enumerate(order.tolist(), 1))
    title = f"second look at {kind}s that you judged before"
    return Queue(f"again:{kind}", kind, title, "kernel", results, items)


def _once_more(place: int, key: Key, before: Verdict) -> Candidate:
    return Candidate(
        key, place, before.shown.value, before.design, before.stratum, before.inclusion_probability, before.id
    )


QUEUES: dict[str, Maker] = {"sample": _sample, "pool": _pool, "disputed": _disputed, "again": _again}
"""Name in the address → the queue that is no list of examples, from its arguments and the reviewer's name."""


@st.cache_resource(max_entries=4, show_spinner=False)
def proposed_classes(results_id: str, by: str) -> dict[int, int]:
    """Return, by index in a split, the class that ensemble and neighbors propose for the label.

    results_id: of results in the direction that judges the labels of that split.
    """
    table = label_checks.table(results_id, by, DEFAULT)
    return dict(zip(table["query_index"].tolist(), table["proposed"].tolist(), strict=True))
