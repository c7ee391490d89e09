"""The shell of every page: its title, the menu, and the guard that each page calls first."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.navigation.page import StreamlitPage

from kernel_core.printable import CELL, printable
from kernel_core.results.results import Results
from pages.ui import addresses, read_only
from pages.ui.components import keys
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
        "labels": ("Labels to check", ":material/rule:"),
        "failure_modes": ("Label conflicts", ":material/label_off:"),
        "groups": ("Groups", ":material/workspaces:"),
        "memorization": ("Memorized", ":material/psychology:"),
        "influence": ("Influence", ":material/trending_up:"),
        "similarities": ("Threshold", ":material/bar_chart:"),
        "disagreement": ("Disagreement", ":material/call_split:"),
        "feature_pairs": ("Kernel or features?", ":material/balance:"),
        "run_counts": ("How many runs?", ":material/stacked_line_chart:"),
        "open_questions": ("Open questions", ":material/science:"),
    },
    "Review": {
        "review": ("Review", ":material/gavel:"),
        "verdicts": ("Verdicts", ":material/how_to_vote:"),
        "leaks": ("Leak report", ":material/water_drop:"),
    },
    "Explore": {
        "examples": ("All examples", ":material/grid_view:"),
        "example": ("Example", ":material/image_search:"),
        "pair": ("Pair", ":material/compare:"),
        "random_examples": ("Random examples", ":material/casino:"),
        "map": ("Map", ":material/map:"),
    },
}

PLACE, TAB, PAGE, TOP = "_heading", "_tab", "_page", "_top"
"""Keys of the session: of a heading not drawn yet, its place and default; of the tab, its title; the page;
the place of what is wrong."""
MOST_NAMED = 3  # parameters that a note names
NAME_SHOWN = 60  # characters of the source's name in the bar
WITH_EXAMPLE = {"near_duplicates", "failure_modes", "random_examples"}
"""Pages whose old addresses could name an example, which has a page of its own now."""


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
    name, asked = page.url_path or "overview", st.query_params.to_dict()
    if now := addresses.renamed(name, asked):
        st.switch_page(page, query_params=now)
    _start_from_address(name)
    keys.listen()
    place = st.container(gap="xsmall")
    st.session_state["_shell"], st.session_state[PLACE] = True, (place, page.title)
    st.session_state[TOP] = st.container()
    try:
        page.run()
    except Exception:
        default_heading()
        raise
    finally:
        st.session_state["_shell"] = False
    left, values = st.query_params.to_dict(), {key: st.session_state.get(key) for key in asked}
    refused = addresses.refused(name, asked, left, values)
    with place:
        say_ignored([f"{key}={value}" for key, value in refused.items()], "cannot use")


def _start_from_address(page: str) -> None:
    """Forget the choices made on other pages, so that the address alone says what this one shows.

    A session keeps the values of controls by key. Links such as "See all" would otherwise open a list with
    a filter that was set before, which their address does not have.
    """
    if st.session_state.get(PAGE, page) != page:
        for key in [str(key) for key in st.session_state if not str(key).startswith("_")]:
            del st.session_state[key]
    st.session_state[PAGE] = page


def say_ignored(parts: list[str], why: str) -> None:
    """Say that the page does not know, or cannot use, parts of its address."""
    if parts:
        listed = ", ".join(f"“{escape(printable(part, CELL))}”" for part in parts[:MOST_NAMED])
        more = f" and {len(parts) - MOST_NAMED} more" if parts[MOST_NAMED:] else ""
        was = "it was" if len(parts) == 1 else "they were"
        st.caption(f"The address has {listed}{more}, which this page {why}; {was} ignored.")


def heading(results: Results | None, title: str, about: str = "", tab: str = "") -> None:
    """Draw the page's heading, above whatever it has drawn, and name the browser's tab. Once per page.

    results: what the page shows; None where nothing is opened. title: plain text. about: Markdown, the line
    below it; empty for none. tab: plain text, what the tab begins with; empty for the title.
    """
    words = [tab or title, *([results.name] if results else []), NAME]
    st.session_state[TAB] = " · ".join(map(printable, dict.fromkeys(words)))
    st.set_page_config(page_title=st.session_state[TAB])
    place = st.session_state.pop(PLACE, None)  # none where the page runs without the shell
    with place[0] if place else st.container(gap="xsmall"):
        st.title(escape(printable(title)), anchor=False)
        if results:
            name = html.escape(printable(results.name, NAME_SHOWN))
            note = f'<small title="{read_only.WHY}">read-only</small> ' if read_only.is_read_only() else ""
            link = f'<a class="source-name" href="./" title="To the overview of this source">{note}{name}</a>'
            st.container(key="source_name").html(link)
        if about:
            st.caption(about)
        say_ignored(
            addresses.unknown(st.session_state.get(PAGE, ""), st.query_params.to_dict()), "does not know"
        )


def warn_at_top(text: str) -> None:
    """Say below the heading what is wrong with something that the page can do without; once per run.

    text: Markdown.
    """
    if place := st.session_state.pop(TOP, None):
        place.warning(text, icon=":material/warning:")


def default_heading(results: Results | None = None) -> None:
    """Draw the menu's word for the page as its heading, if it has none yet: where it fails or ends early.

    Nothing can be drawn after `st.stop`. results: as for `heading`.
    """
    if PLACE in st.session_state:
        heading(results, st.session_state[PLACE][1])


def say(text: str) -> None:
    """Draw the sentence that says what the page's list holds now. Once per page. text: Markdown."""
    said().markdown(text)


def said() -> DeltaGenerator:
    """Return the place for what says what the list holds: readers of the screen are told when it changes.

    `components/keys.announce.js` does this. Once per page; `say` fills it with a sentence.
    """
    return st.container(key="said", width="content")


def guard() -> None:
    """Start over where a page runs without the shell; the first line of every page.

    A cold server runs a page of `pages/` that the address names without `app.py`, until `st.navigation` was
    called once.
    """
    if not st.session_state.get("_shell"):
        _navigate("hidden")
        st.rerun()
