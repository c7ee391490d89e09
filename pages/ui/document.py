"""The document that a page's address answers: Streamlit's, with our style, title and icon from the start.

Streamlit learns these from the first message over its websocket. Until then it lays the page out narrow, with
other paddings, and everything would move when they arrive: a third of all layout shift. Its app starts once
the font is here (components/start.js): in another font, rows of controls break into other lines.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import streamlit as st
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from pages.ui.components.component import read, style

STREAMLITS = Path(st.__file__).parent / "static" / "index.html"
APP = re.compile(r'<script type="module" crossorigin src="([^"]+)"></script>')
"""What starts Streamlit's app; the group is the address of its code."""
OURS = {
    "<title>Streamlit</title>": "<title>Kernel Explorer</title>",
    'href="./favicon.png"': f'href="data:image/svg+xml,{quote(read("icon.svg"))}"',
    "</head>": f'<script type="module" src="./start.js"></script>{style("page")}</head>',
}
"""What stands in Streamlit's document → what stands there in ours."""


@functools.cache
def document() -> str:
    """Return the document of every page. Raises `RuntimeError` if Streamlit's lacks what ours replaces."""
    text = STREAMLITS.read_text(encoding="utf-8")
    for theirs, ours in OURS.items():
        if text.count(theirs) != 1:
            raise RuntimeError(f"Streamlit's index.html was expected to contain {theirs!r} once")
        text = text.replace(theirs, ours)
    if len(APP.findall(text)) != 1:
        raise RuntimeError(f"Streamlit's index.html was expected to contain {APP.pattern} once")
    return APP.sub(r'<link rel="modulepreload" crossorigin data-app href="\1">', text)


def _answer(request: Request) -> HTMLResponse:
    return HTMLResponse(document(), headers={"Cache-Control": "no-cache"})


def _start(request: Request) -> Response:
    return Response(read("start.js"), media_type="text/javascript", headers={"Cache-Control": "no-cache"})


def routes(pages: Iterable[str]) -> list[Route]:
    """Return what answers the addresses of pages. pages: their names; the front page is also at /."""
    return [*(Route(f"/{name}", _answer) for name in ("", *pages)), Route("/start.js", _start)]
