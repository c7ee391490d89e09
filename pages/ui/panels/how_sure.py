"""How sure the neighbors of an example are: intervals over resampled runs, and the lists of fewer runs."""

from __future__ import annotations

import altair as alt
import pandas as pd
import streamlit as st

from kernel_core.explain import bootstrap
from kernel_core.explain.bootstrap import Certainty, Listed
from kernel_core.results.results import Results
from kernel_core.spec import Split
from pages.ui import load
from pages.ui.gallery import Cell, gallery, tile
from pages.ui.panels.why import MARKED, PLAIN, TEXT, Example, runs_in_words

SMALL = 64  # pixels a tile of a list aims at
SURE = 0.95  # of the resamples


@st.cache_data(max_entries=256, show_spinner="Drawing the runs anew")
def _computed(results_id: str, example: Example, database: Split, k: int) -> Certainty:
    rows = load.by_id[results_id].rows
    split, index = example
    exclude = index if split == database else None
    k = min(k, len(rows[database]) - (exclude is not None))
    return bootstrap.how_sure(rows[split].raw(index), rows[database], k, exclude=exclude)


@st.fragment
def show_how_sure(results: Results, example: Example, k: int, *, database: Split | None = None) -> None:
    """Show for each of the k nearest of an example the interval of its value, how often it stays among them when the
    runs are drawn anew, and its list by 10, 20, 50, … runs. database: where neighbors are from, by default as in
    these results.
    """
    if not results.rows:
        load.offer_rows("how_sure")
        return
    database = database or results.database
    found = _computed(results.id, example, database, k)
    k = len(found.nearest.indices)
    sure = int((found.stays >= SURE).sum())
    st.markdown(
        f"By {runs_in_words(results)}, **{sure} of the {k} nearest** stay among the {k} nearest in at least "
        f"{SURE:.0%} of the draws of runs; on average **{found.stays.mean() * k:.1f} of {k}** do."
    )
    _intervals(results, found, database)
    among = f"{found.pool:,} {database} examples"
    st.caption(
        f"Dot: the value; line: where it lies in {bootstrap.LEVEL}% of {found.resamples} draws of as many runs, with "
        f"replacement. Beside it: how often the example stays among the {k} nearest, and its rank among {among} in "
        f"{bootstrap.LEVEL}% of the draws. A draw lacks about a third of the runs, so it is less sure than all of them are."
    )
    st.markdown("**The list by fewer runs**")
    cells = [_row(results, listed, found, example, database) for listed in found.lists]
    gallery(
        results, cells, layout="rows", key="lists_by_runs", label="nearest by more and more runs", px=SMALL
    )
    st.caption(
        "Each row: the nearest by the first so many runs alone. ✓ marks those that the list by all these runs names, "
        "too: where a row is all ✓, so many runs were enough. In the last row, how often each stays."
    )


def _intervals(results: Results, found: Certainty, database: Split) -> None:
    nearest = found.nearest
    labels = results.examples[database].labels[nearest.indices]
    places = [
        f"{rank} · {database} {i} · {results.class_names[label]}"
        for rank, (i, label) in enumerate(zip(nearest.indices, labels, strict=True), 1)
    ]
    table = pd.DataFrame({"neighbor": places, "value": nearest.values, "low": found.low, "high": found.high})
    table["stays"] = [f"{share:.0%}" for share in found.stays]
    ranks = zip(found.rank_low, found.rank_high, strict=True)
    table["ranks"] = [f"{low:,}–{high:,}" if high > low else f"{low:,}" for low, high in ranks]
    table["said"] = table["stays"] + " · rank " + table["ranks"]
    table["sure"] = found.stays >= SURE
    least, most = table["low"].min(), table["high"].max()
    domain = [least - 0.03 * (most - least), most + 0.45 * (most - least)]  # to the right is room for words
    base = alt.Chart(table, height=alt.Step(26)).encode(
        y=alt.Y("neighbor:N", sort=None, title=None,
                axis=alt.Axis(labelLimit=200, labelBound=False, labelFlush=False, ticks=False, domain=False)),
        color=alt.Color("sure:N", legend=None, scale=alt.Scale(domain=[True, False], range=[MARKED, PLAIN])),
        tooltip=["neighbor", *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high")),
                 "stays", alt.Tooltip("ranks", title="rank")],
    )  # fmt: skip
    axis = alt.X(
        "low:Q", title="kernel value", axis=alt.Axis(tickCount=6),
        scale=alt.Scale(domain=domain, nice=False, zero=False),
    )  # fmt: skip
    lines = base.mark_rule(strokeWidth=3, opacity=0.75).encode(x=axis, x2="high:Q")
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(x="value:Q")
    words = base.mark_text(align="left", dx=8).encode(x="high:Q", text="said", color=alt.value(TEXT))
    st.altair_chart(
        lines + dots + words,
        alt="Interval of each neighbor's value, how often it stays among the nearest, and its rank",
    )


def _row(results: Results, listed: Listed, found: Certainty, example: Example, database: Split) -> Cell:
    """The nearest by so many runs, those of the last list marked."""
    last, k = listed is found.nearest, len(listed.indices)
    label = int(results.examples[example[0]].labels[example[1]])
    kept = set(found.nearest.indices.tolist())
    tiles = []
    for j, (i, value) in enumerate(zip(listed.indices.tolist(), listed.values, strict=True)):
        note = f"{value:.2f} · {found.stays[j]:.0%}" if last else f"{'✓ ' if i in kept else ''}{value:.2f}"
        tiles.append(tile(results, database, i, beside=label, note=note))
    shared = listed.shared_with(found.nearest)
    head = f"{listed.runs:,} runs" + ("" if last else f": {shared} of {k} as by all {found.nearest.runs:,}")
    return {"id": listed.runs, "head": head, "groups": [{"title": "", "tiles": tiles}]}
