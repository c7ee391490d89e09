"""The last net: an error that nobody foresaw becomes one line for the user, and a file with the details."""

from __future__ import annotations

import contextlib
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from kernel_core import __version__
from kernel_core.files import cache_root
from kernel_core.printable import printable
from kernel_core.shortage import is_shortage, words_of_shortage

KEPT = 20  # files of details; older ones are removed
LONGEST = 200_000  # characters of details; messages may quote a whole file
NAME, SUFFIX = "kernel-explorer-crash-", ".txt"
_PATH = "_kernel_explorer_details"  # attribute of an error whose details have been written


def last_words(error: BaseException, *, on_page: bool = False) -> str:
    """Return the one line that a user sees of an unexpected error, and write its details to a file.

    The line says what failed and where the details are. on_page: a page of the server failed. Nothing is
    raised.
    """
    path = write_details(error)
    details = f" Details for a report: {path}." if path else ""
    if is_shortage(error):
        return printable(f"{words_of_shortage(error, on_page=on_page)}{details}")
    return printable(f"Unexpected error: {_first_line(error)}.{details}")


def write_details(error: BaseException) -> Path | None:
    """Write traceback, versions, platform and command to a file, once per error; return its path.

    The file is in the cache's folder `crashes`, or in the temporary folder if the cache cannot be written.
    The newest `KEPT` are kept. Returns None if neither folder can be written.
    """
    known: Path | None = getattr(error, _PATH, None)
    if known is not None:
        return known
    folders: tuple[Callable[[], Path], ...] = (
        lambda: cache_root() / "crashes",
        lambda: Path(tempfile.gettempdir()),
    )
    for folder in folders:
        # Nothing may be raised here. RuntimeError is what `expanduser` raises for a user without a home.
        with contextlib.suppress(OSError, RuntimeError, MemoryError):
            return _remember(error, _write(folder(), _details(error)))
    return None


def _write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    now = time.strftime(f"{NAME}%Y%m%d-%H%M%S-")
    with tempfile.NamedTemporaryFile(
        "w", prefix=now, suffix=SUFFIX, dir=folder, delete=False, encoding="utf-8", errors="backslashreplace"
    ) as file:
        file.write(text)
    for old in sorted(folder.glob(f"{NAME}*{SUFFIX}"))[:-KEPT]:
        with contextlib.suppress(OSError):  # another process was quicker, or it is another user's
            old.unlink()
    return Path(file.name).absolute()


def _remember(error: BaseException, path: Path) -> Path:
    with contextlib.suppress(AttributeError, TypeError):  # an error with slots
        setattr(error, _PATH, path)
    return path


def _details(error: BaseException) -> str:
    loaded = {
        name: sys.modules[name] for name in ("numpy", "torch", "pandas", "streamlit") if name in sys.modules
    }
    versions = [f"{name} {getattr(module, '__version__', '?')}" for name, module in loaded.items()]
    lines = [
        f"kernel-explorer {__version__}, Python {platform.python_version()}, {', '.join(versions)}",
        platform.platform(),
        f"command: {sys.argv}",
        f"time: {time.strftime('%Y-%m-%d %H:%M:%S %z')}",
        "",
    ]
    trace = "".join(traceback.format_exception(error))
    return "\n".join(lines) + trace[-LONGEST:]


def _first_line(error: BaseException) -> str:
    """Return type and first line of an error's message, without a full stop."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # noqa: BLE001 (an error whose message cannot be made)
        lines = []
    words = printable(lines[0], 400).rstrip(".") if lines else ""
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
