"""The edge to the browser: which hosts are answered, what a page may load, and what is shown of a failure."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

from kernel_core import crash
from kernel_core.errors import KernelExplorerError
from kernel_core.printable import NAME, printable
from pages.ui.read_only import is_read_only

# What Streamlit's front end needs, and no more: inline styles, the scripts of components from blobs, and
# the one line of script in its index.html, by its hash. No page may be shown inside another site's page.
POLICY = (
    "default-src 'self'; script-src 'self' blob: 'sha256-THxz9J9+wf7rhwR2YkXJoSZ13UCmYyC+3lNDv2+8ugA='; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def headers() -> dict[str, str]:
    """Return `HEADERS` or, where a site may show a read-only app in a frame, the same but for that."""
    framed_by = os.environ.get("KERNEL_EXPLORER_FRAMED_BY", "")
    if not framed_by or not is_read_only():
        return HEADERS
    policy = POLICY.replace("frame-ancestors 'none'", f"frame-ancestors {framed_by}")
    kept = {name: value for name, value in HEADERS.items() if name != "X-Frame-Options"}
    return {**kept, "Content-Security-Policy": policy}


class _Headers:
    """Add `headers` to every answer over HTTP."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.headers = app, headers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class _Hosts:
    """Refuse, in words, what comes under a name or from a page that is not allowed.

    Streamlit itself refuses strange hosts for websockets alone, and asks the internet for the machine's
    address before it refuses the page of another host.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = MutableHeaders(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        page = urlsplit(origin).netloc if origin is not None and scope["type"] == "websocket" else host
        strange = next((name for name in (host, page) if not is_host_allowed(name)), None)
        if strange is None:
            if scope["type"] == "websocket":
                del headers["origin"]  # it is allowed, whether or not it equals the host
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            logging.getLogger(__name__).warning(_refusal(strange))
            await send({"type": "websocket.close", "code": 1008})
        else:
            await PlainTextResponse(_refusal(strange), 400)(scope, receive, send)


def _refusal(name: str) -> str:
    """Return why a name is refused, and how to allow it."""
    shown = printable(urlsplit(f"//{name}").hostname or name, NAME)
    return (
        f"This server does not answer under the name {shown!r}. If you trust it, stop the server and start "
        f"it again with --allow {shlex.quote(shown)}, as in: kernel-explorer serve SOURCE --allow "
        f"{shlex.quote(shown)}"
    )


def middleware() -> list[Middleware]:
    """Return what stands before Streamlit's server: headers, and a refusal of hosts that are not allowed."""
    return [Middleware(_Headers), Middleware(_Hosts)]


@contextlib.asynccontextmanager
async def announced(_app: object) -> AsyncIterator[None]:
    """Print the line that `kernel-explorer serve` leaves to the server, which listens by now."""
    if line := os.environ.get("KERNEL_EXPLORER_ANNOUNCED"):
        with contextlib.suppress(OSError):  # stdout may be closed
            print(line, flush=True)
    yield


def show_failure(error: Exception) -> bool:
    """Show one line where a page, a callback or a fragment failed, and log it; details go to a file.

    A foreseen error shows its own message. Returns True, so that Streamlit shows no traceback.
    """
    foreseen = isinstance(error, KernelExplorerError)
    words = printable(error) if foreseen else f"This page failed. {crash.last_words(error, on_page=True)}"
    logging.getLogger(__name__).error(words)
    st.error(words, icon=":material/error:")
    return True
