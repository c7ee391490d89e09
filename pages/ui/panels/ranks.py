"""Which pairs of a ranking a page shows: a window of ranks, or all at or above a threshold.

The address holds the choice as `first` and `last`, or as `threshold`; without them the page shows what it
opens with. Streamlit's own binding cannot do this: here the default depends on the filter.
"""

from __future__ import annotations

import contextlib
import math

import pandas as pd
import streamlit as st

from kernel_core.findings.pairs import WINDOW, border, default_rank_window
from pages.ui.components.threshold import DIGITS
from pages.ui.controls import VALUE

Window = tuple[int, int]


# A window of ranks.


def choose_ranks(
    total: int, *, start: Window | None = None, home: Window | None = None, what: str = "rank"
) -> Window:
    """Show the controls of a window between 1 and total; return its first and last place.

    The first may be above the last: `stop_if_reversed` says so. In the address they are `first` and `last`,
    the same on every page. start: the window where the address names none; by default that of the dataset
    card. home: the window that the address leaves out; by default none. what: that is counted.
    """
    first, last = window_of_address(total, start or default_rank_window(total))
    # Set at every run: what was typed is in the address already, and the limits change with the filter.
    st.session_state["first"], st.session_state["last"] = first, last
    typed = {"on_change": _keep_window, "args": (home,)}
    st.number_input(f"First {what}", 1, total, key="first", width=130, **typed)  # type: ignore[call-overload]
    st.number_input(f"Last {what}", 1, total, key="last", width=130, **typed)  # type: ignore[call-overload]
    length = max(1, last - first + 1)
    for label, key, at, at_end, icon in (
        ("Previous", "previous", first - length, first <= 1, ":material/chevron_left:"),
        ("Next", "next", first + length, last >= total, ":material/chevron_right:"),
    ):
        place = min(max(1, at), max(1, total - length + 1))
        window = place, min(total, place + length - 1)
        st.button(label, on_click=go_to, args=(window, home), icon=icon, disabled=at_end, key=key)
    return first, last


def window_of_address(total: int, start: Window) -> Window:
    """Return the window that the address names, within 1 … total; where it names none, `start`.

    A number that is missing follows from the other. What cannot be used is taken out of the address.
    """
    first, last = _ends_of_address()
    if first > total:
        first = last = 0
        for key in ("first", "last"):
            st.query_params.pop(key, None)
    if not first and not last:
        return start
    first = first or min(start[0], last)
    return first, min(last or first + WINDOW - 1, total)


def _ends_of_address() -> Window:
    """Return the first and the last place that the address names; 0 where it names none."""
    ends = []
    for key in ("first", "last"):
        text = st.query_params.get(key, "")
        ends.append(int(text) if text.isdecimal() and len(text) < 10 else 0)
        if not ends[-1]:
            st.query_params.pop(key, None)
    return ends[0], ends[1]


def go_to(window: Window, home: Window | None = None) -> None:
    """Put a window into the address. home: the one that the address leaves out."""
    forget(VALUE, "first", "last")
    if window != home:
        st.query_params.update({"first": str(window[0]), "last": str(window[1])})


def narrow() -> None:
    """After a filter was changed, begin with the nearest that pass, unless the window begins there anyway."""
    forget(*(("first", "last") if _ends_of_address()[0] > 1 else ()))


def _keep_window(home: Window | None) -> None:
    """Put the window that was typed into the address."""
    first, last = (st.session_state.get(key) for key in ("first", "last"))
    if first is not None and last is not None:  # none if the page was left meanwhile
        go_to((first, last), home)


def forget(*names: str) -> None:
    """Take parameters out of the address, and begin with the first page."""
    for name in names:
        st.query_params.pop(name, None)
    st.session_state["page"] = 1


def stop_if_reversed(first: int, last: int) -> None:
    """End the page with an error where the first rank is above the last."""
    if first > last:
        st.error(
            f"The first rank, {first:,}, is above the last, {last:,}. Raise the last or lower the first."
        )
        st.stop()


# A threshold.


def start_threshold(pairs: pd.DataFrame) -> float:
    """Return the threshold to begin with, in the digits of the address: the border of look-alikes."""
    return float(math.floor(border(pairs) * 10**DIGITS) / 10**DIGITS)


def threshold_of_address() -> float | None:
    """Return the threshold that the address names; None where it names none, which is then taken out."""
    with contextlib.suppress(ValueError):
        value = float(st.query_params.get(VALUE, ""))
        if math.isfinite(value):
            return value
    st.query_params.pop(VALUE, None)
    return None


def choose_threshold(ranked: pd.Series, value: float, *, home: float | None = None, why: str = "") -> None:
    """Show the control of a threshold among the similarities, or scores, of a ranking.

    ranked: these, the largest first. value: of now. home: the one that the address leaves out. why: more
    about it.
    """
    span = float(ranked.iloc[0] - ranked.iloc[-1])
    st.session_state["threshold"] = value

    def keep() -> None:
        typed = st.session_state.get("threshold")  # none if the page was left meanwhile
        if typed is not None:
            go_above(typed, home)

    typed = {"on_change": keep}
    st.number_input(  # type: ignore[call-overload]
        "Threshold",
        value=0.0,
        step=max(span / 100, 10.0**-DIGITS),
        format=f"%.{DIGITS}f",
        key="threshold",
        width=170,
        help=why or None,
        **typed,
    )


def forget_threshold() -> None:
    """Take the threshold out of the address, as where it is one of other values."""
    forget(VALUE)


def go_above(threshold: float, home: float | None = None) -> None:
    """Put a threshold into the address. home: the one that the address leaves out."""
    forget(VALUE, "first", "last")
    if threshold != home:
        st.query_params[VALUE] = str(round(threshold, DIGITS))


# Pages.


def choose_page(count: int, per_page: int, *, has_steps: bool) -> int:
    """Show the control of a page of a long list, and return the page, from 1; nothing where there is one.

    has_steps: whether Previous and Next turn the pages; else they move the window.
    """
    page_count = max(1, -(-count // per_page))
    if page_count == 1:
        return 1
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        page = int(st.pagination(page_count, key="page", bind="query-params"))
        if has_steps:
            for label, key, to, icon in (
                ("Previous", "previous", page - 1, ":material/chevron_left:"),
                ("Next", "next", page + 1, ":material/chevron_right:"),
            ):
                is_beyond = not 1 <= to <= page_count
                st.button(label, on_click=_turn, args=(to,), icon=icon, disabled=is_beyond, key=key)
    return page


def _turn(page: int) -> None:
    st.session_state["page"] = page
