"""The lists that people come from: which example is next and which is previous, by the address's `list`.

An address says `list=near_duplicates:kernel`: a name of `LISTS`, then what the list is made with. Where its
pairs are within one split, `list=near_duplicates@train:kernel` says which. Of any list,
`list=near_duplicates~unjudged:kernel` holds only what nobody judged (`judged_rows.Wanted`). Where there is no
list, or it lacks the example, next and previous go by the index in the split.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from kernel_core.errors import RequestError
from kernel_core.results.judged_rows import EVERYTHING, Wanted, keeps, keeps_groups, keys_of
from kernel_core.results.results import Results
from kernel_core.spec import Split, example_name
from pages.ui import links, load, verdicts
from pages.ui.links import Example
from pages.ui.list_makers import LISTS, Ranked
from pages.ui.wording import escape


def carried(results: Results, name: str, *arguments: str | int, wanted: Wanted = EVERYTHING) -> str:
    """Return the parameter of an address that names the list of an example.

    results: those that the list is of, in its direction. arguments: of the list's function. wanted: which of
    its items, by what was judged of them.
    """
    return links.query(list=text(results, name, *arguments, wanted=wanted))


def text(results: Results, name: str, *arguments: str | int, wanted: Wanted = EVERYTHING) -> str:
    """Return the value of that parameter."""
    return _text(name, results.within, arguments, wanted)


def _text(name: str, within: str, arguments: tuple[str | int, ...], wanted: Wanted) -> str:
    """Return the text that names a list. within: the split that its pairs are in; empty for test→train.

    >>> _text("near_duplicates", "", ("kernel", ""), Wanted())
    'near_duplicates:kernel'
    >>> _text("near_duplicates", "train", ("kernel", "", "cat"), Wanted("exact", "Ann"))
    'near_duplicates@train~exact~Ann:kernel::cat'
    """
    name = f"{name}@{within}" if within else name
    parts = [f"{name}~{wanted.to_text()}" if wanted else name, *map(str, arguments)]
    while not parts[-1]:
        parts.pop()
    return ":".join(parts)


def ranked(results_id: str, list_text: str, kept: Example | None = None) -> Ranked | None:
    """Return the list that the address names, or None where its text is not a list.

    kept: an example that stays in the list although it was judged meanwhile, so that it has a next one.
    """
    try:
        whole, wanted = split_wanted(list_text)
        found = _made(results_id, whole)
        return _judged(results_id, whole, found, wanted, kept) if wanted else found
    except (LookupError, RequestError, ValueError):  # not kept: what is missing may be built next
        return None


@st.cache_resource(max_entries=16, show_spinner=False)
def _made(results_id: str, list_text: str) -> Ranked:
    name, _, rest = list_text.partition(":")
    name, _, within = name.partition("@")
    most, make = LISTS[name]
    arguments = rest.split(":", most - 1)
    arguments += [""] * (most - len(arguments))
    return make(load.in_direction(load.by_id[results_id], within), *arguments)


def split_wanted(list_text: str) -> tuple[str, Wanted]:
    """Return the text of the whole list, and which of its items are wanted. Raises `ValueError`.

    >>> split_wanted("labels@train~given~Ann:kernel")
    ('labels@train:kernel', Wanted(judged='given', reviewer='Ann'))
    """
    name, colon, rest = list_text.partition(":")
    name, _, by_verdict = name.partition("~")
    return name + colon + rest, Wanted.from_text(by_verdict)


def _judged(results_id: str, whole: str, found: Ranked, wanted: Wanted, kept: Example | None) -> Ranked:
    """Return the part of a list that a filter by verdicts leaves: of pairs, of groups, or of labels."""
    within = whole.partition(":")[0].partition("@")[2]
    listed = load.in_direction(load.by_id[results_id], within)
    stands, splits = verdicts.standing(listed), np.broadcast_to(found.split, found.order.shape)
    examples = pd.DataFrame({"query_split": splits, "query_index": found.order})
    if found.groups is not None:
        members = pd.DataFrame({"split": splits, "index": found.order, "group": found.groups})
        mask = np.isin(found.groups, list(keeps_groups(members, stands, wanted)))
    elif found.others is not None:
        pairs = examples.assign(database_split=listed.database, database_index=found.others)
        mask = keeps(stands, keys_of(pairs, "pair"), wanted)
    else:
        mask = keeps(stands, keys_of(examples, "label"), wanted)
    if kept:
        mask[_positions(found, *kept)] = True
    parts = {name: values[mask] for name in ("order", "others", "groups")
             if (values := getattr(found, name)) is not None}  # fmt: skip
    title = f"{found.title}, {escape(wanted.words)}"
    split = found.split if isinstance(found.split, str) else found.split[mask]
    return replace(found, split=split, title=title, **parts)


@dataclass(frozen=True)
class Place:
    """Where an example stands in a list, and who stands beside it.

    position: from 1. title: the list's name, in Markdown. by: the similarity that the list makes pairs by;
    empty where the address names no list, so that the list is the split. previous, next: names of examples,
    or None at an end. partners: names of the examples that make a pair with the previous, with this one and
    with the next; empty where there is none.
    """

    position: int
    total: int
    title: str
    by: str
    previous: str | None
    next: str | None
    partners: tuple[str, str, str]


def place(results: Results, split: Split, index: int, list_text: str) -> Place:
    """Return the example's place in the list that the address names, or else in its split."""
    found = ranked(results.id, list_text, (split, index))
    if not found or not _positions(found, split, index).size:
        found = Ranked(split, np.arange(len(results.examples[split])), f"the {split} split", "")
    order, splits = found.order, np.broadcast_to(found.split, found.order.shape)
    here = int(_positions(found, split, index)[0])
    within = list_text.partition(":")[0].partition("@")[2] if found.by else ""
    listed = load.in_direction(results, within)

    def names(at: int) -> tuple[str | None, str]:
        if not 0 <= at < len(order):
            return None, ""
        return f"{splits[at]}:{order[at]}", _partner(listed, found, at)

    (previous, before), (_, own), (following, after) = map(names, (here - 1, here, here + 1))
    return Place(here + 1, len(order), found.title, found.by, previous, following, (before, own, after))


def _partner(listed: Results, found: Ranked, at: int) -> str:
    """Return the name of the example that makes a pair with the one at a place of a list, from 0."""
    if not found.by or found.by not in listed.names:
        return ""
    if found.others is not None:
        return example_name(listed.database, int(found.others[at]))
    return example_name(listed.database, int(listed.neighbors_by(found.by).indices[found.order[at], 0]))


def _positions(ranked: Ranked, split: Split, index: int) -> npt.NDArray[np.int64]:
    """Return where an example stands in a list, from 0; empty if it does not."""
    return np.flatnonzero((ranked.order == index) & (np.asarray(ranked.split) == split))
