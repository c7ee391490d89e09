"""Charts of more than a few lines, in colors that both themes show well."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from kernel_core.findings.pairs import most_mismatched_labels
from pages.ui.wording import ENSEMBLE

ORANGE, BLUE, GREY, TEXT = "#e8710a", "#4a8fe0", "#7f8c9b", "#808890"
INK, PALE_INK = (
    "#26201a",
    "#f0f0f0",
)  # numbers on the full orange in both themes; on a pale cell of a dark page
LIMIT = (
    20  # labels per side of the matrix of conflicts; cells of more would be too small to read and to click
)
CELL = 38  # pixels per side of a cell, where there are many
SIDE = 200  # pixels per side of the matrix, where there are few
NAME = 120  # pixels of a class name beside the matrix; the tooltip has it whole
Labels = tuple[int, int]  # class numbers of a test example and of its nearest
Specification = dict[str, Any]  # of Vega-Lite, whose JSON has a shape of its own


def table_height(rows: int) -> int:
    """Return the pixels that a table of so many rows takes, so that room is kept until it is drawn."""
    return 35 * (rows + 1) + 2


def accuracies(table: pd.DataFrame) -> alt.LayerChart:
    """Draw accuracies as dots with their values and intervals, a row each, the kernel's as orange diamonds.

    table: columns title, accuracy, low, high (0 … 1), text (the accuracy as shown), is_kernel (bool). An
    accuracy far below the others is an arrow at the left edge, so that it does not squeeze them.
    """
    edge = scale_start(table["accuracy"], table["low"])
    table = table.assign(
        shown=table["accuracy"].clip(lower=edge), low=table["low"].clip(lower=edge), edge=edge,
        high=table["high"].clip(lower=edge), mark=np.where(table["is_kernel"], "kernel", "other"),
    )  # fmt: skip
    table.loc[table["accuracy"] < edge, "mark"] = "below"
    marks = ["kernel", "other", "below"]
    base = alt.Chart(table, height=44 * len(table)).encode(
        y=alt.Y("title:N", sort=None, title=None, axis=alt.Axis(labelLimit=240, ticks=False, domain=False)),
    )
    scale = alt.Scale(zero=False, padding=30)
    x = alt.X("shown:Q", title=None, scale=scale, axis=alt.Axis(format=".0%", tickCount=5))
    dots = base.mark_point(filled=True, size=140, opacity=1).encode(
        x=x,
        shape=alt.Shape(
            "mark:N", legend=None, scale=alt.Scale(domain=marks, range=["diamond", "circle", "triangle-left"])
        ),
        color=alt.Color("mark:N", legend=None, scale=alt.Scale(domain=marks, range=[ORANGE, GREY, GREY])),
        tooltip=[alt.Tooltip("title:N", title="by"), alt.Tooltip("text:N", title="accuracy")],
    )
    bars = base.mark_rule(color=GREY, strokeWidth=2).encode(x=alt.X("low:Q", title=None), x2="high:Q")
    values = base.mark_text(dy=-15, color=TEXT).encode(x=x, text="text:N")
    return alt.LayerChart(layer=[bars, dots, values])


def scale_start(accuracy: pd.Series[float], low: pd.Series[float]) -> float:
    """Return where the scale of accuracies starts: at the lowest interval of those not far below the others.

    Far below is more than three times as far from the best as the middle one is, and 10 points at least.

    >>> values = pd.Series([0.79, 0.82, 0.83, 0.76, 0.42])
    >>> scale_start(values, values), scale_start(values[:2], values[:2] - 0.01)
    (0.76, 0.78)
    """
    best = accuracy.max()
    far = max(0.1, 3 * (best - accuracy.median()))
    return float(low[accuracy >= best - far].min())


def histogram(similarities: pd.Series[float], low: float, high: float, title: str) -> alt.LayerChart:
    """Draw how many test examples have a similarity in each of 50 bins; low to high is an orange band.

    title: of the axis of similarities.
    """
    counts, edges = np.histogram(similarities, bins=50)
    bins = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "test examples": counts})
    axis = alt.Axis(labelOverlap=True, labelSeparation=12)
    bars = (
        alt.Chart(bins, height=264)
        .mark_bar(color=GREY)
        .encode(
            x=alt.X("from:Q", bin="binned", title=title, axis=axis),
            x2="to",
            y=alt.Y("test examples:Q"),
            tooltip=[
                alt.Tooltip("from:Q", format=".3f"),
                alt.Tooltip("to:Q", format=".3f"),
                alt.Tooltip("test examples:Q"),
            ],
        )
    )
    window = pd.DataFrame({"from": [low], "to": [high]})
    band = alt.Chart(window).mark_rect(opacity=0.35, color=ORANGE).encode(x="from:Q", x2="to:Q")
    return alt.LayerChart(layer=[bars, band])


def accuracy_by_k(board: pd.DataFrame, titles: Sequence[str]) -> alt.LayerChart:
    """Draw accuracy against k for some similarities and both votes, with intervals; the ensemble as a band.

    board: of `disagreement.scoreboard`, with a column title. titles: of the similarities, at most two.
    """
    votes = board[board["title"].isin(titles)].assign(similarity=lambda rows: rows["title"])
    ensemble = board[board["by"] == "ensemble"].assign(
        similarity=ENSEMBLE, start=votes["k"].min(), end=votes["k"].max()
    )
    color = alt.Color(
        "similarity:N",
        title=None,
        scale=alt.Scale(domain=[*titles, ENSEMBLE], range=[ORANGE, BLUE, TEXT]),
        legend=alt.Legend(orient="bottom", labelLimit=260, columns=1, symbolOpacity=1),
    )
    return alt.LayerChart(layer=[*_band(ensemble, color), *_lines(votes, color)])


def _accuracy_tooltip(*columns: alt.Tooltip) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("similarity:N", title="by"),
        *columns,
        alt.Tooltip("accuracy:Q", format=".2%"),
        alt.Tooltip("low:Q", format=".2%", title="from"),
        alt.Tooltip("high:Q", format=".2%", title="to"),
    ]


def _band(ensemble: pd.DataFrame, color: alt.Color) -> list[alt.Chart]:
    """Return the layers of the ensemble's accuracy, which does not depend on k: its interval and a line."""
    base = alt.Chart(ensemble).encode(x="start:Q", x2="end:Q", color=color, tooltip=_accuracy_tooltip())
    return [
        base.mark_rect(fillOpacity=0.25).encode(y="low:Q", y2="high:Q"),
        base.mark_rule(strokeWidth=2).encode(y="accuracy:Q"),
    ]


