"""The shell of every page: its title, the menu, and the guard that each page calls first."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from kernel_core.printable import printable
from kernel_core.results.results import Results
from pages.ui.components import keys
from pages.ui.components.component import style
from pages.ui.wording import escape

NAME = "Kernel Explorer"

FOLDER = Path(__file__).parent.parent
ICON = FOLDER / "ui" / "components" / "icon.svg"  # the browser asks Google for one of Streamlit's
# Menu group → its pages: file name, which is the address, → title and icon. The very first is the front page.
PAGES: dict[str, dict[str, tuple[str, str]]] = {
    "": {
        "overview": ("Overview", ":material/home:"),
    },
    "Findings": {
        "near_duplicates": ("Near-duplicates", ":material/content_copy:"),
        "failure_modes": ("Label conflicts", ":material/label_off:"),
        "similarities": ("Threshold", ":material/bar_chart:"),
        "disagreement": ("Disagreement", ":material/call_split:"),
        "feature_pairs": ("Kernel or features?", ":material/balance:"),
    },
    "Explore": {
        "examples": ("All examples", ":material/grid_view:"),
        "example": ("Example", ":material/image_search:"),
        "pair": ("Pair", ":material/compare:"),
        "random_examples": ("Random examples", ":material/casino:"),
        "map": ("Map", ":material/map:"),
    },
}

PLACE, TAB = "_heading", "_tab"
"""Keys of the session: the place of a heading not drawn yet and the menu's word; the tab's title."""
WITH_EXAMPLE = {"near_duplicates", "failure_modes", "random_examples"}
"""Pages whose old addresses could name an example, which has a page of its own now."""
RENAMED = {
    "disagreement": {"among": "nearest"},
    "feature_pairs": {"features": "other"},
    "random_examples": {"against": "other"},
}
"""Page → a parameter of its old addresses → its name now, so that shared addresses still work."""


def pages() -> dict[str, list[StreamlitPage]]:
    """Return the menu: groups of pages, in order."""
    front = next(name for group in PAGES.values() for name in group)
    return {
        group: [
            st.Page(FOLDER / f"{name}.py", title=title, icon=icon, default=name == front)
            for name, (title, icon) in entries.items()
        ]
        for group, entries in PAGES.items()
    }


def _navigate(position: Literal["top", "hidden"]) -> StreamlitPage:
    """Set the window's title and icon, show the menu, and return the page that the address names."""
    # The tab keeps its title until the page has one: a run would otherwise show the menu's word for a moment.
    st.set_page_config(page_title=st.session_state.get(TAB, NAME), page_icon=ICON, layout="wide")
    return st.navigation(pages(), position=position)


def run() -> None:
    """Draw the page that the address names, within the shell."""
    page = _navigate("top")
    if "example" in st.query_params and page.url_path in WITH_EXAMPLE:
        st.switch_page(FOLDER / "example.py", query_params={"example": st.query_params["example"]})
    parameters, renamed = st.query_params.to_dict(), RENAMED.get(page.url_path, {})
    if renamed.keys() & parameters.keys():
        st.switch_page(page, query_params={renamed.get(name, name): parameters[name] for name in parameters})
    st.html(style("page"))
    keys.listen()
    st.session_state["_shell"], st.session_state[PLACE] = True, (st.container(gap="small"), page.title)
    try:
        page.run()
    except Exception:
        default_heading()
        raise
    finally:
        st.session_state["_shell"] = False


def heading(results: Results | None, title: str, about: str = "", tab: str = "") -> None:
    """Draw the page's heading, above whatever it has drawn, and name the browser's tab. Once per page.

    results: what the page shows; None where nothing is opened. title: plain text. about: Markdown, the line
    below it; empty for none. tab: plain text, what the tab begins with; empty for the title.
    """
    words = [tab or title, *([results.name] if results else []), NAME]
    st.session_state[TAB] = " · ".join(map(printable, dict.fromkeys(words)))
    st.set_page_config(page_title=st.session_state[TAB])
    with st.session_state.pop(PLACE)[0]:
        st.title(escape(printable(title)), anchor=False)
        if about:
            st.caption(about)


def default_heading(results: Results | None = None) -> None:
    """Draw the menu's word for the page as its heading, if it has none yet: where it fails or ends early.

    Nothing can be drawn after `st.stop`. results: as for `heading`.
    """
    if PLACE in st.session_state:
        heading(results, st.session_state[PLACE][1])


def say(text: str) -> None:
    """Draw the sentence that says what the page's list holds now. Once per page.

    text: Markdown. Where it changes with a control, readers of the screen are told (`components/keys.js`).
    """
    st.container(key="said").markdown(text)


def guard() -> None:
    """Start over where a page runs without the shell; the first line of every page.

    A cold server runs a page of `pages/` that the address names without `app.py`, until `st.navigation` was
    called once.
    """
    if not st.session_state.get("_shell"):
        _navigate("hidden")
        st.rerun()
