"""How far along a ranking people have judged, as bars."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from kernel_core.results.judged_rows import keys_of
from kernel_core.results.results import Results
from kernel_core.review.overview import coverage, judged_without_gap, reviewers_along
from pages.ui import paired, verdicts
from pages.ui.charts import BLUE, GREY, ORANGE
from pages.ui.wording import escape

MOST_BARS = 100
STATES = {"two or more": BLUE, "one reviewer": ORANGE, "nobody": GREY}
HEIGHT = 260  # pixels


def ranks_per_bar(count: int) -> int:
    """Return how many ranks a bar stands for: 100, or more hundreds where there would be too many bars.

    >>> ranks_per_bar(10_000), ranks_per_bar(50_000)
    (100, 500)
    """
    return 100 * max(1, -(-count // (100 * MOST_BARS)))


def show_coverage(results: Results, by: str) -> None:
    """Show how many pairs of each hundred ranks were judged, by one reviewer or by more."""
    ranked = paired.ranking(results, by, paired.SIMILARITY)
    counts = verdicts.derived(
        results,
        f"along {results.within} {by}",
        lambda judged: reviewers_along(judged, keys_of(ranked, "pair")),
    )
    title = escape(results.title_of(by))
    if not counts.any():
        st.caption(f"None of the {len(ranked):,} nearest pairs by {title} was judged.")
        return
    table = coverage(counts, ranks_per_bar(len(ranked)))
    parts = {"two or more": table["more"], "one reviewer": table["once"]}
    parts["nobody"] = table["items"] - table["more"] - table["once"]
    names = [f"{first:,}–{last:,}" for first, last in zip(table["first"], table["last"], strict=True)]
    whose = {"ranks": names, "first": table["first"]}
    rows = pd.concat(
        pd.DataFrame({**whose, "pairs": part, "judged by": name, "place": place})
        for place, (name, part) in enumerate(parts.items())
    )
    st.vega_lite_chart(
        rows, _chart(), height=HEIGHT, alt="Judged pairs by rank; the sentence below sums them up"
    )
    done, until = np.flatnonzero(counts), judged_without_gap(counts)
    whole = f", the first {until:,} of them without a gap" if until else ""
    st.caption(
        f"{len(done):,} of the {len(ranked):,} nearest pairs by {title} were judged{whole}; the last has "
        f"rank {done[-1] + 1:,}. Pairs that are no nearest pairs, or of another direction, do not "
        "count here."
    )


def _chart() -> dict[str, object]:
    return {
        "mark": {"type": "bar"},
        "encoding": {
            "x": {"field": "ranks", "type": "ordinal", "sort": {"field": "first"}, "title": "ranks",
                  "axis": {"labelOverlap": True, "labelAngle": 0}},
            "y": {"field": "pairs", "type": "quantitative", "title": "pairs", "stack": True},
            "color": {"field": "judged by", "type": "nominal", "legend": {"orient": "top"},
                      "scale": {"domain": list(STATES), "range": list(STATES.values())}},
            "order": {"field": "place"},
            "tooltip": [{"field": "ranks", "type": "ordinal"}, {"field": "judged by", "type": "nominal"},
                        {"field": "pairs", "type": "quantitative"}],
        },
    }  # fmt: skip
