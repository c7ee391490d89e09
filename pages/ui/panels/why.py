"""Why two examples are similar: the value as bars, one a class, and as dots, one a run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from kernel_core.explain import bootstrap
from kernel_core.explain.contributions import Explanation, explain, most_influential
from kernel_core.results.results import Results
from kernel_core.spec import Split
from pages.ui import load

Example = tuple[Split, int]  # split and index: an example's identity
Channel = dict[str, object]  # of a Vega-Lite specification; Altair takes 0.1 s to write those of a pair

PLAIN, MARKED, TEXT = "#7f8c9b", "#e8710a", "#808890"  # greys and an orange that both themes show well
BARS = 20  # classes drawn; of more, the rest are one bar
NAMED = 3  # runs
ROOM = 12  # pixels between the middles of two labels, or of a label and a dot
LABEL = 1 / 6  # of a chart's width: what a label takes of it at most, on a telephone
AXIS = 90  # pixels of a chart's height that its axis takes
REST = "all other classes"


def runs_in_words(results: Results) -> str:
    """Which runs an explanation is of."""
    kept, every = results.rows[results.database].runs, len(results.predictions.single)
    return f"all {every:,} runs" if kept == every else f"the first {kept:,} of {every:,} runs"


@st.cache_data(max_entries=256, show_spinner=False)
def _explained(results_id: str, a: Example, b: Example) -> tuple[Explanation, tuple[float, float]]:
    """A pair's value taken apart, and its interval."""
    rows = load.by_id[results_id].rows
    found = explain(*(rows[split].standardized(index) for split, index in (a, b)))
    return found, bootstrap.pair_interval(*(rows[split].raw(index) for split, index in (a, b)))


@st.fragment
def show_why(results: Results, a: Example, b: Example) -> None:
    """Show what the kernel's value of a pair is made of: its classes and, for one or all of them, its runs."""
    if not results.rows:
        load.offer_rows("why")
        return
    found, (low, high) = _explained(results.id, a, b)
    st.markdown(
        f"The {len(found.by_class):,} bars, one a class, add up to **{found.value:.3f}**, the kernel's value of this "
        f"pair by {runs_in_words(results)}. Drawing the runs anew, it lies between **{low:.3f}** and **{high:.3f}** "
        f"in {bootstrap.LEVEL}% of the draws."
    )
    left, right = st.columns(2, gap="large")
    with right, st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        names = _most_first(results.class_names, found.by_class)
        chosen = st.selectbox("Class", names, key="class_of_pair", bind="query-params", width=240)
        whole = st.toggle("all classes at once", key="whole_of_pair", bind="query-params")
    c = results.class_names.index(chosen)
    with left:
        _bars(results.class_names, found, None if whole else c)
    with right:
        if whole:
            _whole(found)
        else:
            _scatter(found, c, _said(a), _said(b), chosen)


def _said(example: Example) -> str:
    return f"{example[0]} {example[1]}"


def _most_first(names: tuple[str, ...], by_class: np.ndarray) -> list[str]:
    """The classes' names, the one that adds most to the value first."""
    return [names[c] for c in np.argsort(-by_class, kind="stable")]


def _choose_bar() -> None:
    picked = st.session_state["bars_of_pair"]["selection"].get("bar") or []
    if picked and picked[0]["class"] != REST:
        st.session_state["class_of_pair"], st.session_state["whole_of_pair"] = picked[0]["class"], False


def _bars(names: tuple[str, ...], found: Explanation, chosen: int | None) -> None:
    """What each class adds, one bar each; a click chooses the class."""
    table = pd.DataFrame(
        {"class": names, "adds": found.by_class, "correlation": [f"{r:.3f}" for r in found.correlations]}
    )
    table["chosen"] = (table.index == chosen) | (chosen is None)
    if len(table) > BARS:
        table = table.loc[np.argsort(-np.abs(found.by_class), kind="stable")]
        rest = {"class": REST, "adds": table["adds"][BARS:].sum(), "correlation": "", "chosen": False}
        table = pd.concat([table[:BARS], pd.DataFrame([rest])])
    bars = {
        "height": {"step": 26},
        "mark": {"type": "bar", "cursor": "pointer"},
        "encoding": {
            "x": _number("adds", "adds to the value", axis={"tickCount": 5}),
            "y": {"field": "class", "type": "nominal", "sort": None, "title": None,
                  "axis": {"labelLimit": 160, "ticks": False, "domain": False}},
            "color": _marked("chosen"),
            "tooltip": [{"field": "class"}, _number("adds", format="+.4f"), {"field": "correlation"}],
        },
        "params": [{"name": "bar", "select": {"type": "point", "fields": ["class"]}}],
    }  # fmt: skip
    st.vega_lite_chart(
        table, bars, on_select=_choose_bar, key="bars_of_pair", alt="What each class adds to the value"
    )
    st.caption(
        "A bar is the correlation of the two examples' log-probabilities of that class over the runs, divided by the "
        "number of classes. Click a bar for its runs."
    )


def _marked(column: str) -> Channel:
    """Color by a column that says what is marked."""
    scale = {"domain": [True, False], "range": [MARKED, PLAIN]}
    return {"field": column, "type": "nominal", "legend": None, "scale": scale}


