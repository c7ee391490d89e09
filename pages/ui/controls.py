"""Controls that pages share: a similarity, and a window of ranks. Their values are in the address."""

from __future__ import annotations

from collections.abc import Collection

import streamlit as st

from kernel_core.findings import pairs
from kernel_core.results.results import Results
from kernel_core.spec import SIMILARITIES
from pages.ui.wording import MEANINGS


def choose_similarity(
    results: Results,
    label: str,
    key: str,
    *,
    among: Collection[str] = tuple(SIMILARITIES),
    without: str = "",
) -> str:
    """Show a control that picks one of the source's similarities, by default the first; return its name.

    key: of the control, and of the parameter in the address. among: the names offered where the source has
    them. without: a name that is not offered.
    """
    names = [name for name in SIMILARITIES if name in among and name in results.neighbors and name != without]
    chosen = _choice_of_address(key, names)
    if st.session_state.get(key) != chosen:
        st.session_state[key] = chosen
    st.segmented_control(
        label,
        names,
        format_func=SIMILARITIES.__getitem__,
        required=True,
        key=key,
        on_change=_keep_in_address,
        args=(key, names),
        wrap=True,
        help="  \n".join(f"**{SIMILARITIES[name]}**: {MEANINGS[name]}." for name in names),
    )
    return chosen


# Streamlit's own binding would write the names that people see into the address. These two keep identifiers
# there and, like the binding, leave out the default, which is the first name.
def _choice_of_address(key: str, names: list[str]) -> str:
    """Return the name that a parameter of the address holds; where it is not offered, the default."""
    chosen = st.query_params.get(key, names[0])
    if chosen in names:
        return chosen
    del st.query_params[key]
    return names[0]


def _keep_in_address(key: str, names: list[str]) -> None:
    """Put the choice of a control into the parameter of its name."""
    chosen = st.session_state[key]
    if chosen == names[0]:
        st.query_params.pop(key, None)
    else:
        st.query_params[key] = chosen


def choose_ranks(total: int) -> tuple[int, int]:
    """Show the controls of a window of ranks between 1 and total; return its first and last rank.

    The first may be above the last: `stop_if_reversed` says so. In the address they are `first` and `last`,
    the same on every page.
    """
    default_first, default_last = pairs.default_rank_window(total)
    first = st.number_input(
        "First rank", 1, total, default_first, key="first", bind="query-params", width=130
    )
    last = st.number_input("Last rank", 1, total, default_last, key="last", bind="query-params", width=130)
    for label, key, direction, at_end, icon in (
        ("Previous", "previous", -1, first <= 1, ":material/chevron_left:"),
        ("Next", "next", 1, last >= total, ":material/chevron_right:"),
    ):
        st.button(label, on_click=_step, args=(direction, total), icon=icon, disabled=at_end, key=key)
    return first, last


def _step(direction: int, total: int) -> None:
    """Move the window by its own length, within the ranking."""
    first, last = st.session_state["first"], st.session_state["last"]
    length = max(1, last - first + 1)
    first = min(max(1, first + direction * length), max(1, total - length + 1))
    st.session_state["first"], st.session_state["last"] = first, min(total, first + length - 1)


def stop_if_reversed(first: int, last: int) -> None:
    """End the page with an error where the first rank is above the last."""
    if first > last:
        st.error(
            f"The first rank, {first:,}, is above the last, {last:,}. Raise the last or lower the first."
        )
        st.stop()
