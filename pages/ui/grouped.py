"""Groups of near-duplicates as their page and its list show them; what takes long is found once and kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from kernel_core.errors import RequestError
from kernel_core.findings.groups import Groups, NearPairs, group_pairs, near_pairs, select_groups
from kernel_core.results import grouping
from kernel_core.results.judged_rows import EVERYTHING, Wanted, select_groups_judged
from kernel_core.results.results import Results
from pages.ui import load, paired, verdicts
from pages.ui.paired import SIMILARITY
from pages.ui.wording import escape

MOST_ALIGNED = 20_000  # pairs whose pixels a page compares: about ten seconds


@dataclass(frozen=True)
class Asked:
    """Which groups: the similarity that links pairs, its threshold, and filters of what is found.

    aligned: the least correlation of aligned pixels; None if pixels do not count. labels: as of
    `select_groups`. of_class: the name of a class; empty for any. crossing: only groups of both splits.
    order: kernel or twin, by which pairs are linked by their similarity or by their twin score. wanted: by
    what was judged of pairs in the group; in addresses of lists it is beside the name (`pages.ui.lists`).
    """

    by: str
    threshold: float
    aligned: float | None = None
    labels: str = "all"
    of_class: str = ""
    crossing: bool = False
    order: str = SIMILARITY
    wanted: Wanted = EVERYTHING

    def to_list(self) -> tuple[str, ...]:
        """Return the name and the arguments of the list of these groups; `from_list` reads the latter.

        >>> Asked("kernel", 0.52, 0.9, of_class="cat").to_list()
        ('groups', 'kernel', '0.52', '0.9', '', '', 'cat')
        """
        name = "groups" if self.order == SIMILARITY else "twin_groups"
        labels = "" if self.labels == "all" else self.labels
        aligned = "" if self.aligned is None else str(self.aligned)
        crossing = "both" if self.crossing else ""
        return name, self.by, str(self.threshold), aligned, labels, crossing, self.of_class

    @classmethod
    def from_list(cls, order: str, *arguments: str) -> Asked:
        """Return what `to_list` was of. Raises `ValueError` for other texts."""
        by, threshold, aligned, labels, crossing, of_class = arguments
        if crossing not in ("", "both"):
            raise ValueError(crossing)
        least = float(aligned) if aligned else None
        return cls(by, float(threshold), least, labels or "all", of_class, bool(crossing), order)

    @property
    def words(self) -> tuple[str, ...]:
        """The filters as people read them, in Markdown; empty where there are none."""
        aligned = "" if self.aligned is None else f"aligned pixels of at least {self.aligned:g}"
        labels = {"all": "", "same": "same labels", "different": "mixed labels"}.get(self.labels, "")
        return aligned, labels, "across the splits" if self.crossing else "", escape(self.of_class)


class Links(NamedTuple):
    """What links pairs: results by their ids, a similarity, an order and a threshold."""

    ids: tuple[str, ...]
    by: str
    order: str
    threshold: float


def directions(results: Results, by: str, order: str = SIMILARITY) -> tuple[list[Results], list[Results]]:
    """Return the results in each direction that groups are made of: those that are built, and the others.

    results: in one direction within a split, or those that the server shows for groups across both. order: in
    the order twin, pixels must be aligned too.
    """

    def is_built(part: Results) -> bool:
        return by in part.names and (order == SIMILARITY or paired.has_twins(part, by))

    if results.within:
        parts = [results]
    else:
        asked = grouping.directions_of(results)
        parts = [load.in_direction(results, query if query == database else "") for query, database in asked]
    possible = [part for part in parts if grouping.can_have(part, by)]
    return [part for part in possible if is_built(part)], [part for part in possible if not is_built(part)]


def find(results: Results, asked: Asked) -> Groups:
    """Return the groups, before any filter, from the directions that are built.

    Raises `RequestError` if none is, if the threshold is no number, or if too many pairs are to be aligned.
    """
    built, _ = directions(results, asked.by, asked.order)
    links = Links(tuple(part.id for part in built), asked.by, asked.order, asked.threshold)
    return _groups(results.id, links, asked.aligned)


@st.cache_resource(max_entries=8, show_spinner="Finding groups")
def _groups(results_id: str, links: Links, aligned: float | None) -> Groups:
    results = load.by_id[results_id]
    pairs = _pairs(results_id, links)
    if aligned is not None:
        if len(pairs) > MOST_ALIGNED:
            raise RequestError(
                f"{len(pairs):,} pairs are at or above the threshold; the page compares the pixels of "
                f"{MOST_ALIGNED:,} at most. Raise the threshold, or use `kernel-explorer groups`."
            )
        pairs = pairs.where(_correlations(results_id, links) >= aligned)
    return group_pairs(pairs, {split: of_split.labels for split, of_split in results.examples.items()})


@st.cache_resource(max_entries=4, show_spinner=False)
def _pairs(results_id: str, links: Links) -> NearPairs:
    tables = [grouping.table_of(load.by_id[part], links.by, links.order) for part in links.ids]
    return near_pairs(tables, load.by_id[results_id].example_counts, links.threshold)


@st.cache_resource(max_entries=8, show_spinner="Comparing aligned images")
def _correlations(results_id: str, links: Links) -> npt.NDArray[np.float32]:
    pairs = _pairs(results_id, links)
    return grouping.pixel_correlations(pairs, load.by_id[results_id].examples)


def select(results: Results, found: Groups, asked: Asked) -> pd.DataFrame:
    """Return the rows of the table of groups that pass. Raises `ValueError` or `RequestError`."""
    label = results.class_names.index(asked.of_class) if asked.of_class else None
    rows = select_groups(found, asked.labels, label, crossing=asked.crossing)
    return select_groups_judged(rows, found.members, verdicts.standing(results), asked.wanted)


def head(row: pd.Series, labels: pd.Series, class_names: tuple[str, ...], *, is_chain: bool) -> str:
    """Return the line above a group. row: of the table of groups. labels: of its members."""
    in_splits = ", ".join(f"{row[split]:,} {split}" for split in ("test", "train") if row[split])
    named = [
        (f"label {name}" if name.isdigit() else name, count)
        for name, count in ((class_names[label], count) for label, count in labels.value_counts().items())
    ]
    classes = ", ".join(f"{count:,} {name}" for name, count in named) if row["is_mixed"] else named[0][0]
    words = [f"#{row['group']}", f"{row['similarity']:.3f}", in_splits, classes]
    return "  ·  ".join([*words, "a chain"] if is_chain else words)
