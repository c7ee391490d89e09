"""Which near-duplicates are shown: their order, and a window of ranks or all at or above a threshold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pandas as pd
import streamlit as st

from kernel_core.findings.pairs import WINDOW, default_rank_window, matching_pairs
from kernel_core.results.pair_orders import ORDERS
from kernel_core.results.results import Results
from pages.ui import paired
from pages.ui.paired import SIMILARITY, TWIN, Asked, Found
from pages.ui.panels import ranks, twin_words
from pages.ui.panels.ranks import Window
from pages.ui.panels.verdict_filter import of
from pages.ui.wording import escape

NEAREST, BORDER, ABOVE = "nearest", "border", "above"
ORDER = "order"
"""The parameter of the order."""
ORDER_HELP = (
    "By similarity: pairs whose predictions move together first. By twin score: pairs whose images also "
    "match in their details first."
)


@dataclass(frozen=True)
class Part:
    """Some of the pairs that pass a filter.

    rows: of the ranking. window: first and last place among those that pass; None where the part is all pairs
    at or above `threshold`. why: Markdown that ends a sentence about their ranks; often empty.
    """

    rows: pd.DataFrame
    window: Window | None
    threshold: float | None
    why: str


@dataclass(frozen=True)
class _View:
    """What a button leads to: a window in an order. home: whether the address leaves out the window."""

    window: Window
    order: str
    home: Window | None


def choose_order(
    results: Results, by: str, *, about: str = ORDER_HELP, on_change: Callable[[], None] | None = None
) -> str:
    """Show the control of the order where there are two; return the one that the address names.

    about: what the orders are. on_change: what a change does beside naming it in the address; by default, the
    nearest pairs stay what is shown. It may name the twin score where its pixels are not aligned yet.
    """
    chosen = st.query_params.get(ORDER, SIMILARITY)
    if paired.why_no_twins(results, by):
        st.query_params.pop(ORDER, None)
        return SIMILARITY
    chosen = chosen if chosen in ORDERS else SIMILARITY
    if st.session_state.get(ORDER) != chosen:
        st.session_state[ORDER] = chosen
    st.segmented_control(
        "Order",
        list(ORDERS),
        format_func={SIMILARITY: "similarity", TWIN: "twin score"}.__getitem__,
        required=True,
        key=ORDER,
        on_change=_keep_order,
        args=(on_change or _stay_nearest,),
        help=about,
    )
    if chosen == SIMILARITY:
        st.query_params.pop(ORDER, None)
    return chosen


def _keep_order(on_change: Callable[[], None]) -> None:
    """Put the order into the address."""
    chosen = st.session_state.get(ORDER)  # none if the page was left meanwhile
    if chosen is None:
        return
    _name_order(chosen)
    st.session_state["page"] = 1
    on_change()


def _stay_nearest() -> None:
    """A window stays; without one, the nearest pairs stay what is shown."""
    by_similarity = st.session_state[ORDER] == SIMILARITY
    if by_similarity and not st.query_params.keys() & {"first", "last", "threshold"}:
        st.query_params.update({"first": "1", "last": str(WINDOW)})


def _name_order(order: str) -> None:
    if order == SIMILARITY:
        st.query_params.pop(ORDER, None)
    else:
        st.query_params[ORDER] = order


def choose_part(results: Results, found: Found) -> Part:
    """Show the controls that choose some of the pairs that pass a filter, at least one; return these."""
    similar, order = paired.in_order(results, found, SIMILARITY), found.asked.order
    matches, is_whole = found.matches, len(found.matches) == len(found.pairs)
    views = _views(results, similar)
    own = next(view for view in views.values() if view.order == order)
    nearest = 1, min(WINDOW, len(matches))
    start = own.home or nearest
    threshold = ranks.threshold_of_address()
    window = ranks.window_of_address(len(matches), start)
    shown = next((name for name, view in views.items() if (view.window, view.order) == (window, order)), "")
    if shown == BORDER and not is_whole and window == nearest:
        shown = ""  # a short list begins at both
    shown = shown if threshold is None else ABOVE
    why = _why(shown, len(found.pairs), is_whole=is_whole)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="part_row"):
        _offer(shown, views, ranks.start_threshold(similar.pairs))
        if threshold is not None:
            ranks.choose_threshold(similar.pairs["similarity"], threshold)
            return Part(matching_pairs(matches, threshold=threshold), None, threshold, why)
        what = "rank" if is_whole else "match"
        window = ranks.choose_ranks(len(matches), start=start, home=own.home, what=what)
    ranks.stop_if_reversed(*window)
    return Part(matches.iloc[window[0] - 1 : window[1]], window, None, why)


def sentence(results: Results, found: Found, part: Part) -> str:
    """Return the sentence that says how many pairs are shown, in which order, and which."""
    rows, order = part.rows, found.asked.order
    count = f"**{len(rows):,} of {len(found.matches):,} {noun(found.asked)}**"
    by = " by the twin score" if order == TWIN else ""
    at = f", ranks {rows['rank'].iloc[0]:,}–{rows['rank'].iloc[-1]:,}{by}" if len(rows) else ""
    if part.threshold is not None and order == TWIN:
        title = escape(results.title_of(found.asked.by))
        return f"{count} have a similarity by {title} of at least {part.threshold:.4f}, ranked{by}."
    if part.threshold is not None:
        return f"{count} are at or above {part.threshold:.4f}{at}."
    bands = f" {twin_words.count_bands(found.pairs)}" if order == TWIN else ""
    return f"{count}{at}{part.why}.{bands}"


def noun(asked: Asked) -> str:
    """Return what is listed, in the plural: pairs, with the filters that they pass."""
    labels = {"same": "the same label", "different": "different labels"}.get(asked.labels, "")
    of_class = f"class {escape(asked.of_class)}" if asked.of_class else ""
    pixels = "" if asked.pixels is None else f"pixels aligned of at least {asked.pixels:g}"
    pairs = of(asked.wanted, "pairs")
    pairs = f"{pairs} in the band “{asked.band}”" if asked.band else pairs
    which = " and ".join(filter(None, [labels, of_class, pixels]))
    return f"{pairs} with {which}" if which else pairs


def _views(results: Results, similar: Found) -> dict[str, _View]:
    """Return the parts that have a name. similar: the pairs in order of their similarity."""
    card, is_whole = default_rank_window(len(similar.pairs)), len(similar.matches) == len(similar.pairs)
    best = TWIN if paired.has_twins(results, similar.asked.by) else SIMILARITY
    nearest = 1, max(1, min(WINDOW, len(paired.in_order(results, similar, best).matches)))
    if not is_whole:
        border = _from_rank(similar.matches, card[0])
        return {NEAREST: _View(nearest, best, None), BORDER: _View(border, SIMILARITY, None)}
    return {
        BORDER: _View(card, SIMILARITY, card),
        NEAREST: _View(nearest, best, nearest if best == TWIN else card),
    }


def _from_rank(matches: pd.DataFrame, rank: int) -> Window:
    """Return the window of the matches that begins with the first at a rank or after it, or ends the list."""
    before = int((matches["rank"] < rank).sum())
    first = max(1, min(before + 1, len(matches) - WINDOW + 1))
    return first, max(first, min(len(matches), first + WINDOW - 1))


def _offer(shown: str, views: dict[str, _View], threshold: float) -> None:
    """Show a button for each part that has a name. shown: the name of the present one."""
    at_border, nearest = (
        f"{first:,}–{last:,}" for first, last in (views[BORDER].window, views[NEAREST].window)
    )
    labels = {BORDER: f"Border of look-alikes: {at_border}", NEAREST: f"Nearest pairs: {nearest}"}
    for name, label in labels.items():
        by = "twin score" if views[name].order == TWIN else "similarity"
        st.button(
            label, type=_kind(name == shown), on_click=_show, args=(views[name],), key=f"part_{name}",
            help=f"In order of the {by}",
        )  # fmt: skip
    kind = _kind(shown == ABOVE)
    st.button("Above a threshold", type=kind, on_click=ranks.go_above, args=(threshold,), key="part_above")


def _show(view: _View) -> None:
    """Put a part that has a name into the address."""
    _name_order(view.order)
    ranks.go_to(view.window, view.home)


def _kind(is_shown: bool) -> Literal["primary", "secondary"]:
    return "primary" if is_shown else "secondary"


def _why(shown: str, total: int, *, is_whole: bool) -> str:
    """Return what ends the sentence about the part of this name. total: number of pairs."""
    if shown != BORDER:
        return ""
    card, usual = default_rank_window(total), default_rank_window(10_000)
    if not is_whole:
        return f": from rank {card[0]:,} on, where look-alikes begin on the dataset card"
    there = "" if card == usual else f" (there {usual[0]}–{usual[1]} of 10,000)"
    return f": the border between twins and look-alikes, as on the dataset card{there}"
