"""Agreement as text: values with their intervals, and one table of all measures."""

from __future__ import annotations

import math

import pandas as pd

from kernel_core.review.consensus import SIDES
from kernel_core.review.verdicts import Kind


def interval_text(value: float, low: float, high: float, *, is_share: bool = False) -> str:
    """Return a value with its interval; a dash where there is none.

    >>> interval_text(0.711, 0.6, 0.8), interval_text(0.9, 0.8, 1, is_share=True)
    ('0.71 (0.60 to 0.80)', '90.0% (80.0% to 100.0%)')
    """
    form = "{:.1%}".format if is_share else "{:.2f}".format
    if math.isnan(value):
        return "–"
    return form(value) if math.isnan(low) else f"{form(value)} ({form(low)} to {form(high)})"


def side_title(kind: Kind) -> str:
    """Return what verdicts of a kind come down to, as in "duplicate or not"."""
    return f"{SIDES[kind][0]} or not"


def measures_table(by_verdict: pd.DataFrame, by_side: pd.DataFrame, kind: Kind) -> pd.DataFrame:
    """Return one row per measure, as people read it.

    by_verdict, by_side: of `agreement`, of the votes and of their sides. Columns: Measure, By verdict, By
    `side_title`, Items, Note (why there is no number; left out where there is nothing to say). A measure that
    makes no sense for the kind is left out.
    """
    rows = [
        (one.title, _value(one), _value(side), f"{one.items:,}", one.why)
        for one, side in zip(by_verdict.itertuples(), by_side.itertuples(), strict=True)
        if kind == "pair" or one.measure != "krippendorff_alpha_ordinal"
    ]
    table = pd.DataFrame(rows, columns=["Measure", "By verdict", f"By {side_title(kind)}", "Items", "Note"])
    return table if table["Note"].any() else table.drop(columns="Note")


def _value(row: object) -> str:
    value, low, high, measure = (getattr(row, name) for name in ("value", "low", "high", "measure"))
    return interval_text(value, low, high, is_share=measure == "percent")
