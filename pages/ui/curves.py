"""The chart of shares by number of runs: curves with bands."""

from __future__ import annotations

import altair as alt
import pandas as pd

from pages.ui.charts import BLUE, GREY, ORANGE, TEXT

COLORS = (ORANGE, BLUE, TEXT, GREY)
DASHES = ([1, 0], [6, 3], [2, 2], [8, 2, 2, 2])  # a second sign, for those who see no colors
LEGEND_LINE = 30  # pixels


def curves(table: pd.DataFrame, titles: dict[str, str]) -> alt.LayerChart:
    """Draw shares by number of runs, each a line with dots in a band.

    table: column runs and, for each name of `titles`, the share (0 … 1) and its ends, as name_low and
    name_high. titles: column → name that people see; four at most.
    """
    rows = _long(table, titles)
    names = list(titles.values())
    legend = alt.Legend(
        orient="bottom", columns=1, labelLimit=300, symbolOpacity=1, symbolType="stroke", symbolStrokeWidth=3
    )
    base = alt.Chart(rows, height=330 + LEGEND_LINE * len(names)).encode(
        x=alt.X(
            "runs:Q",
            title="runs",
            scale=alt.Scale(type="log", nice=False),
            axis=alt.Axis(values=table["runs"].tolist(), grid=False, labelOverlap=True),
        ),
        color=alt.Color(
            "of:N",
            title=None,
            scale=alt.Scale(domain=names, range=list(COLORS[: len(names)])),
            legend=legend,
        ),
        tooltip=_tooltip(),
    )
    axis = alt.Axis(format=".0%", tickCount=6)
    y = alt.Y("share:Q", title=None, scale=alt.Scale(zero=False), axis=axis)
    dashes = alt.Scale(domain=names, range=list(DASHES[: len(names)]))
    dash = alt.StrokeDash("of:N", title=None, scale=dashes, legend=legend)
    return alt.LayerChart(
        layer=[
            base.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", title=None), y2="high:Q"),
            base.mark_line(strokeWidth=2).encode(y=y, strokeDash=dash),
            base.mark_point(filled=True, size=60, opacity=1).encode(y=y),
        ]
    )


def _long(table: pd.DataFrame, titles: dict[str, str]) -> pd.DataFrame:
    """Return one row per number of runs and share: runs, of (its title), share, low, high."""
    return pd.concat(
        pd.DataFrame(
            {
                "runs": table["runs"],
                "of": title,
                "share": table[name],
                "low": table[f"{name}_low"],
                "high": table[f"{name}_high"],
            }
        )
        for name, title in titles.items()
    )


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("of:N", title="share"),
        alt.Tooltip("runs:Q", format=","),
        alt.Tooltip("share:Q", format=".2%"),
        alt.Tooltip("low:Q", format=".2%", title="from"),
        alt.Tooltip("high:Q", format=".2%", title="to"),
    ]
