"""Charts that are more than a few lines, in colors that both themes show well."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from kernel_core.records import SIMILARITIES

COLORS = ["#e8710a", "#4a8fe0", "#808890"]  # the first measure, the second, the ensemble
ENSEMBLE = "the ensemble"


def accuracy_by_k(board: pd.DataFrame, measures: Sequence[str]) -> alt.LayerChart:
    """Lines of accuracy over k with their intervals, for these measures and both votes; the ensemble as a band."""
    names = [SIMILARITIES[name] for name in measures]
    rows = board[board["by"].isin(measures)].assign(measure=lambda table: table["by"].map(SIMILARITIES))
    tooltip = [
        alt.Tooltip("measure", title="by"),
        "vote",
        "k",
        alt.Tooltip("accuracy", format=".2%"),
        alt.Tooltip("low", format=".2%", title="from"),
        alt.Tooltip("high", format=".2%", title="to"),
    ]
    color = alt.Color(
        "measure:N", title=None, scale=alt.Scale(domain=[*names, ENSEMBLE], range=COLORS),
        legend=alt.Legend(orient="bottom", labelLimit=260, columns=1, symbolOpacity=1),
    )  # fmt: skip
    base = alt.Chart(rows, height=380).encode(
        x=alt.X("k:Q", title="nearest training examples, k", scale=alt.Scale(type="log", nice=False),
                axis=alt.Axis(values=sorted(set(rows["k"])), grid=False)),
        color=color,
        tooltip=tooltip,
    )  # fmt: skip
    y = alt.Y("accuracy:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(format=".0%", tickCount=6))
    dash = alt.StrokeDash(
        "vote:N", title=None, scale=alt.Scale(domain=["majority", "weighted"], range=[[1, 0], [5, 4]]),
        legend=alt.Legend(orient="bottom", columns=1),
    )  # fmt: skip
    lines = base.mark_line(strokeWidth=2).encode(y=y, strokeDash=dash)
    dots = base.mark_point(filled=True, size=50, opacity=1).encode(y=y)
    intervals = base.mark_rule(strokeOpacity=0.7).encode(
        y=alt.Y("low:Q", title=None), y2="high:Q", detail="vote:N"
    )
    ensemble = board[board["by"] == "ensemble"].assign(
        measure=ENSEMBLE, start=rows["k"].min(), end=rows["k"].max()
    )
    across = alt.Chart(ensemble).encode(
        x="start:Q", x2="end:Q", color=color, tooltip=tooltip[:1] + tooltip[3:]
    )
    band = across.mark_rect(fillOpacity=0.25).encode(y="low:Q", y2="high:Q")
    middle = across.mark_rule(strokeWidth=2).encode(y="accuracy:Q")
    return alt.layer(band, middle, intervals, lines, dots)


def accuracy_table(board: pd.DataFrame) -> pd.DataFrame:
    """The scoreboard as people read it: a row a measure and vote, a column a k, each accuracy with its interval."""
    cell = [
        f"{row.accuracy:.2%}  ({row.low:.1%}–{row.high:.1%})".replace("%–", "–") for row in board.itertuples()
    ]
    shown = board.assign(cell=cell, measure=board["by"].map({**SIMILARITIES, "ensemble": ENSEMBLE}))
    votes = shown[shown["k"] > 0]
    table = votes.pivot(index=["measure", "vote"], columns="k", values="cell").reindex(
        votes[["measure", "vote"]].drop_duplicates().itertuples(index=False, name=None)
    )
    table.columns = [f"k = {k}" for k in table.columns]
    ensemble = shown.loc[shown["k"] == 0, "cell"].iloc[0]
    table.loc[(ENSEMBLE, "no neighbors"), table.columns[0]] = ensemble
    return table.fillna("").reset_index().rename(columns={"measure": "By", "vote": "Vote"})
