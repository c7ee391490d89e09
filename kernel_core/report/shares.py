"""Shares with their 95% intervals, and tables, as reports keep and write them."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from kernel_core.findings.votes import wilson_interval

Share = dict[str, Any]


def share(found: float, total: int) -> Share:
    """Return found / total with Wilson's 95% interval: found, of, value, low, high; None where total is 0.

    found: 0 … total. Where it is a sum of fractions, as of the runs that are right on each example, the
    interval is that of the next whole numbers, which is never too narrow: fractions vary less than 0 and 1.
    """
    if not total:
        return unknown(0)
    down, up = math.floor(found + 1e-9), math.ceil(found - 1e-9)
    low, high = wilson_interval(down, total)[0], wilson_interval(up, total)[1]
    return {"found": found, "of": total, "value": found / total, "low": low, "high": high}


def unknown(total: int) -> Share:
    """Return the share of something that nobody has counted yet, among so many."""
    return {"found": 0, "of": total, "value": None, "low": None, "high": None}


def percent(value: float | None, digits: int = 2) -> str:
    """Return a fraction in percent, or a dash for None.

    >>> percent(0.12345), percent(None)
    ('12.35%', '–')
    """
    return "–" if value is None else f"{100 * value:.{digits}f}%"


def interval(low: float | None, high: float | None, digits: int = 2) -> str:
    """Return both ends of an interval of fractions, in percent, or a dash.

    >>> interval(0.1, 0.25)
    '10.00–25.00'
    """
    return "–" if low is None or high is None else f"{100 * low:.{digits}f}–{100 * high:.{digits}f}"


def points(value: float | None, digits: int = 2) -> str:
    """Return a difference of fractions in percentage points, with its sign.

    >>> points(0.0123), points(-0.5), points(None)
    ('+1.23', '-50.00', '–')
    """
    return "–" if value is None else f"{100 * value:+.{digits}f}"


def between_points(low: float | None, high: float | None, digits: int = 2) -> str:
    """Return both ends of an interval of differences, in percentage points, or a dash."""
    return "–" if low is None or high is None else f"{points(low, digits)} to {points(high, digits)}"


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as plain values; None for nan."""

    def plain(value: Any) -> Any:
        return None if isinstance(value, float) and math.isnan(value) else value

    return [{name: plain(value) for name, value in row.items()} for row in table.to_dict("records")]
