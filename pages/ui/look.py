"""How large tiles are, and whether magnified pixels stay squares: one choice for every gallery.

It is in the address (`size`, `drawn`), and stays for the session: it says how to look, not at what.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

SIZES = {"s": 64, "m": 96, "l": 160}
"""Name in the address → pixels a tile aims at; 96 is three times the side of a CIFAR-10 image."""
PHONE = 84  # pixels, for two pairs side by side
DRAWN = ("pixels", "smooth")
DEFAULTS = {"size": "m", "drawn": DRAWN[0]}


def chosen(name: str) -> str:
    """Return the size or the way of drawing that the address asks for, or else the session's."""
    allowed = tuple(SIZES) if name == "size" else DRAWN
    asked = st.query_params.get(name, st.session_state.get(f"_{name}"))
    return asked if asked in allowed else DEFAULTS[name]


def rendering(of_tile: str) -> str:
    """Return the CSS rendering of an image, whose tile has one of `gallery.tile_size`."""
    return "auto" if chosen("drawn") == "smooth" else of_tile


def keep(key: str) -> None:
    """Put what was chosen in a gallery into the session and the address. key: of the gallery."""
    drawn = st.session_state.get(key)
    look: dict[str, Any] | None = drawn and drawn.look  # none if the page was left meanwhile
    for name, default in DEFAULTS.items():
        if look and name in look:
            st.session_state[f"_{name}"] = str(look[name])
            if look[name] == default:
                st.query_params.pop(name, None)
            else:
                st.query_params[name] = str(look[name])
