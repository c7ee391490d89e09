"""Files and folders that a process holds while it works on them, so that those of dead processes can be told.

A holder keeps a lock on the file (`flock`), which the system takes back when the process ends, however it
ends. All processes under one kernel see it, in containers that share a folder too, whatever their process
numbers. Another machine may not see it over a network: its files bear the mark of another start of the system
in their names, and count as abandoned only after a day without a change. Where there are no such locks, all
do.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import shutil
import stat
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

UNFINISHED = ".tmp"  # the ending of a file's name while it is being written
MARK = 16  # hexadecimal digits of the system's mark in a name; as many random ones follow
DAY = 86_400  # seconds


@contextlib.contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """Yield a new empty file beside `path`, held until the end; then it is deleted if it is still there.

    Its name is unique, and ends in 32 hexadecimal digits and `.tmp`. Write to it in place. Files that dead
    processes left of the same `path` are deleted first. Raises `OSError` if it cannot be made.
    """
    remove_abandoned(path.parent.glob(f"{_literal(path.name)}.*{UNFINISHED}"))
    while True:
        temporary = path.with_name(f"{path.name}.{_mark()}{uuid.uuid4().hex[MARK:]}{UNFINISHED}")
        holder = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if _lock(holder, temporary):
            break
    try:
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if sys.platform != "win32":  # there `_lock` has closed it
            os.close(holder)


@contextlib.contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """Yield a new folder in the system's temporary folder, held until the end and removed then.

    purpose: a word for its name. Those that dead processes left for the same purpose are removed first.
    """
    place = Path(tempfile.gettempdir())
    remove_abandoned(place.glob(f"kernel-explorer-{purpose}-{'[0-9a-f]' * MARK}-*"))
    prefix = f"kernel-explorer-{purpose}-{_mark()}-"
    with _held_folder(lambda: Path(tempfile.mkdtemp(prefix=prefix))) as folder:
        yield folder


@contextlib.contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path`, held until the end; then it is removed if it is still there.

    It has the rights of any new folder, so that it can take the place of `path`. Folders that dead processes
    left of the same `path` are removed first. Raises `OSError` if it cannot be made.
    """
    remove_abandoned(path.parent.glob(f"{_literal(path.name)}.*{UNFINISHED}"))

    def make() -> Path:
        folder = path.with_name(f"{path.name}.{_mark()}{uuid.uuid4().hex[MARK:]}{UNFINISHED}")
        folder.mkdir()
        return folder

    with _held_folder(make) as folder:
        yield folder


@contextlib.contextmanager
def _held_folder(make: Callable[[], Path]) -> Iterator[Path]:
    """Yield a folder that `make` makes, held until the end and removed then."""
    holder, held = -1, False
    while not held:
        folder = make()
        if sys.platform == "win32":  # a folder cannot be opened there
            break
        holder = os.open(folder, os.O_RDONLY)
        held = _lock(holder, folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if held:
            os.close(holder)


def remove_abandoned(paths: Iterable[Path]) -> list[Path]:
    """Remove what is left of dead processes among files and folders that were held; return what is removed.

    What a living process holds stays, and so does what cannot be removed.
    """
    removed = []
    for path in paths:
        with contextlib.suppress(OSError):
            if _is_abandoned(path):
                remove(path)
                removed.append(path)
    return removed


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder, if it is there. Raises `OSError` if that is not possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@functools.cache
def _mark() -> str:
    """Return the mark of this start of the system, the same for all its processes."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        name = platform.node()
    return hashlib.sha256(name.encode()).hexdigest()[:MARK]


def _lock(holder: int, path: Path) -> bool:
    """Take the lock of an open file; close it and return False if somebody has removed `path` meanwhile."""
    if sys.platform == "win32":
        os.close(holder)  # an open file cannot be renamed there
        return True
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        return os.path.samestat(os.fstat(holder), path.stat())
    except FileNotFoundError:
        os.close(holder)
        return False


def _is_abandoned(path: Path) -> bool:
    """Return whether no living process can hold a file or folder, as far as the head of this module says."""
    status = path.lstat()
    is_old = time.time() - status.st_mtime > DAY
    is_plain = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
    if sys.platform == "win32" or not is_plain or _mark() not in path.name:
        return is_old
    tester = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(tester, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return is_old
    else:
        return True
    finally:
        os.close(tester)


def _literal(name: str) -> str:
    """Return a file's name as a pattern that matches it alone."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
