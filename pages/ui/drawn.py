"""Charts and their tables as pages show them, each made once: Altair takes 0.1 s to make a chart."""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st

from kernel_core.findings.label_orders import count_conflicts
from kernel_core.findings.votes import wilson_interval
from kernel_core.report.run_counts import table_by_runs
from kernel_core.results import accuracy
from kernel_core.results.answers import Panel, Table
from kernel_core.results.run_counts import read_run_counts
from kernel_core.results.store import Store
from pages.ui import charts, load
from pages.ui.curves import curves, of_panel
from pages.ui.wording import ENSEMBLE


@st.cache_data(max_entries=2)
def accuracies(results_id: str) -> tuple[pd.DataFrame, charts.Specification]:
    """Return the accuracies as people read them, with the columns of `charts.accuracies`, and their chart."""
    results = load.by_id[results_id]
    values = accuracy.accuracies(results)
    titles = accuracy.accuracy_titles(results)
    shown = {name: title for name, title in titles.items() if values[name] is not None}
    table = pd.DataFrame({"title": list(shown.values()), "accuracy": [values[name] for name in shown]})
    count = len(results.examples[results.query])
    ends = [wilson_interval(round(value * count), count) for value in table["accuracy"]]
    table[["low", "high"]] = ends
    table["text"] = [f"{value:.2%}" for value in table["accuracy"]]
    table["interval"] = [f"{low:.2%} – {high:.2%}" for low, high in ends]
    table["is_kernel"] = [name.startswith("kernel") for name in shown]
    return table, charts.accuracies(table).to_dict()


@st.cache_data(max_entries=2)
def histogram(results_id: str, low: float, high: float, title: str) -> charts.Specification:
    """Return the histogram of the kernel's values of the nearest pairs, with low to high as a band."""
    return charts.histogram(load.ranking(results_id, "kernel")["similarity"], low, high, title).to_dict()


@st.cache_data(max_entries=50)
def confusion_chart(
    results_id: str, of: tuple[str, str], start: charts.Labels | None, dark: bool
) -> charts.Specification:
    """Return the matrix of label conflicts.

    of: the similarity, and the order that lists them. start: the pair of labels selected at first. dark: the
    theme.
    """
    counts = count_conflicts(load.in_doubt(results_id, *of))
    return charts.confusion(counts, load.by_id[results_id].class_names, start, dark=dark).to_dict()


@st.cache_data(max_entries=2, show_spinner="Comparing fewer runs with all")
def by_runs(results_id: str, counts: tuple[int, ...]) -> pd.DataFrame:
    """Return what some numbers of runs find, of `table_by_runs`. counts: those that are built."""
    results = load.by_id[results_id]
    return table_by_runs(read_run_counts(results, load.request(), Store(), counts), results)


@st.cache_data(max_entries=4)
def run_curves(
    results_id: str, counts: tuple[int, ...], titles: tuple[tuple[str, str], ...]
) -> charts.Specification:
    """Return the chart of some columns of `by_runs`. titles: column and the name that people see."""
    return curves(by_runs(results_id, counts), dict(titles)).to_dict()


@st.cache_data(max_entries=50)
def accuracy_chart(
    results_id: str, first: str, second: str, of_class: int | None = None
) -> charts.Specification:
    """Return the chart of two similarities' accuracies. of_class: as in `load.scoreboard`."""
    board = _board(results_id, (first, second), of_class)
    titles = [load.by_id[results_id].title_of(name) for name in (first, second)]
    return charts.accuracy_by_k(board, titles).to_dict()


@st.cache_data(max_entries=50)
def accuracy_table(results_id: str, names: tuple[str, ...], of_class: int | None = None) -> pd.DataFrame:
    """Return the scoreboard as people read it. names, of_class: as in `load.scoreboard`."""
    return charts.accuracy_table(_board(results_id, names, of_class))


def _board(results_id: str, names: tuple[str, ...], of_class: int | None) -> pd.DataFrame:
    """Return the scoreboard of some similarities with one more column, title, as people call them."""
    titles = {name: load.by_id[results_id].title_of(name) for name in names} | {"ensemble": ENSEMBLE}
    board = load.scoreboard(results_id, names, of_class)
    return board.assign(title=board["by"].map(titles))


@st.cache_data(max_entries=50, hash_funcs={Panel: repr})
def panel_chart(panel: Panel) -> charts.Specification:
    """Return the chart of a panel of an answer."""
    return of_panel(panel).to_dict()


def answer_table(table: Table) -> pd.DataFrame:
    """Return a table of an answer as people read it: shares in percent, a dash for none."""
    rows = [[_cell(cell) for cell in row] for row in table.rows]
    return pd.DataFrame(rows, columns=list(table.columns))


def _cell(cell: str | float | None) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "–"
    return cell if isinstance(cell, str) else f"{cell:.2%}"
