"""The twin score of two examples, part by part, and what it does not say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from kernel_core.errors import DataError, NotBuilt
from kernel_core.explain.aligned_pixels import aligned_pixels
from kernel_core.findings import twins
from kernel_core.records import Neighbors
from kernel_core.results.results import Results
from pages.ui import load
from pages.ui.links import Example
from pages.ui.panels import twin_words
from pages.ui.wording import escape

MEANINGS = (
    "how much the two resemble each other by it",
    "minus half the mean of A's largest values: high where A resembles many",
    "plus half of how well the details of both images match where they fit best",
    "the sum, by which near-duplicates can be ordered",
)


def show(results: Results, a: Example, b: Example, by: str) -> None:
    """Show the parts of the twin score of b as a twin of a. by: the similarity that the score is of."""
    st.header("Is it the same picture?", anchor=False)
    title = results.title_of(by)
    try:
        pair = _scored(results.id, a, b, by)
    except (NotBuilt, DataError):
        st.markdown(f"The twin score needs the value by {escape(title)}, which cannot be had here.")
        return
    st.markdown(f"**{pair['band'].capitalize()}**, by the rule below. {twin_words.NO_PROOF}")
    values = [f"{pair[name]:.3f}" for name in ("similarity", "background", "aligned")]
    adds = [pair["similarity"], -pair["background"] / 2, pair["aligned"] / 2]
    table = {
        "part": [escape(title), "background", "pixels aligned", "**twin score**"],
        "value": [*values, ""],
        "adds": [*(f"{value:+.3f}".replace("-", "−") for value in adds), f"**{pair['twin']:.3f}**"],
        "what it says": MEANINGS,
    }
    st.table(pd.DataFrame(table), hide_index=True)
    st.caption(
        f"{twin_words.BANDS_RULE} The pixels of A and its {twins.CANDIDATES} nearest match by "
        f"{pair['others']:.3f} (median), those of A and B by {pair['aligned']:.3f}."
    )


@st.cache_data(max_entries=1_000, show_spinner=False)
def _scored(results_id: str, a: Example, b: Example, by: str) -> dict[str, Any]:
    """Return the columns of `findings.twins` of a pair, and its similarity.

    Raises `NotBuilt` or `DataError` where the similarity cannot be had.
    """
    results, found = load.by_id[results_id], load.nearby(results_id)
    similarity = found.rank(a, by, b).value
    indices, values = load.nearest(results_id, *a, by, b[0])
    nearest = Neighbors(results.neighbors_by(by).spec, indices[None], values[None])
    background = float(twins.background(nearest)[0])
    images = results.examples[a[0]].images[a[1]][None], results.examples[b[0]].images
    candidates = np.append(indices[: twins.CANDIDATES], b[1])[None]
    *others, aligned = aligned_pixels(*images, candidates)[0]
    pair = pd.DataFrame(
        {
            "similarity": [similarity],
            "aligned": [float(aligned)],
            "others": [float(np.median(others))],
            "background": [background],
            "twin": [similarity - background / 2 + float(aligned) / 2],
        }
    )
    return dict(pair.assign(band=twins.bands(pair)).iloc[0])
