"""What surrounds every page: its title, the menu, and the guard that each page calls first."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from pages.ui import keys

FOLDER = Path(__file__).parent.parent
# Group of the menu → its pages: a page's file name, title and icon. The first of all is the front page.
PAGES: dict[str, dict[str, tuple[str, str]]] = {
    "": {
        "overview": ("Overview", ":material/home:"),
    },
    "Findings": {
        "near_duplicates": ("Near-duplicates", ":material/content_copy:"),
        "failure_modes": ("Failure modes", ":material/label_off:"),
        "similarities": ("Similarity", ":material/bar_chart:"),
        "disagreement": ("Disagreement", ":material/call_split:"),
        "feature_pairs": ("Kernel or features?", ":material/balance:"),
    },
    "Explore": {
        "example": ("Example", ":material/image_search:"),
        "pair": ("Pair", ":material/compare:"),
        "random_examples": ("Random examples", ":material/casino:"),
        "map": ("Map", ":material/map:"),
    },
}

LISTED = {"near_duplicates", "failure_modes", "random_examples"}

CSS = """<style>
[data-testid=stMainBlockContainer] [data-testid=stElementContainer]:has(> .st-key-keys), .st-key-keys { position: absolute; }
[data-testid=stMainBlockContainer] { max-width: 1600px; padding: 4rem 2rem 3rem; }
@media (max-width: 640px) { [data-testid=stMainBlockContainer] { padding: 4rem 1rem 2rem; } }
</style>"""


def pages() -> dict[str, list[StreamlitPage]]:
    """The menu, in order; a page's file name is its address."""
    first = next(name for group in PAGES.values() for name in group)
    return {
        group: [
            st.Page(FOLDER / f"{name}.py", title=title, icon=icon, default=name == first)
            for name, (title, icon) in of_group.items()
        ]
        for group, of_group in PAGES.items()
    }


def run() -> None:
    """Show the page that the address names."""
    st.set_page_config(page_title="Kernel Explorer", page_icon=":material/hub:", layout="wide")
    page = st.navigation(pages(), position="top")
    if (
        "example" in st.query_params and page.url_path in LISTED
    ):  # how addresses named an example before it had a page
        st.switch_page(FOLDER / "example.py", query_params={"example": st.query_params["example"]})
    st.html(CSS)
    keys.listen()
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