def _number(column: str, title: str | None = None, **more: object) -> Channel:
    """A channel that shows a column of numbers; called as the column is where no title is given."""
    return {"field": column, "type": "quantitative", "title": title or column, **more}


def _named_runs(added: np.ndarray, of: str) -> np.ndarray:
    """Say which runs matter most, and return them."""
    named = most_influential(added, NAMED)
    said = ", ".join(f"**{run}** ({added[run]:+.4f})" for run in named)
    st.markdown(f"Runs that matter most: {said}, of **{added.sum():.4f}** {of}.")
    return named


def _height(found: Explanation) -> int:
    """Pixels of what stands beside the bars: about as high as they are, and never too low to be read."""
    return max(260, 26 * min(len(found.by_class), BARS) + 40)


def label_heights(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where the labels of a few dots stand, right of their dots or of a line up from there, so that none is on another
    label, dot or line.

    x: (n,) in shares of the chart's width, of which a label takes at most `LABEL`. y, and what is returned: (n,), in
    pixels upwards; equal where the label is beside its dot.
    """
    heights = y.astype(float)
    order = np.argsort(-x, kind="stable")
    for n, i in enumerate(order):
        right = [j for j in order[:n] if x[j] - x[i] < LABEL]  # what a label of i could reach
        while above := [heights[j] for j in right if y[j] - ROOM < heights[i] < heights[j] + ROOM - 0.01]:
            heights[i] = max(above) + ROOM
    return heights


def _scatter(found: Explanation, c: int, a: str, b: str, name: str) -> None:
    """One dot a run: what it says of one class for both examples."""
    named = _named_runs(found.added[c], f"that **{name}** adds")
    table = pd.DataFrame({"run": range(found.a.shape[1]), "a": found.a[c], "b": found.b[c]})
    table["adds"], table["named"] = found.added[c], table["run"].isin(named)
    words, across, up = _labels(table, _height(found))
    runs = {
        "height": _height(found),
        "encoding": {
            "x": _number("a", f"{a}: {name}", axis={"tickCount": 6}, scale={"domain": across, "nice": False}),
            "y": _number("b", f"{b}: {name}", axis={"tickCount": 5}, scale={"domain": up, "nice": False}),
        },
        "layer": [
            {"transform": [{"filter": "datum.named"}], "mark": {"type": "rule", "color": TEXT},
             "encoding": {"y2": {"field": "at"}}},
            {"mark": {"type": "circle", "opacity": 0.75, "size": 45},
             "encoding": {
                 "color": _marked("named"),
                 "tooltip": [{"field": "run"}, _number("a", a, format="+.2f"), _number("b", b, format="+.2f"),
                             _number("adds", format="+.5f")]}},
            {"transform": [{"filter": "datum.named"}], "mark": {"type": "text", "color": TEXT, "align": "left", "dx": 7},
             "encoding": {"y": {"field": "at", "type": "quantitative"}, "text": {"field": "label"}}},
        ],
    }  # fmt: skip
    said = f"One dot a run: the log-probability of {name}, standardized, for both examples"
    st.vega_lite_chart(words.sort_values("named"), runs, alt=said)
    st.caption(
        "One dot a run: its log-probability of the class, in standard deviations from the mean over the runs. Runs "
        "are counted from 0."
    )


def _labels(table: pd.DataFrame, height: int) -> tuple[pd.DataFrame, list[float], list[float]]:
    """The table with the columns label and at (where along b it stands) of the named runs, and both axes' domains.

    The domains leave room for the labels. height: of the chart, in pixels.
    """
    x, y, named = (table[column].to_numpy() for column in ("a", "b", "named"))
    across, up = (np.ptp(values) or 1.0 for values in (x, y))
    left = x.min() - 0.04 * across
    right = max(x.max() + 0.04 * across, left + (x[named].max() - left) / (1 - LABEL))
    pixel = up / (height - AXIS - (NAMED + 1) * ROOM)
    at = np.where(named, y, np.nan)
    at[named] = y.min() + pixel * label_heights(
        (x[named] - left) / (right - left), (y[named] - y.min()) / pixel
    )
    labels = [f"run {run}" for run in table["run"]]
    domains = [left, right], [y.min() - ROOM * pixel, max(y.max(), np.nanmax(at)) + ROOM * pixel]
    return table.assign(label=labels, at=at), *([float(end) for end in domain] for domain in domains)


def _whole(found: Explanation) -> None:
    """What each run adds to the whole value, the largest first."""
    added = found.by_run
    named = _named_runs(added, "in all")
    order = np.argsort(-added, kind="stable")
    table = pd.DataFrame({"place": range(len(order)), "run": order, "adds": added[order]})
    table["named"] = table["run"].isin(named)
    bars = {
        "height": _height(found),
        "mark": "bar",
        "encoding": {
            "x": {"field": "place", "type": "ordinal", "title": "runs, the one that adds most first",
                  "axis": {"labels": False, "ticks": False}},
            "y": _number("adds", "adds to the value"),
            "color": _marked("named"),
            "tooltip": [{"field": "run"}, _number("adds", format="+.5f")],
        },
    }  # fmt: skip
    st.vega_lite_chart(table, bars, alt="What each run adds to the value")
    against = int((added < 0).sum())
    st.caption(
        f"One bar a run, over all classes; together they are the value. {against:,} of {len(added):,} runs speak "
        "against the pair: they bend the two examples' outputs in opposite ways."
    )
