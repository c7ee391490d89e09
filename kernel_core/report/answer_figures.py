"""The panels of an answer as one figure for print: curves with bands."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, ScalarFormatter

from kernel_core.files import replacing
from kernel_core.results.answers import QUESTIONS, Answer, Panel

# Okabe and Ito's colors, which people with any color vision tell apart.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#7f7f7f")
STYLES = ("-", "--", "-.", ":")
MARKERS = "osD^v<>P"
MOST_TICKS = 18  # of an x axis, so that their numbers do not overlap
WIDE, HIGH = 5.2, 4.2  # inches of a panel


def draw_answer(answer: Answer, path: Path) -> None:
    """Write the panels of an answer side by side, two in a row, as a PNG, whole or not at all."""
    columns = min(2, len(answer.panels))
    rows = math.ceil(len(answer.panels) / columns)
    figure = Figure(figsize=(WIDE * columns, HIGH * rows), dpi=150, layout="constrained")
    figure.suptitle(f"{answer.source}: {QUESTIONS[answer.question].title}")
    names = {tuple(curve.name for curve in panel.curves) for panel in answer.panels}
    for number, panel in enumerate(answer.panels, start=1):
        axes = figure.add_subplot(rows, columns, number)
        _draw(axes, panel, with_legend=len(names) > 1)
    if len(names) == 1:  # one legend for all panels
        handles = axes.get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=2 * columns, fontsize=8)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw(axes: Axes, panel: Panel, *, with_legend: bool) -> None:
    for n, curve in enumerate(panel.curves):
        color = COLORS[n % len(COLORS)]
        axes.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.15, linewidth=0)
        style, marker = STYLES[n % len(STYLES)], MARKERS[n % len(MARKERS)]
        axes.plot(curve.x, curve.y, style, color=color, marker=marker, markersize=4, label=curve.name)
    if panel.is_log:
        axes.set_xscale("log")
    ticks = _ticks(panel)
    axes.set_xticks(ticks, [f"{x:,.0f}" for x in ticks])
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(ScalarFormatter())
    if panel.unit == "share":
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.set_title(panel.title, fontsize=10)
    axes.set_xlabel(panel.x_title)
    axes.grid(alpha=0.25)
    if with_legend:
        axes.legend(fontsize=7, framealpha=0.8)


def _ticks(panel: Panel) -> list[float]:
    """Return the x of the curves that get a number: the last, and of the others those that have room."""
    every = sorted({x for curve in panel.curves for x in curve.x}, reverse=True)
    places = [math.log(x) if panel.is_log and x > 0 else x for x in every]
    room = (places[0] - places[-1]) / MOST_TICKS
    kept: list[int] = []
    for n, place in enumerate(places):
        if not kept or places[kept[-1]] - place >= room:
            kept.append(n)
    return [every[n] for n in reversed(kept)]
