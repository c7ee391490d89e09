"""The examples that an address marks on the map: named ones, those inside a lasso, or those of a list.

`names=test:1-4,9` is what `names` reads, `lasso=kernel:both:…` what `lasso` reads, and
`list=near_duplicates:kernel` any list of `lists`.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import streamlit as st

from kernel_core.errors import RequestError
from kernel_core.findings.map_layout import SPLIT_ORDER, example_counts
from kernel_core.results.results import Results
from pages.ui import lasso, lists, load, names

PARAMETERS = ("names", "lasso", "list")


@dataclass(frozen=True, eq=False)
class Marks:
    """Marked examples of both splits.

    text: the parameter and its value, as in "names=test:3"; empty if none is there. is_marked: bool (N,), by
    point of the map. title: what they are, in plain words. error: why none are marked.
    """

    text: str
    is_marked: npt.NDArray[np.bool_]
    title: str = ""
    error: str = ""

    @property
    def bits(self) -> str:
        """`is_marked` as the browser reads it: base64 of one bit per point, the lowest first."""
        return base64.b64encode(np.packbits(self.is_marked, bitorder="little").tobytes()).decode()


def of_address(results: Results) -> Marks:
    """Return what the address marks; the first of `PARAMETERS` counts."""
    for parameter in PARAMETERS:
        if value := st.query_params.get(parameter):
            return _marked(results.id, parameter, value)
    return Marks("", np.zeros(0, bool))


@st.cache_resource(max_entries=16, show_spinner=False)
def _marked(results_id: str, parameter: str, value: str) -> Marks:
    results, text = load.by_id[results_id], f"{parameter}={value}"
    counts = example_counts(results.examples)
    is_marked = np.zeros(sum(counts), bool)
    first = {"test": 0, "train": counts[0]}
    title = ""
    try:
        if parameter == "names":
            chosen = names.from_text(value, results.example_counts)
            is_marked[[first[split] + index for split, index in chosen]] = True
        elif parameter == "lasso":
            is_marked[lasso.points_inside(results_id, value)] = True
        else:
            found = lists.ranked(results_id, value)
            if found is None:
                raise RequestError(f"{value[:60]!r} is no list of this source.")
            splits = np.broadcast_to(found.split, found.order.shape)
            for split in SPLIT_ORDER:
                is_marked[first[split] + found.order[splits == split]] = True
            title = re.sub(r"\\(.)", r"\1", found.title)  # the browser shows it as it is
    except RequestError as error:
        return Marks(text, is_marked, error=f"Nothing is marked. In the address, {parameter}: {error}")
    return Marks(text, is_marked, title)
