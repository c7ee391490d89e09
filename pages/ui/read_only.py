"""A server that only shows: `kernel-explorer serve --read-only` starts it."""

from __future__ import annotations

import os

from kernel_core.errors import Unavailable

VARIABLE = "KERNEL_EXPLORER_READ_ONLY"
WHY = "This server only shows: nothing is built, trained or saved here."


def is_read_only() -> bool:
    """Return whether visitors can neither build, train nor save anything on this server."""
    return os.environ.get(VARIABLE, "") not in ("", "0")


def refuse() -> None:
    """Raise `Unavailable` on a read-only server; what builds or saves calls this first."""
    if is_read_only():
        raise Unavailable(f"{WHY} Start one without --read-only to do so.")
