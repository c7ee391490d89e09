"""Labels to check: the choices of the page and of lists that came from it, and what they show."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import streamlit as st

from kernel_core.errors import DataError, NotBuilt, RequestError
from kernel_core.findings.labels_to_check import DEFAULT, Gathered, order_called, select_labels
from kernel_core.results import label_check
from kernel_core.results.judged_rows import EVERYTHING, Wanted, select_judged
from kernel_core.results.results import Results
from kernel_core.spec import Split
from pages.ui import load, verdicts
from pages.ui.wording import escape

MOST_RANKED = 300_000_000  # examples times classes; 200 million take 1.4 core-seconds to rank
MOST_KEPT = 12_000_000  # of them what speaks for and against stays in memory: 0.2 GB
LOOKED_AT = 50_000_000  # numbers of the runs' outputs that are searched to complete a row of evidence
EVIDENCE = 3  # nearest examples of a class, per row
Found = list[tuple[int, float]]


@dataclass(frozen=True)
class Asked:
    """What a list of labels holds. label, proposed: names of classes; empty for any.

    wanted: by what was judged of the label; in addresses of lists it is beside the name (`pages.ui.lists`).
    """

    by: str
    order: str = DEFAULT
    label: str = ""
    proposed: str = ""
    both: bool = False
    wanted: Wanted = EVERYTHING

    @classmethod
    def from_list(cls, by: str, order: str, label: str, proposed: str, both: str) -> Asked:
        """Return what the arguments of a list say; those left out are empty."""
        return cls(by or "kernel", order or DEFAULT, label, proposed, both == "both")

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of the list, without the defaults."""
        order = "" if self.order == DEFAULT else self.order
        return self.by, order, self.label, self.proposed, "both" if self.both else ""

    @property
    def words(self) -> list[str]:
        """What the list is narrowed to, in Markdown."""
        words = [f"labeled {escape(self.label)}" if self.label else ""]
        words += [f"{escape(self.proposed)} proposed" if self.proposed else ""]
        return [*words, "both agree" if self.both else ""]


def variants_of(results: Results) -> list[str]:
    """Return the variants of the kernel to offer for the vote, built or not: centred logits, common shift."""
    if results.spec.similarity != "kernel":
        return []
    return [replace(results.spec, transform=transform).name for transform in ("centred", "shift")]


def in_direction(opened: Results, split: str) -> Results:
    """Return the results in the direction that judges a split's labels."""
    query, database = label_check.direction_of(opened, "train" if split == "train" else "test")
    return load.in_direction(opened, query if query == database and len(opened.examples) > 1 else "")


@st.cache_resource(max_entries=16, show_spinner="Ranking labels")
def table(results_id: str, by: str, order: str) -> pd.DataFrame:
    """Return the table of `label_check.check_labels`. Raises `RequestError` also where a page has no room."""
    shown = load.by_id[results_id]
    if (size := len(shown.labels[0]) * len(shown.class_names)) > MOST_RANKED:
        raise RequestError(
            f"{len(shown.labels[0]):,} examples of {len(shown.class_names):,} classes are too many to rank "
            f"here: {size:,} probabilities, of which a page takes {MOST_RANKED:,}. Use `kernel-explorer "
            "labels`."
        )
    if size > MOST_KEPT:
        return label_check.check_labels(shown, by, order)
    return _gathered(results_id, by, order_called(order).needs_pixels).ranked(order)


@st.cache_resource(max_entries=2, show_spinner=False)
def _gathered(results_id: str, by: str, needs_pixels: bool) -> Gathered:
    """Return what all orders are made from: at 10,000,000 numbers, another takes a fifth of the first."""
    return label_check.gather_labels(load.by_id[results_id], by, needs_pixels=needs_pixels).kept()


def rows_of(results: Results, asked: Asked) -> pd.DataFrame:
    """Return the rows that are asked for. Raises `RequestError`, or `ValueError` for an unknown class."""
    names = results.class_names
    try:
        everything = table(results.id, asked.by, asked.order)
    except NotBuilt as error:
        raise RequestError(str(error)) from None
    chosen = [names.index(name) if name else None for name in (asked.label, asked.proposed)]
    rows = select_labels(everything, *chosen, both=asked.both)
    return select_judged(rows, verdicts.standing(results), "label", asked.wanted)


@st.cache_data(max_entries=5_000, show_spinner=False)
def nearest_of_class(
    opened_id: str, split: Split, index: int, by: str, among: Split, label: int
) -> Found | None:
    """Return the nearest examples of one class to one example: index and similarity, nearest first.

    opened_id: of the results that the server shows. None where they cannot be found: then those that are kept
    are all there is.
    """
    try:
        found = load.nearby(opened_id).nearest_of_class((split, index), EVIDENCE, by, among, label)
    except (DataError, NotBuilt, RequestError):
        return None
    return list(zip(*(values.tolist() for values in found), strict=True))


def evidence(opened_id: str, results: Results, by: str, index: int, label: int) -> tuple[str, Found]:
    """Return the nearest examples of a class, at most `EVIDENCE`, found on demand where few are kept.

    Where there are very many examples, one that is kept is enough.
    results: in their direction; index: of an example of their query split. Where none can be found by `by`,
    they are those by the kernel. Returns the similarity, and the examples.
    """
    found = _nearest_by(opened_id, results, by, index, label)
    if found or by == "kernel" or "kernel" not in results.names:
        return by, found
    return "kernel", _nearest_by(opened_id, results, "kernel", index, label)


def _nearest_by(opened_id: str, results: Results, by: str, index: int, label: int) -> Found:
    neighbors = results.neighbors_by(by)
    of_class = results.labels[1][neighbors.indices[index]] == label
    places = np.flatnonzero(of_class)[:EVIDENCE]
    outputs = results.traces.get(results.database)
    is_large = outputs is not None and outputs.values.size > LOOKED_AT
    if len(places) < (1 if is_large else EVIDENCE):
        found = nearest_of_class(opened_id, results.query, index, by, results.database, label)
        if found is not None:
            return found
    kept = neighbors.indices[index, places].tolist(), neighbors.values[index, places].tolist()
    return list(zip(*kept, strict=True))
