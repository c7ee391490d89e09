"""A histogram with a threshold to drag, and the share of equal labels along the ranking below it.

The browser holds every value (4 bytes each), so count and marks follow the pointer without asking the server.
Python learns the threshold when it is released.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from kernel_core.findings.distribution import Histogram
from pages.ui.components.component import component

DIGITS = 4  # decimals of a threshold, in the address too


def threshold_chart(
    pairs: pd.DataFrame,
    bins: Histogram,
    curve: pd.DataFrame,
    *,
    pairs_at: str,
    axis: str,
    threshold: float,
    window: int,
    what: str,
    on_release: Callable[[], None],
) -> None:
    """Draw the chart for a ranking made by `findings.pairs.nearest_pairs`.

    pairs_at: parameters, from `links.query`, of the near-duplicates that a bar leads to.
    axis: the title of its axis. window: number of pairs that a point
    of `curve` averages over. what: the rows of the ranking, in words.
    on_release: called after the threshold was moved to `st.session_state["threshold_chart"].threshold`.
    """
    values = pairs["similarity"].to_numpy(np.float32)
    agrees = (pairs["query_label"] == pairs["database_label"]).to_numpy(np.uint8)
    data: dict[str, Any] = {
        "values": base64.b64encode(values.tobytes()).decode(),
        "agrees": base64.b64encode(agrees.tobytes()).decode(),
        "edges": bins.edges.tolist(), "counts": bins.counts.tolist(),
        "first": bins.first.tolist(), "last": bins.last.tolist(),
        "curve": {name: curve[name].round(4).tolist() for name in curve},
        "axis": axis, "what": what, "threshold": threshold, "digits": DIGITS,
        "href": "near_duplicates?" + pairs_at,
        "hint": "Drag the orange line, or click a bar to see its pairs.",
        "window": f"the {window:,} pairs around this rank",
    }  # fmt: skip
    component("threshold")(key="threshold_chart", data=data, on_threshold_change=on_release)
