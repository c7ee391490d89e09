"""The examples inside a line drawn on the map, as a parameter of an address says it.

`kernel:both:12,34,9000,34,400,8000:cat` holds what the map was of and showed: the similarity, the splits, the
line's corners in steps of `map_layout.steps`, and the class, empty for all. So an address of any number of
examples is short, and on this map exact.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import streamlit as st

from kernel_core.errors import KernelExplorerError, NotBuilt, RequestError
from kernel_core.findings.map_layout import SPLIT_ORDER, example_counts, inside, steps
from kernel_core.results.results import Results
from pages.ui import load
from pages.ui.links import Example

SHOWS = ("both", "train", "test")
CORNERS = re.compile(r"-?[0-9]{1,8}(,-?[0-9]{1,8}){5,399}")


def examples_inside(results: Results, text: str) -> list[Example]:
    """Return the examples inside the line that a text describes, test examples first.

    Raises `RequestError` if the text describes none, if nothing is inside, or if its map is not built.
    """
    points = points_inside(results.id, text).tolist()
    if not points:
        raise RequestError("No example lies inside this lasso.")
    tests, _ = example_counts(results.examples)
    return [("test", point) if point < tests else ("train", point - tests) for point in points]


@st.cache_resource(max_entries=16, show_spinner=False)
def points_inside(results_id: str, text: str) -> npt.NDArray[np.int64]:
    """Return the points of the map that lie inside, rising, int64 (n,). Raises `RequestError` as above."""
    results = load.by_id[results_id]
    by, show, corners, only = (text.split(":", 3) + [""] * 3)[:4]
    names = results.class_names
    if show not in SHOWS or not CORNERS.fullmatch(corners) or corners.count(",") % 2 == 0:
        raise RequestError(f"{text[:40]!r} is no lasso; draw one on the map and copy its address.")
    if only and only not in names:
        raise RequestError(f"The lasso is of the class {only[:40]!r}, which this source lacks.")
    try:
        map_ = load.map_of(results_id, by)
    except KernelExplorerError as error:
        what = "which is not built" if isinstance(error, NotBuilt) else "which cannot be drawn"
        raise RequestError(f"The lasso is on the map by {by[:40]!r}, {what}.") from None
    kept = inside(steps(map_.xy), np.array(corners.split(","), dtype=np.int64).reshape(-1, 2))
    labels = [results.examples[split].labels for split in SPLIT_ORDER if split in results.examples]
    if only:
        kept &= np.concatenate(labels) == names.index(only)
    if show != "both":
        is_test = np.arange(len(kept)) < map_.counts[0]
        kept &= is_test == (show == "test")
    return np.flatnonzero(kept)
