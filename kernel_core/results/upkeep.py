"""Upkeep of the cache folder: list its entries, remove some or all, and what dead processes left."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock

from kernel_core.errors import StoreError
from kernel_core.held import remove, remove_abandoned
from kernel_core.results.store import FORMAT, SUFFIX, Store
from kernel_core.tensor_files import DAMAGE
from kernel_core.tensor_layout import read_layout


@dataclass(frozen=True)
class Entry:
    """An entry as it is listed.

    about: what it holds, in a few words; empty if it is damaged, of another format, or not a file. used: when
    it was last used, in seconds since the epoch.
    product: how the rows of neighbors were multiplied; None of other entries, and of given neighbors.
    """

    kind: str
    key: str
    about: str
    bytes: int
    used: float
    path: Path
    product: str | None = None


def list_entries(store: Store) -> list[Entry]:
    """Return every entry, the last used first. Raises `StoreError` if the cache is not a folder."""
    return sorted(_entries(store), key=lambda entry: -entry.used)


def prune(store: Store, days: float) -> list[Path]:
    """Remove entries that are damaged, of another format, or unused for `days` days; return their paths.

    What killed builds left is removed too. Raises `StoreError` if a file cannot be removed.
    """
    now = time.time()
    paths = [e.path for e in list_entries(store) if not e.about or now - e.used > days * 86_400]
    return [*_remove(paths), *_remove_leftovers(store)]


def clear(store: Store) -> list[Path]:
    """Remove every entry, and which products were found fastest here; return the removed paths.

    The folder and anything else in it stay, so do files that builds are writing. Raises `StoreError` if a
    file cannot be removed.
    """
    paths = [entry.path for entry in list_entries(store)]
    return [*_remove([*paths, *store.root.glob("products/*.json")]), *_remove_leftovers(store)]


def _entries(store: Store) -> Iterator[Entry]:
    if store.root.exists() and not store.root.is_dir():
        raise StoreError(
            f"The cache {store.root} is not a folder. Set KERNEL_EXPLORER_CACHE to a folder that can be "
            "written."
        )
    for path in store.root.glob(f"*/*{SUFFIX}"):
        with contextlib.suppress(OSError):  # it was removed meanwhile
            status = path.lstat()
            used = max(status.st_atime, status.st_mtime)
            about, product = _read_about(path)
            with contextlib.suppress(OSError):  # looking at it is no use; a read-only cache is listed too
                os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)
            yield Entry(path.parent.name, path.stem, about, status.st_size, used, path, product)


def _read_about(path: Path) -> tuple[str, str | None]:
    """Return what an entry says that it holds, and by which product; see `Entry`."""
    if not os.path.isfile(path):
        return "", None
    try:
        entry = json.loads(read_layout(path).metadata["entry"])
        return (
            (str(entry["about"]), entry["meta"].get("product")) if entry["format"] == FORMAT else ("", None)
        )
    except DAMAGE:
        return "", None


def _remove(paths: Iterable[Path]) -> list[Path]:
    removed = []
    for path in paths:
        try:
            remove(path)
        except FileNotFoundError:  # another process was quicker
            continue
        except OSError as error:
            raise StoreError(
                f"Cannot remove {error.filename} ({error.strerror}); check its permissions."
            ) from None
        removed.append(path)
    return removed


def _remove_leftovers(store: Store) -> list[Path]:
    """Remove what killed builds left: unfinished files, and files of locks, which are not counted."""
    for path in store.root.glob("locks/*.lock"):
        with contextlib.suppress(OSError, filelock.Timeout), filelock.FileLock(path, timeout=0):
            path.unlink(missing_ok=True)
    return remove_abandoned(store.unfinished())
