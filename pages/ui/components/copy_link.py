"""A button that copies the address of the page: the browser does it, without asking the server."""

from __future__ import annotations

from pages.ui.components.component import component


def copy_link(key: str) -> None:
    """Show the button. key: tells it from others on the page."""
    component("copy_link")(key=key, width="content")
