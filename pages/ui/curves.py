"""The chart of shares by number of runs: curves with bands."""

from __future__ import annotations

import altair as alt
import pandas as pd

from kernel_core.results.answers import Panel
from pages.ui.charts import BLUE, GREY, ORANGE, TEXT

COLORS = (ORANGE, BLUE, "#009e73", "#cc79a7", "#b8a000", "#7b61c9", TEXT, GREY)
DASHES = ([1, 0], [6, 3], [2, 2], [8, 2, 2, 2]) * 2  # a second sign, for those who see no colors
LEGEND_LINE = 30  # pixels
NARROW = 380  # pixels of a chart that has no room for two columns of names


def curves(table: pd.DataFrame, titles: dict[str, str]) -> alt.LayerChart:
    """Draw shares by number of runs, each a line with dots in a band.

    table: column runs and, for each name of `titles`, the share (0 … 1) and its ends, as name_low and
    name_high. titles: column → name that people see; four at most.
    """
    return _layers(_long(table, titles), list(titles.values()), Panel("", "runs", ()))


def of_panel(panel: Panel) -> alt.LayerChart:
    """Draw a panel of an answer, as `curves` does; eight curves at most."""
    rows = pd.DataFrame(
        [
            {"runs": x, "of": curve.name, "share": y, "low": low, "high": high}
            for curve in panel.curves
            for x, y, low, high in zip(curve.x, curve.y, curve.low, curve.high, strict=True)
        ]
    )
    return _layers(rows, [curve.name for curve in panel.curves], panel)


def _layers(rows: pd.DataFrame, names: list[str], panel: Panel) -> alt.LayerChart:
    """Draw what `_long` returns. names: of the curves, in order. panel: says what the axes are."""
    columns = 1 if len(names) <= len(DASHES) // 2 else 2
    fitting = alt.ExprRef(f"width < {NARROW} ? 1 : {columns}")
    legend = alt.Legend(
        orient="bottom",
        columns=fitting,
        labelLimit=300,
        symbolOpacity=1,
        symbolType="stroke",
        symbolStrokeWidth=3,
    )
    base = alt.Chart(rows, height=330 + LEGEND_LINE * (len(names) // columns)).encode(
        x=alt.X(
            "runs:Q",
            title=panel.x_title,
            scale=alt.Scale(type="log" if panel.is_log else "linear", nice=False),
            axis=alt.Axis(values=sorted(set(rows["runs"])), grid=False, labelOverlap=True),
        ),
        color=alt.Color(
            "of:N",
            title=None,
            scale=alt.Scale(domain=names, range=list(COLORS[: len(names)])),
            legend=legend,
        ),
        tooltip=_tooltip(panel),
    )
    is_close = rows["high"].max() - rows["low"].min() < 0.06
    share = ".1%" if is_close else ".0%"
    axis = alt.Axis(format=share if panel.unit == "share" else ".2f", tickCount=6)
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


def _tooltip(panel: Panel) -> list[alt.Tooltip]:
    form = ".2%" if panel.unit == "share" else ".3f"
    return [
        alt.Tooltip("of:N", title="share"),
        alt.Tooltip("runs:Q", format=",", title=panel.x_title),
        alt.Tooltip("share:Q", format=form),
        alt.Tooltip("low:Q", format=form, title="from"),
        alt.Tooltip("high:Q", format=form, title="to"),
    ]
