"""Files written completely or not at all, recognized by their content, and read only if they are files.

Also: where the cache is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from kernel_core.errors import DataError
from kernel_core.held import temporary_beside, temporary_folder

TEXT_LIMIT = 10_000_000  # bytes; a description in TOML or JSON has a few thousand
HUGE = 1 << 30  # bytes; smaller files are not compared with the size of their disk
KINDS = (  # of what is no regular file: test of its mode, and what to call it
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def cache_root() -> Path:
    """Return the cache's folder.

    It is the one that KERNEL_EXPLORER_CACHE names, else `cache/` in a checkout, else one in the user's cache
    folder.
    """
    named = os.environ.get("KERNEL_EXPLORER_CACHE")
    if named:
        return Path(os.path.expanduser(named))
    checkout = Path(__file__).parent.parent
    if (checkout / "pyproject.toml").exists():
        return checkout / "cache"
    return Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME", "~/.cache"))) / "kernel-explorer"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a new file to write to in place; on success, it becomes what `path` leads to, in one step.

    After an error, `path` is as it was before and no other file is left. What a killed process left is
    removed by the next that writes `path`. A link stays, and what it leads to is replaced; a pipe or a device
    is never replaced, but written to. Raises what the writing raises.
    """
    if _is_special(path):
        with temporary_folder("output") as folder:
            yield folder / path.name
            with open(folder / path.name, "rb") as content, open(path, "wb") as output:
                shutil.copyfileobj(content, output)
        return
    path = Path(os.path.realpath(path))
    with temporary_beside(path) as temporary:
        yield temporary
        os.replace(temporary, path)


def _is_special(path: Path) -> bool:
    """Return whether a path leads to what is neither a file nor a folder."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def regular_file(path: Path) -> Path:
    """Return the path of a regular file, or of a link to one. Whatever a source names passes here first.

    Raises `DataError` for anything else. Reading a pipe or a device might never end.
    """
    try:
        found = _kind_unless_regular(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else error
        problem = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({reason})"
        raise DataError(f"{path} {problem}; expected a file. Put it there, or correct the path.") from None
    if found:
        raise DataError(f"{path} is {found}; expected a file. Put one there, or correct the path.")
    return path


def _kind_unless_regular(path: Path) -> str:
    """Return what a path leads to, or an empty text for a regular file. Raises `OSError` or `ValueError`.

    A file larger than its disk has content that is not stored; reading it might take hours.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        return next((name for test, name in KINDS if test(status.st_mode)), "no file")
    if status.st_size > HUGE and 0 < (disk := shutil.disk_usage(path).total) < status.st_size:
        return f"{status.st_size / 1e9:,.0f} GB on a disk of {disk / 1e9:,.0f} GB"
    return ""


def read_text(path: Path) -> str:
    """Return the text of a small UTF-8 file, without its byte order mark if there is one.

    Raises `OSError` if it cannot be read, and `ValueError` if it is no regular file, larger than
    `TEXT_LIMIT`, or not UTF-8.
    """
    found = _kind_unless_regular(path)
    if found:
        raise ValueError(f"it is {found}; expected a file")
    size = path.stat().st_size
    if size > TEXT_LIMIT:
        raise ValueError(f"it has {size / 1e6:,.0f} MB; expected at most {TEXT_LIMIT / 1e6:.0f}")
    return path.read_bytes().decode("utf-8-sig")  # line ends as they are; a byte order mark is left out


def read_json(path: Path) -> Any:
    """Return the content of a small JSON file. Raises `OSError`, or `ValueError` if it is malformed."""
    try:
        return json.loads(read_text(path))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


@dataclass(frozen=True)
class FileState:
    """The state of a file at some moment: enough to see whether it was written to since.

    size: in bytes. changed: time of the last change, in nanoseconds since the epoch.
    """

    path: Path
    size: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> FileState:
        """Return the present state of a file. Raises `OSError` if that is not possible."""
        status = path.stat()
        return cls(path, status.st_size, status.st_mtime_ns)

    def unchanged(self) -> bool:
        """Return whether the file is still in this state."""
        try:
            return FileState.of(self.path) == self
        except OSError:
            return False


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal. Raises `OSError` if it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file that replaces `path` once it is complete and on the disk; make its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_new_json(path: Path, content: Any) -> None:
    """Write plain values as JSON unless there is a file already, which stays: the first writer's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_beside(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        try:
            os.link(temporary, path)  # unlike a rename, it replaces nothing
        except FileExistsError:
            pass
        except OSError:  # a file system without such links
            os.replace(temporary, path)


def write_json(path: Path, content: Any) -> None:
    """Write plain values as JSON, indented for people to read."""
    with writing(path) as file:
        file.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
