"""Charts that are more than a few lines, in colors that both themes show well."""

from __future__ import annotations

import json
from collections.abc import Sequence

import altair as alt
import pandas as pd

from kernel_core.findings.pairs import most_confused
from kernel_core.spec import SIMILARITIES

COLORS = ["#e8710a", "#4a8fe0", "#808890"]  # the first measure, the second, the ensemble
ENSEMBLE = "the ensemble"
LIMIT = 20  # labels a side of the matrix of failures; more would make cells too small to hit and to read
CELL = 38  # pixels a cell's side aims at
SIDE = 200  # pixels that few cells are made to fill
NAME = 120  # pixels of a class name beside the matrix; the tooltip has it whole
Labels = tuple[int, int]  # of the test example and of its nearest


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
        x=alt.X("k:Q", title="neighbors, k", scale=alt.Scale(type="log", nice=False),
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


def confusion(
    counts: pd.DataFrame, names: Sequence[str], start: Labels | None, *, dark: bool
) -> alt.LayerChart:
    """The counts (of `failures.confusion`) as a heat map of the `LIMIT` labels that have most.

    Its selection is named cell, `start` being selected at first. dark: whether the page is.
    """
    labels = most_confused(counts, len(names), LIMIT)
    rows = counts[counts["query_label"].isin(labels) & counts["database_label"].isin(labels)]
    name_of = dict(enumerate(names))
    rows = rows.assign(
        query_name=rows["query_label"].map(name_of), database_name=rows["database_label"].map(name_of)
    )
    fields = ["query_label", "database_label"]
    value = [dict(zip(fields, start, strict=True))] if start else alt.Undefined
    cell = alt.selection_point("cell", fields=fields, value=value, empty=False, toggle=False)
    x, y = _axes(names, labels)
    ground = (
        alt.Chart(pd.DataFrame([(q, d) for q in labels for d in labels], columns=fields))
        .mark_rect(color="#808890", opacity=0.09, cornerRadius=3)
        .encode(x=x, y=y)
    )
    base = alt.Chart(rows, height=_size(names, labels)).encode(
        x=x, y=y,
        tooltip=[alt.Tooltip("query_name", title="test label"), alt.Tooltip("database_name", title="neighbor's label"),
                 "count"],
    )  # fmt: skip
    most = max(rows["count"], default=1)
    cells = base.mark_rect(color="#e8710a", cornerRadius=3, cursor="pointer").encode(
        opacity=alt.Opacity("count:Q", legend=None, scale=alt.Scale(domain=[0, most], range=[0.22, 1])),
        stroke=alt.when(cell).then(alt.value("#4a8fe0")).otherwise(alt.value("transparent")),
        strokeWidth=alt.value(3),
    ).add_params(cell)  # fmt: skip
    ink = alt.value(
        "#26201a"
    )  # reads on the full orange in both themes; a pale cell has the tone of the page
    on_pale = alt.value("#f0f0f0") if dark else ink
    color = alt.when(alt.datum["count"] > most / 2).then(ink).otherwise(on_pale)
    numbers = base.mark_text(fontSize=12, cursor="pointer").encode(text="count:Q", color=color)
    return alt.layer(ground, cells, numbers)


def _size(names: Sequence[str], labels: Sequence[int]) -> int:
    """Pixels of the cells with the names and the axis' title beside or below them; the chart is made to fit them."""
    longest = max(len(names[label]) for label in labels)
    return max(SIDE, CELL * len(labels)) + 50 + min(NAME, 8 * longest)


def _axes(names: Sequence[str], labels: Sequence[int]) -> tuple[alt.X, alt.Y]:
    """Label numbers, since two classes may have one name, along which stand the names, cut where they are long."""
    text = json.dumps({str(label): names[label] for label in labels})
    look = {
        "labelExpr": f"({text})[datum.value]", "labelLimit": NAME, "labelOverlap": False, "ticks": False,
        "domain": False, "grid": False,
    }  # fmt: skip
    angle = -50 if max(len(names[label]) for label in labels) > 3 else 0
    scale = alt.Scale(domain=list(labels), padding=0.04)
    return (
        alt.X("database_label:O", scale=scale, title="label of the nearest",
              axis=alt.Axis(labelAngle=angle, **look)),
        alt.Y("query_label:O", scale=scale, title="label of the test example", axis=alt.Axis(**look)),
    )  # fmt: skip
