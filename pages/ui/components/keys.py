"""Keyboard shortcuts, the same on every page: one component listens for all of them.

A key clicks the first element present that it stands for: a Streamlit button with that `key`, or an element
of a component with the attribute `data-hotkey`. A page gets "next" and "previous" by having buttons
with these keys.
"""

from __future__ import annotations

from pages.ui.components.component import component

STEPS = ".st-key-next button, .st-key-previous button"
GRID, MAP, THRESHOLD = ".gallery a.tile", ".map .view", ".threshold .grip"
CHOICE = ".gallery .check"
KEYS = (
    ("n or →", "next: example, pair, or window of ranks", STEPS),
    ("p or ←", "previous", STEPS),
    ("arrows in a grid", "walk from tile to tile; ↑ from a pair's tile leads to its comparison", GRID),
    ("o", "open the focused tile, or the first one", GRID),
    ("Enter", "open the focused tile", GRID),
    ("Space", "select the focused tile; with Shift, all from the last selected to it", CHOICE),
    ("Escape in a grid", "clear the selection, then end selecting", CHOICE),
    ("Space in a grid", "select the focused example; Escape ends selecting", ".gallery .check"),
    ("f", "flip between the two images of a pair", "[data-hotkey=f]"),
    ("1 … 5", "judge the item, and go to the next", "[data-hotkey='1']"),
    ("u", "take the last verdict back", "[data-hotkey=u]"),
    ("arrows on the map", "move it; Enter opens the example in its middle", MAP),
    ("+ − 0 on the map", "zoom in, zoom out, show all of it", MAP),
    ("arrows on the threshold", "move it by 1% of the range; with Shift by 0.1%", THRESHOLD),
    ("Home or End on the threshold", "move it to an end", THRESHOLD),
    ("b", "back to where you were", ""),
    ("?", "show these keys; Escape hides them", ""),
)
"""Key, what it does, and what must be on the page for it to do so, as a selector; as listed by `?`."""


def listen() -> None:
    """Listen for the keys on this page. The shell calls this once."""
    component("keys")(key="keys", data={"keys": KEYS})