def _lines(votes: pd.DataFrame, color: alt.Color) -> list[alt.Chart]:
    """Return the layers of the votes' accuracies: their intervals, lines over k, and dots."""
    ks = alt.Axis(values=sorted(set(votes["k"])), grid=False)
    base = alt.Chart(votes, height=380).encode(
        x=alt.X("k:Q", title="neighbors, k", scale=alt.Scale(type="log", nice=False), axis=ks),
        color=color,
        tooltip=_accuracy_tooltip(alt.Tooltip("vote:N"), alt.Tooltip("k:Q")),
    )
    y = alt.Y("accuracy:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(format=".0%", tickCount=6))
    dash = alt.StrokeDash(
        "vote:N",
        title=None,
        scale=alt.Scale(domain=["majority", "weighted"], range=[[1, 0], [5, 4]]),
        legend=alt.Legend(orient="bottom", columns=1),
    )
    low = alt.Y("low:Q", title=None)
    return [
        base.mark_rule(strokeOpacity=0.7).encode(y=low, y2="high:Q", detail="vote:N"),
        base.mark_line(strokeWidth=2).encode(y=y, strokeDash=dash),
        base.mark_point(filled=True, size=50, opacity=1).encode(y=y),
    ]


def accuracy_table(board: pd.DataFrame) -> pd.DataFrame:
    """Return the scoreboard as people read it: one row per similarity and vote, one column per k.

    board: as of `accuracy_by_k`.
    Columns: By, Vote, k = 1, k = 3, …; each cell is text, the accuracy with its interval.
    """
    cell = [
        f"{row.accuracy:.2%}  ({row.low:.1%}–{row.high:.1%})".replace("%–", "–") for row in board.itertuples()
    ]
    shown = board.assign(cell=cell, similarity=board["title"])
    votes = shown[shown["k"] > 0]
    table = votes.pivot(index=["similarity", "vote"], columns="k", values="cell").reindex(
        votes[["similarity", "vote"]].drop_duplicates().itertuples(index=False, name=None)
    )
    table.columns = [f"k = {k}" for k in table.columns]
    ensemble = shown.loc[shown["k"] == 0, "cell"].iloc[0]
    table.loc[(ENSEMBLE, "no neighbors"), table.columns[0]] = ensemble
    return table.fillna("").reset_index().rename(columns={"similarity": "By", "vote": "Vote"})


def confusion(
    counts: pd.DataFrame, names: Sequence[str], start: Labels | None, *, dark: bool
) -> alt.LayerChart:
    """Draw the counts of label conflicts as a heat map of the `LIMIT` labels that have the most.

    counts: of `pairs.count_label_pairs`. names: of the classes. start: the pair of labels selected at
    first; the selection is named cell. dark: whether the page is.
    """
    labels = most_mismatched_labels(counts, len(names), LIMIT)
    fields = ["query_label", "database_label"]
    rows = counts[counts["query_label"].isin(labels) & counts["database_label"].isin(labels)]
    name_of = dict(enumerate(names))
    rows = rows.assign(
        query_name=rows["query_label"].map(name_of), database_name=rows["database_label"].map(name_of)
    )
    x, y = _axes(names, labels)
    ground = (
        alt.Chart(pd.DataFrame([(q, d) for q in labels for d in labels], columns=fields))
        .mark_rect(color=TEXT, opacity=0.09, cornerRadius=3)
        .encode(x=x, y=y)
    )
    value = [dict(zip(fields, start, strict=True))] if start else alt.Undefined
    selected = alt.selection_point("cell", fields=fields, value=value, empty=False, toggle=False)
    tooltip = [
        alt.Tooltip("query_name:N", title="label"),
        alt.Tooltip("database_name:N", title="neighbor's label"),
        alt.Tooltip("count:Q"),
    ]
    base = alt.Chart(rows, height=_size(names, labels)).encode(x=x, y=y, tooltip=tooltip)
    most = int(max(rows["count"], default=1))
    return alt.LayerChart(layer=[ground, _cells(base, selected, most), _numbers(base, most, dark)])


def _cells(base: alt.Chart, selected: alt.Parameter, most: int) -> alt.Chart:
    """Return the layer of cells: full orange at `most` conflicts, paler with fewer; a frame if selected."""
    opacity = alt.Opacity("count:Q", legend=None, scale=alt.Scale(domain=[0, most], range=[0.22, 1]))
    frame = alt.when(selected).then(alt.value(BLUE)).otherwise(alt.value("transparent"))
    cells: alt.Chart = base.mark_rect(color=ORANGE, cornerRadius=3, cursor="pointer").encode(
        opacity=opacity, stroke=frame, strokeWidth=alt.value(3)
    )
    return cells.add_params(selected)


def _numbers(base: alt.Chart, most: int, dark: bool) -> alt.Chart:
    """Return the layer of counts. A pale cell has the tone of the page, so there the theme sets the ink."""
    on_pale = alt.value(PALE_INK if dark else INK)
    color = alt.when(alt.datum["count"] > most / 2).then(alt.value(INK)).otherwise(on_pale)
    numbers: alt.Chart = base.mark_text(fontSize=12, cursor="pointer").encode(text="count:Q", color=color)
    return numbers


def _size(names: Sequence[str], labels: Sequence[int]) -> int:
    """Return the pixels per side of the matrix, with room for the names and the title of an axis."""
    longest = max(len(names[label]) for label in labels)
    return max(SIDE, CELL * len(labels)) + 50 + min(NAME, 8 * longest)


def _axes(names: Sequence[str], labels: Sequence[int]) -> tuple[alt.X, alt.Y]:
    """Return the axes: over class numbers, since two classes may share a name, with names cut to `NAME`."""
    text = json.dumps({str(label): names[label] for label in labels})
    slant = -50 if max(len(names[label]) for label in labels) > 3 else 0
    scale = alt.Scale(domain=list(labels), padding=0.04)

    def axis(angle: int | alt.UndefinedType = alt.Undefined) -> alt.Axis:
        return alt.Axis(
            labelAngle=angle,
            labelExpr=f"({text})[datum.value]",
            labelLimit=NAME,
            labelOverlap=False,
            ticks=False,
            domain=False,
            grid=False,
        )

    x_title, y_title = "label of its neighbors", "label of the example"
    return (
        alt.X("database_label:O", scale=scale, title=x_title, axis=axis(slant)),
        alt.Y("query_label:O", scale=scale, title=y_title, axis=axis()),
    )
