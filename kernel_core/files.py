"""Files written completely or not at all, and recognized by their content; where the cache is."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from kernel_core.held import temporary_beside


def cache_root() -> Path:
    """Return the cache's folder.

    It is the one that KERNEL_EXPLORER_CACHE names, else `cache/` in a checkout, else one in the user's cache
    folder.
    """
    named = os.environ.get("KERNEL_EXPLORER_CACHE")
    if named:
        return Path(named).expanduser()
    checkout = Path(__file__).parent.parent
    if (checkout / "pyproject.toml").exists():
        return checkout / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "kernel-explorer"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a new file beside `path` to write to in place; on success, rename it to `path` in one step.

    After an error, `path` is as it was before and no other file is left. What a killed process left is
    removed by the next that writes `path`. Raises what the writing raises.
    """
    with temporary_beside(path) as temporary:
        yield temporary
        os.replace(temporary, path)


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
