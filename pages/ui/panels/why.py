"""Why two examples are similar: the kernel's value as a bar per class, and as a dot per run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from kernel_core.errors import NotBuilt
from kernel_core.explain import bootstrap
from kernel_core.explain.contributions import Explanation, explain, most_influential_runs
from kernel_core.explain.traces import standardize
from kernel_core.results.results import Results
from pages.ui import load
from pages.ui.charts import GREY, ORANGE, TEXT, Specification
from pages.ui.links import Example
from pages.ui.panels import missing_outputs

BARS = 20  # classes drawn; the others share one bar
NAMED = 3  # runs
ROOM = 12  # pixels between the middles of two labels, or of a label and a dot
LABEL = 1 / 6  # of a chart's width: the most that a label takes of it, on a phone
AXIS = 90  # pixels of a chart's height that its axis takes
REST = "all other classes"

Numbers = npt.NDArray[np.float64]


def runs_in_words(kept: int, total: int) -> str:
    """Return which runs an explanation is from, as in "all 256 runs"."""
    return f"all {total:,} runs" if kept == total else f"the first {kept:,} of {total:,} runs"


@st.cache_data(max_entries=256, show_spinner=False)
def _explained(results_id: str, a: Example, b: Example) -> tuple[Explanation, tuple[float, float]]:
    """Return the parts of a pair's value, and its bootstrap interval. Raises `NotBuilt` without outputs."""
    raw = [load.nearby(results_id).outputs.raw(example) for example in (a, b)]
    return explain(*map(standardize, raw)), bootstrap.pair_interval(*raw)


@st.fragment
def show_why(results: Results, a: Example, b: Example) -> None:
    """Show what the kernel's value of a pair is made of: its classes, and the runs of one class or of all."""
    try:
        parts, (low, high) = _explained(results.id, a, b)
    except NotBuilt as reason:
        missing_outputs.offer(results, "why", reason)
        return
    runs = runs_in_words(parts.a.shape[1], results.run_count)
    count = len(parts.by_class)
    bars = f"The {count:,} bars, one per class,"
    if count > BARS:
        bars = f"The bars of {BARS} of the {count:,} classes, and that of the rest,"
    st.markdown(
        f"{bars} add up to **{parts.value:.3f}**: the kernel's "
        f"value of this pair by {runs}. Bootstrap over runs, {bootstrap.LEVEL}%: "
        f"**{low:.3f}** to **{high:.3f}**."
    )
    left, right = st.columns(2, gap="large")
    with right, st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        order = np.argsort(-parts.by_class, kind="stable").tolist()
        names = [results.class_names[c] for c in order]
        chosen = st.selectbox("Class", names, key="class", bind="query-params", width=240)
        whole = st.toggle("all classes at once", key="whole", bind="query-params")
    c = results.class_names.index(chosen)
    with left:
        _class_bars(results.class_names, parts, None if whole else c)
    with right:
        if whole:
            _run_bars(parts)
        else:
            _run_dots(parts, c, chosen, f"{a[0]} {a[1]}", f"{b[0]} {b[1]}")


def _choose_bar() -> None:
    """Choose the class of the bar that was clicked."""
    bars = st.session_state.get("bars_of_pair")  # none if the page was left meanwhile
    picked = bars["selection"].get("bar") if bars else None
    if picked and picked[0]["class"] != REST:
        st.session_state["class"], st.session_state["whole"] = picked[0]["class"], False


def _class_bars(names: tuple[str, ...], parts: Explanation, chosen: int | None) -> None:
    """Show a bar per class, what it adds to the value, with the chosen class marked; a click chooses."""
    table = pd.DataFrame(
        {"class": names, "adds": parts.by_class, "correlation": [f"{r:.3f}" for r in parts.correlations]}
    )
    table["chosen"] = (table.index == chosen) | (chosen is None)
    if len(table) > BARS:
        table = table.loc[np.argsort(-np.abs(parts.by_class), kind="stable")]
        rest = {"class": REST, "adds": table["adds"][BARS:].sum(), "correlation": "", "chosen": False}
        table = pd.concat([table[:BARS], pd.DataFrame([rest])])
    axis = {"labelLimit": 160, "ticks": False, "domain": False}
    bars: Specification = {
        "height": {"step": 26},
        "mark": {"type": "bar", "cursor": "pointer"},
        "encoding": {
            "x": _number("adds", "adds to the value", axis={"tickCount": 5}),
            "y": {"field": "class", "type": "nominal", "sort": None, "title": None, "axis": axis},
            "color": _marked("chosen"),
            "tooltip": [{"field": "class"}, _number("adds", format="+.4f"), {"field": "correlation"}],
        },
        "params": [{"name": "bar", "select": {"type": "point", "fields": ["class"]}}],
    }
    st.vega_lite_chart(
        table, bars, on_select=_choose_bar, key="bars_of_pair", alt="Contribution of each class to the value"
    )
    st.caption(
        "Each bar is the correlation over the runs of the two examples' log-probabilities of that class, "
        "divided by the number of classes. Click a bar to see its runs."
    )


def _marked(column: str) -> Specification:
    """Return a channel of color, orange where a column is true."""
    scale = {"domain": [True, False], "range": [ORANGE, GREY]}
    return {"field": column, "type": "nominal", "legend": None, "scale": scale}


def _number(column: str, title: str | None = None, **more: str | Specification) -> Specification:
    """Return a channel of numbers. title: by default the column's name."""
    return {"field": column, "type": "quantitative", "title": title or column, **more}


