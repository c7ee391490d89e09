"""An answer to an open question as a person reads it, in a terminal or rendered: Markdown without dates."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from kernel_core.report.document import Table, table_markdown
from kernel_core.results.answers import QUESTIONS, Answer, Panel

WIDTH = 100


def answer_markdown(answer: Answer) -> str:
    """Return an answer as Markdown: what was seen, then every number behind it."""
    question = QUESTIONS[answer.question]
    source = f"Source: {answer.source}, {answer.asked['runs']:,} runs; query examples: {answer.drawn}."
    parts = [
        f"# {question.title}",
        f"{question.asked} {question.how}",
        *answer.seen,
        *(f"## {table.title}\n\n{_grid(table.columns, table.rows)}" for table in answer.tables),
        *(f"## {panel.title}\n\n{_numbers(panel)}" for panel in answer.panels),
        answer.bands,
        source,
        f"Again: `{answer.command}`",
    ]
    return "\n\n".join(part if part.startswith("#") else textwrap.fill(part, WIDTH) for part in parts) + "\n"


def _numbers(panel: Panel) -> str:
    """Return the numbers of a panel: a row per x, a column per curve."""
    scale, digits = (100, 1) if panel.unit == "share" else (1, 3)
    every = sorted({x for curve in panel.curves for x in curve.x})
    rows = []
    for x in every:
        cells: list[str | float | None] = [f"{x:,.0f}"]
        for curve in panel.curves:
            if x in curve.x:
                n = curve.x.index(x)
                y, low, high = ([scale * value for value in of] for of in (curve.y, curve.low, curve.high))
                cells.append(f"{y[n]:.{digits}f} ({low[n]:.{digits}f}–{high[n]:.{digits}f})")
            else:
                cells.append("")
        rows.append(tuple(cells))
    return _grid((panel.x_title, *(curve.name for curve in panel.curves)), rows)


def _grid(columns: tuple[str, ...], rows: Sequence[tuple[str | float | None, ...]]) -> str:
    """Return a Markdown table; numbers are shares and become percentages."""
    return table_markdown(Table(columns, tuple(tuple(map(_word, row)) for row in rows)))


def _word(cell: str | float | None) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "–"
    return cell if isinstance(cell, str) else f"{100 * cell:.2f}"
