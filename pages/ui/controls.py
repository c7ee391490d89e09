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

    key: of the control, and of the parameter in the address. among: the identifiers offered where the source
    has them. without: one that is not offered.
    """
    names = [name for name in SIMILARITIES if name in among and name in results.neighbors and name != without]
    default = names[0]

    def keep() -> None:
        """Put the choice into the address, where the default is left out."""
        chosen = st.session_state[key]
        if chosen == default:
            st.query_params.pop(key, None)
        else:
            st.query_params[key] = chosen

    # Streamlit's own binding would write the names that people see into the address; identifiers stay there.
    asked = st.query_params.get(key, default)
    if asked not in names:
        del st.query_params[key]
        asked = default
    if st.session_state.get(key) != asked:
        st.session_state[key] = asked
    st.segmented_control(
        label,
        names,
        format_func=SIMILARITIES.__getitem__,
        required=True,
        key=key,
        on_change=keep,
        wrap=True,
        help="  \n".join(f"**{SIMILARITIES[name]}**: {MEANINGS[name]}." for name in names),
    )
    return asked


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