def _name_runs(added: Numbers, whole: str) -> npt.NDArray[np.int64]:
    """Write which runs matter most, and return their numbers.

    added: (M,), what each run adds. whole: what they add up to, in words.
    """
    runs = most_influential_runs(added, NAMED)
    words = ", ".join(f"**{run}** ({added[run]:+.4f})" for run in runs)
    st.markdown(f"Runs that matter most: {words}, of **{added.sum():.4f}** {whole}.")
    return runs


def _height(parts: Explanation) -> int:
    """Return the height in pixels of the chart beside the bars: about theirs, but enough to be read."""
    return max(260, 26 * min(len(parts.by_class), BARS) + 40)


def label_heights(x: Numbers, y: Numbers) -> Numbers:
    """Return where labels of a few dots go, so that none is on another label, dot or line.

    A label stands right of its dot, or of a line up from it. x: (n,), in shares of the chart's width, of
    which a label takes at most `LABEL`. y, and the heights returned: (n,), in pixels upwards; equal where a
    label is beside its dot.
    """
    heights = y.astype(float)
    order = np.argsort(-x, kind="stable")
    for n, i in enumerate(order):
        right = [j for j in order[:n] if x[j] - x[i] < LABEL]  # what a label of i could reach
        while above := [heights[j] for j in right if y[j] - ROOM < heights[i] < heights[j] + ROOM - 0.01]:
            heights[i] = max(above) + ROOM
    return heights


def _run_dots(parts: Explanation, c: int, name: str, a: str, b: str) -> None:
    """Show a dot per run: its log-probability of class c, called `name`, for the examples called a and b."""
    named = _name_runs(parts.contributions[c], f"that **{name}** adds")
    table = pd.DataFrame({"run": range(parts.a.shape[1]), "a": parts.a[c], "b": parts.b[c]})
    table["adds"], table["named"] = parts.contributions[c], table["run"].isin(named)
    table, across, up = _with_labels(table, _height(parts))
    only_named = {"transform": [{"filter": "datum.named"}]}
    tooltip = [
        {"field": "run"},
        _number("a", a, format="+.2f"),
        _number("b", b, format="+.2f"),
        _number("adds", format="+.5f"),
    ]
    label = {"y": {"field": "at", "type": "quantitative"}, "text": {"field": "label"}}
    dots: Specification = {
        "height": _height(parts),
        "encoding": {
            "x": _number("a", f"{a}: {name}", axis={"tickCount": 6}, scale={"domain": across, "nice": False}),
            "y": _number("b", f"{b}: {name}", axis={"tickCount": 5}, scale={"domain": up, "nice": False}),
        },
        "layer": [
            {**only_named, "mark": {"type": "rule", "color": TEXT}, "encoding": {"y2": {"field": "at"}}},
            {
                "mark": {"type": "circle", "opacity": 0.75, "size": 45},
                "encoding": {"color": _marked("named"), "tooltip": tooltip},
            },
            {
                **only_named,
                "mark": {"type": "text", "color": TEXT, "align": "left", "dx": 7},
                "encoding": label,
            },
        ],
    }
    alt = f"One dot per run: the log-probability of {name}, standardized, for both examples"
    st.vega_lite_chart(table.sort_values("named"), dots, alt=alt)
    st.caption(
        "One dot per run: its log-probability of the class, in standard deviations from the mean over the "
        "runs. Run numbers start at 0."
    )


def _with_labels(table: pd.DataFrame, height: int) -> tuple[pd.DataFrame, list[float], list[float]]:
    """Return the table with labels of the named runs, and the domains of x and y, which leave room for them.

    Adds the columns label and at, the label's place along y, NaN for other runs. height: of the chart, in
    pixels.
    """
    x, y, named = (table[column].to_numpy() for column in ("a", "b", "named"))
    across, up = (float(np.ptp(values)) or 1.0 for values in (x, y))
    left = x.min() - 0.04 * across
    right = max(x.max() + 0.04 * across, left + (x[named].max() - left) / (1 - LABEL))
    pixel = up / (height - AXIS - (NAMED + 1) * ROOM)
    at = np.where(named, y, np.nan)
    at[named] = y.min() + pixel * label_heights(
        (x[named] - left) / (right - left), (y[named] - y.min()) / pixel
    )
    low, high = y.min() - ROOM * pixel, max(y.max(), np.nanmax(at)) + ROOM * pixel
    labels = [f"run {run}" for run in table["run"]]
    return table.assign(label=labels, at=at), [float(left), float(right)], [float(low), float(high)]


def _run_bars(parts: Explanation) -> None:
    """Show a bar per run, what it adds to the whole value, the largest first."""
    added = parts.by_run
    named = _name_runs(added, "in all")
    order = np.argsort(-added, kind="stable")
    table = pd.DataFrame({"place": range(len(order)), "run": order, "adds": added[order]})
    table["named"] = table["run"].isin(named)
    axis = {"labels": False, "ticks": False}
    bars: Specification = {
        "height": _height(parts),
        "mark": "bar",
        "encoding": {
            "x": {
                "field": "place",
                "type": "ordinal",
                "title": "runs, largest contribution first",
                "axis": axis,
            },
            "y": _number("adds", "adds to the value"),
            "color": _marked("named"),
            "tooltip": [{"field": "run"}, _number("adds", format="+.5f")],
        },
    }
    st.vega_lite_chart(table, bars, alt="Contribution of each run to the value")
    against = int((added < 0).sum())
    st.caption(
        f"One bar per run, over all classes; together they add up to the value. {against:,} of "
        f"{len(added):,} runs speak against the pair: they move the outputs of the two examples in opposite "
        "directions."
    )
