"""Near-duplicates as their page, their list and the front page show them: their order, and which of them.

Pairs are in order of their similarity, or of the twin score (`findings.twins`). That needs images, and pixels
that are aligned already (`Results.aligned`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd
import streamlit as st

from kernel_core.errors import RequestError
from kernel_core.findings.pairs import matching_pairs
from kernel_core.findings.twins import BANDS, allows_twin_score
from kernel_core.results.judged_rows import EVERYTHING, Wanted, select_judged
from kernel_core.results.pair_orders import ORDERS, ordered_pairs
from kernel_core.results.results import Results
from kernel_core.spec import Split
from pages.ui import load, verdicts
from pages.ui.links import Example
from pages.ui.wording import escape

SIMILARITY, TWIN = ORDERS
"""The orders of pairs, as they are called on the command line and in addresses."""


@dataclass(frozen=True)
class Asked:
    """Which near-duplicates: the similarity that finds them, their order, and filters.

    order: of `ORDERS`. labels: same or different; empty for all. of_class: the name of a class; empty for
    any. pixels: least value of pixels aligned; None for any. band: of `BANDS`; empty for any. wanted: by what
    was judged of the pair; in addresses of lists it is beside the name (`pages.ui.lists`).
    """

    by: str
    order: str = SIMILARITY
    labels: str = ""
    of_class: str = ""
    pixels: float | None = None
    band: str = ""
    wanted: Wanted = EVERYTHING

    def to_list(self) -> tuple[str, ...]:
        """Return the name and the arguments of the list of these pairs.

        >>> Asked("kernel", of_class="cat").to_list()
        ('near_duplicates', 'kernel', '', 'cat')
        >>> Asked("kernel", TWIN, pixels=0.9).to_list()
        ('twins', 'kernel', 'twin', '0.9', '', '', '')
        """
        if self.order == SIMILARITY and not self.needs_pixels:
            return "near_duplicates", self.by, self.labels, self.of_class
        pixels = "" if self.pixels is None else f"{self.pixels:g}"
        return "twins", self.by, self.order, pixels, self.band, self.labels, self.of_class

    @classmethod
    def from_list(cls, *arguments: str) -> Asked:
        """Return what `to_list` of the list "twins" was of. Raises `ValueError` for other texts."""
        by, order, pixels, band, labels, of_class = arguments
        if order not in ORDERS or band not in ("", *BANDS):
            raise ValueError(arguments)
        return cls(by, order, labels, of_class, float(pixels) if pixels else None, band)

    @property
    def needs_pixels(self) -> bool:
        """Whether a filter is by aligned pixels."""
        return self.pixels is not None or bool(self.band)

    @property
    def words(self) -> tuple[str, ...]:
        """The filters as people read them, in Markdown; empty where there are none."""
        pixels = "" if self.pixels is None else f"pixels aligned of at least {self.pixels:g}"
        return (
            pixels,
            f"“{self.band}”" if self.band else "",
            f"{self.labels} labels" if self.labels else "",
            escape(self.of_class),
        )


@dataclass(frozen=True, eq=False)
class Found:
    """The pairs of a ranking that pass filters.

    asked: what they are. pairs: the whole ranking in the order that was asked for. matches: those that pass.
    """

    asked: Asked
    pairs: pd.DataFrame
    matches: pd.DataFrame


def why_no_twins(results: Results, by: str) -> str:
    """Return why there can be no twin score by a similarity, as a sentence; empty where there can be one."""
    if not results.has_images:
        return "There is no twin score here: it compares images, and this source has labels alone."
    if not allows_twin_score(similarity := results.similarity(by)):
        return (
            f"There is no twin score by {escape(similarity.title)}: it adds to correlations and cosines "
            "alone, whose largest value is 1."
        )
    return ""


def has_twins(results: Results, by: str) -> bool:
    """Return whether the twin score by a similarity can be shown: its pairs and pixels are there."""
    return not why_no_twins(results, by) and by in results.names and by in results.aligned


@st.cache_data(ttl="5s", max_entries=32, show_spinner=False)
def _has_twins(results_id: str, by: str) -> bool:
    """Return the same, looked up on the disk every few seconds and not for each tile of a page."""
    return has_twins(load.by_id[results_id], by)


def pixels_of(results: Results, example: Example, by: str, among: Split) -> dict[int, float]:
    """Return pixels aligned of an example with its nearest by a similarity, by their index in a split.

    Empty where they are not built.
    """
    split, index = example
    listed = load.in_direction(results, split if split == among else "")
    if listed.spec.splits != (split, among) or not _has_twins(listed.id, by):
        return {}
    values = listed.aligned[by].values[index].tolist()
    return dict(zip(listed.neighbors_by(by).indices[index].tolist(), values, strict=False))


def find(results: Results, asked: Asked) -> Found:
    """Return the pairs that were asked for.

    Raises `RequestError` if this takes aligned pixels that are not there, and `ValueError` for a class that
    is none.
    """
    if (asked.order == TWIN or asked.needs_pixels) and not has_twins(results, asked.by):
        raise RequestError(f"The pixels of pairs by {asked.by!r} are not aligned.")
    pairs = ranking(results, asked.by, asked.order)
    label = results.class_names.index(asked.of_class) if asked.of_class else None
    matches = matching_pairs(
        pairs, asked.labels or "all", label, aligned=asked.pixels, band=asked.band or None
    )
    matches = select_judged(matches, verdicts.standing(results), "pair", asked.wanted)
    return Found(asked, pairs, matches)


def in_order(results: Results, found: Found, order: str) -> Found:
    """Return what the same filters leave of the pairs in an order."""
    return found if found.asked.order == order else find(results, replace(found.asked, order=order))


def ranking(results: Results, by: str, order: str) -> pd.DataFrame:
    """Return all pairs in an order, with the columns of `findings.twins` where pixels are aligned."""
    return _ranking(results.id, by, order, has_twins(results, by))


@st.cache_resource(max_entries=8, show_spinner=False)
def _ranking(results_id: str, by: str, order: str, with_pixels: bool) -> pd.DataFrame:
    return ordered_pairs(load.by_id[results_id], by, order)
