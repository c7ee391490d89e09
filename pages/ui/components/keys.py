"""Keyboard shortcuts, the same on every page: one component listens for all of them.

A key clicks the first element present that it stands for: a Streamlit button with that `key`, or an element
of a component with the attribute `data-hotkey`. A page gets "next" and "previous" by having buttons
with these keys.
"""

from __future__ import annotations

from pages.ui.components.component import component

# Keys → what they do, as listed by `?`.
KEYS = {
    "n or →": "next: example, pair, or window of ranks",
    "p or ←": "previous",
    "arrows in a grid": "walk from tile to tile; ↑ from a pair's tile leads to its comparison",
    "Enter or o": "open the focused tile, or the first one",
    "f": "flip between the two images of a pair",
    "b": "back to where you were",
    "?": "show and hide these keys",
}


def listen() -> None:
    """Listen for the keys on this page. The shell calls this once."""
    component("keys")(key="keys", data={"keys": list(KEYS.items())})
