"""Folders in which libraries keep what they compute for themselves, where the home cannot be written.

Otherwise each library keeps its own place.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from kernel_core.errors import RequestError
from kernel_core.files import cache_root


def load_umap() -> type[Any]:
    """Return the class `UMAP`, loaded. It keeps compiled code in its own folder, the user's cache, or ours.

    Raises `RequestError` if none of them can be written.
    """
    try:
        return _umap()
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
    import numba

    numba.config.CACHE_LOCATOR_CLASSES = ""  # type: ignore[attr-defined]
    numba.config.CACHE_DIR = str(_own_folder("numba", "NUMBA_CACHE_DIR"))  # type: ignore[attr-defined]
    return _umap()


def _umap() -> type[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about optional parts that are not installed
        from umap import UMAP
    return UMAP  # type: ignore[no-any-return]


def prepare_matplotlib() -> None:
    """Let matplotlib, not yet loaded, keep its list of fonts in our cache if the home cannot be written."""
    if "MPLCONFIGDIR" in os.environ:
        return
    home = Path(os.path.expanduser("~"))
    if not os.access(home, os.W_OK | os.X_OK):
        os.environ["MPLCONFIGDIR"] = str(_own_folder("matplotlib", "MPLCONFIGDIR"))


def _own_folder(library: str, variable: str) -> Path:
    """Return a folder in the cache for a library's own files, which no other user can write.

    Code is among these files, and is run. Raises `RequestError`, which names `variable`, if there is none.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = cache_root() / f"{library}-{user}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
        ours = not hasattr(os, "getuid") or (status.st_uid == user and not status.st_mode & 0o022)
        reason = (
            "" if ours and os.access(folder, os.W_OK | os.X_OK) else "others may write there, or we may not"
        )
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise RequestError(
            f"{library} finds no folder for its own cache: neither the home nor {folder} can be used "
            f"({reason}). Set {variable}, or KERNEL_EXPLORER_CACHE, to a folder of yours that can be written."
        )
    return folder
