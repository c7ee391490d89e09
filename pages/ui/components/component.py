"""Load components, each with its markup, style and script in files beside its Python module."""

from __future__ import annotations

import functools
from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

FOLDER = Path(__file__).parent
USED = {"compare": ("pixels.js",), "review": ("pixels.js",)}
"""Component → scripts that it shares with others."""


@functools.cache
def component(name: str) -> ComponentRenderer:
    """Return Streamlit's renderer for the component in `name`.html, .css and .js; any of them may be missing.

    `theme.css` is put before its style, `shared.js` before its script; long ones have parts in `name`.*.css
    and `name`.*.js. The files are read once, when the component is first drawn. Text with a newline counts
    as inline, so Streamlit needs no manifest of assets.
    """
    return st.components.v2.component(
        f"kernel_explorer_{name}",
        html=read(f"{name}.html") or "<span></span>\n",
        css=read("theme.css") + read(f"{name}.css") + "".join(map(read, _parts(name, "css"))),
        js=script(name),
    )


def script(name: str) -> str:
    """Return a component's whole script: the shared prelude, what it shares, its parts, then `name`.js."""
    used = USED.get(name, ())
    return "".join(map(read, ["shared.js", *used, *_parts(name, "js"), f"{name}.js"]))


def _parts(name: str, ending: str) -> list[str]:
    return sorted(path.name for path in FOLDER.glob(f"{name}.*.{ending}"))


def style(name: str) -> str:
    """Return `name`.css as an element for `st.html`, for what is part of the page and not of a component."""
    return f"<style>{read(f'{name}.css')}</style>"


@functools.cache
def read(file: str) -> str:
    """Return the text of a file of this folder, empty if there is none."""
    path = FOLDER / file
    return path.read_text(encoding="utf-8") if path.exists() else ""
