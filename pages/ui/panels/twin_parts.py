"""The twin score of two examples, part by part, and what it does not say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from kernel_core.errors import DataError, NotBuilt
from kernel_core.explain.aligned_pixels import aligned_pixels
from kernel_core.findings import twins
from kernel_core.records import Neighbors
from kernel_core.results.results import Results
from pages.ui import load, paired
from pages.ui.links import Example
from pages.ui.panels import twin_words
from pages.ui.wording import escape


@st.cache_data(max_entries=1_000, show_spinner=False)
def _pixels(results_id: str, a: Example, b: Example) -> float:
    """Return the aligned pixels of b on a, -1 … 1."""
    first, second = (load.by_id[results_id].examples[split].images[i : i + 1] for split, i in (a, b))
    return float(aligned_pixels(first, second, np.zeros((1, 1), np.int64))[0, 0])


def show(results: Results, a: Example, b: Example, by: str) -> None:
    """Show the parts of the twin score of b as a twin of a. by: the similarity that the score is of."""
    st.header("Is it the same picture?", anchor=False)
    pixels, title = _pixels(results.id, a, b), escape(results.title_of(by))
    try:
        similarity = load.nearby(results.id).rank(a, by, b)[1]
        indices, values = load.nearest(results.id, *a, by, b[0])
    except (NotBuilt, DataError):
        st.markdown(f"Pixels aligned: **{pixels:.2f}**. The twin score needs the value by {title}, too.")
        return
    nearest = Neighbors(results.neighbors_by(by).spec, indices[None], values[None])
    background = float(twins.background(nearest)[0])
    score = similarity - background / 2 + pixels / 2
    others = float(np.median([_pixels(results.id, a, (b[0], i)) for i in indices[: twins.CANDIDATES]]))
    (band,) = twins.bands(pd.DataFrame({"twin": [score], "aligned": [pixels], "others": [others]}))
    if paired.bands_tell(results, by):
        st.markdown(f"**{band.capitalize()}**, by the rule below. {twin_words.NO_PROOF}")
    else:
        st.markdown(twin_words.NO_PROOF)
    rows = [
        (title, f"{similarity:.3f}", f"{similarity:+.3f}", "how much both resemble each other by it"),
        (
            "Background", f"{background:.3f}", f"{-background / 2:+.3f}".replace("-", "−"),
            f"minus half the mean of A's {twins.BACKGROUND} largest values: A may just resemble many",
        ),
        (
            "Pixels aligned", f"{pixels:.3f}", f"{pixels / 2:+.3f}",
            "plus half of how well the details of both images match where they fit best",
        ),
        ("**Twin score**", "", f"**{score:.3f}**", "the sum, by which near-duplicates can be ordered"),
    ]  # fmt: skip
    st.table(pd.DataFrame(rows, columns=["part", "value", "adds", "what it says"]), hide_index=True)
    st.caption(twin_words.BANDS_RULE)
