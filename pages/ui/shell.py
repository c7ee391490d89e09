"""What surrounds every page: its title, the menu, and the guard that each page calls first."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

FOLDER = Path(__file__).parent.parent
PAGES = {
    "overview": ("Overview", ":material/home:"),
    "near_duplicates": ("Near-duplicates", ":material/content_copy:"),
    "failure_modes": ("Failure modes", ":material/label_off:"),
    "random_examples": ("Random examples", ":material/casino:"),
}

CSS = """<style>
[data-testid=stMainBlockContainer] { max-width: 1600px; padding: 4rem 2rem 3rem; }
@media (max-width: 640px) { [data-testid=stMainBlockContainer] { padding: 4rem 1rem 2rem; } }
</style>"""


def pages() -> list[StreamlitPage]:
    """The menu, in order; a page's file name is its address."""
    first = next(iter(PAGES))
    return [
        st.Page(FOLDER / f"{name}.py", title=title, icon=icon, default=name == first)
        for name, (title, icon) in PAGES.items()
    ]


def run() -> None:
    """Show the page that the address names."""
    st.set_page_config(page_title="Kernel Explorer", page_icon=":material/hub:", layout="wide")
    page = st.navigation(pages(), position="top")
    st.html(CSS)
    st.session_state["_shell"] = True
    try:
        page.run()
    finally:
        st.session_state["_shell"] = False


def guard() -> None:
    """First line of every page. A cold server runs a deep-linked page in `pages/` without `app.py`, until
    `st.navigation` is called once; this calls it and starts over."""
    if not st.session_state.get("_shell"):
        st.navigation(pages(), position="hidden")
        st.rerun()
