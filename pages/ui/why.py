"""Why two examples are similar: the value as bars, one a class, and as dots, one a run."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from kernel_core import certainty
from kernel_core.explain import Explanation, explain, most_influential
from kernel_core.records import Split
from kernel_core.results import Results
from pages.ui import load

Example = tuple[Split, int]  # split and index: an example's identity

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
    return found, certainty.pair_interval(*(rows[split].raw(index) for split, index in (a, b)))


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
        f"in {certainty.LEVEL}% of the draws."
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
    bars = (
        alt.Chart(table, height=alt.Step(26))
        .mark_bar(cursor="pointer")
        .encode(
            x=alt.X("adds:Q", title="adds to the value", axis=alt.Axis(tickCount=5)),
            y=alt.Y(
                "class:N", sort=None, title=None, axis=alt.Axis(labelLimit=160, ticks=False, domain=False)
            ),
            color=_marked("chosen"),
            tooltip=["class", alt.Tooltip("adds:Q", format="+.4f"), alt.Tooltip("correlation:N")],
        )
        .add_params(alt.selection_point(name="bar", fields=["class"]))
    )
    st.altair_chart(bars, on_select=_choose_bar, key="bars_of_pair", alt="What each class adds to the value")
    st.caption(
        "A bar is the correlation of the two examples' log-probabilities of that class over the runs, divided by the "
        "number of classes. Click a bar for its runs."
    )


def _marked(column: str) -> alt.Color:
    return alt.Color(f"{column}:N", legend=None, scale=alt.Scale(domain=[True, False], range=[MARKED, PLAIN]))


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
    base = alt.Chart(table.sort_values("named"), height=_height(found)).encode(
        x=alt.X("a:Q", title=f"{a}: {name}", axis=alt.Axis(tickCount=6), scale=alt.Scale(domain=across, nice=False)),
        y=alt.Y("b:Q", title=f"{b}: {name}", axis=alt.Axis(tickCount=5), scale=alt.Scale(domain=up, nice=False)),
    )  # fmt: skip
    dots = base.mark_circle(opacity=0.75, size=45).encode(
        color=_marked("named"),
        tooltip=["run", alt.Tooltip("a:Q", title=a, format="+.2f"), alt.Tooltip("b:Q", title=b, format="+.2f"),
                 alt.Tooltip("adds:Q", format="+.5f")],
    )  # fmt: skip
    labels = alt.Chart(words).encode(x="a:Q")
    st.altair_chart(
        labels.mark_rule(color=TEXT).encode(y="b:Q", y2="at")
        + dots
        + labels.mark_text(color=TEXT, align="left", dx=7).encode(y="at:Q", text="label"),
        alt=f"One dot a run: the log-probability of {name}, standardized, for both examples",
    )
    st.caption(
        "One dot a run: its log-probability of the class, in standard deviations from the mean over the runs. Runs "
        "are counted from 0."
    )


def _labels(table: pd.DataFrame, height: int) -> tuple[pd.DataFrame, list[float], list[float]]:
    """The named runs with the columns label and at (where along b it stands), and both axes' domains, with room for these.

    height: of the chart, in pixels.
    """
    low, high = table[["a", "b"]].min(), table[["a", "b"]].max()
    spread = (high - low).replace(0, 1)
    words = table[table["named"]].copy()
    left = low["a"] - 0.04 * spread["a"]
    right = max(high["a"] + 0.04 * spread["a"], left + (words["a"].max() - left) / (1 - LABEL))
    pixel = spread["b"] / (height - AXIS - (NAMED + 1) * ROOM)
    x, y = (words["a"] - left) / (right - left), (words["b"] - low["b"]) / pixel
    words["label"] = [f"run {run}" for run in words["run"]]
    words["at"] = low["b"] + pixel * label_heights(x.to_numpy(), y.to_numpy())
    top = max(high["b"], words["at"].max()) + ROOM * pixel
    return words, [left, right], [low["b"] - ROOM * pixel, top]


def _whole(found: Explanation) -> None:
    """What each run adds to the whole value, the largest first."""
    added = found.by_run
    named = _named_runs(added, "in all")
    order = np.argsort(-added, kind="stable")
    table = pd.DataFrame({"place": range(len(order)), "run": order, "adds": added[order]})
    table["named"] = table["run"].isin(named)
    bars = (
        alt.Chart(table, height=_height(found))
        .mark_bar()
        .encode(
            x=alt.X("place:O", title="runs, the one that adds most first", axis=alt.Axis(labels=False, ticks=False)),
            y=alt.Y("adds:Q", title="adds to the value"),
            color=_marked("named"),
            tooltip=["run", alt.Tooltip("adds:Q", format="+.5f")],
        )
    )  # fmt: skip
    st.altair_chart(bars, alt="What each run adds to the value")
    against = int((added < 0).sum())
    st.caption(
        f"One bar a run, over all classes; together they are the value. {against:,} of {len(added):,} runs speak "
        "against the pair: they bend the two examples' outputs in opposite ways."
    )
