"""Files written whole or not at all, and told apart by their content."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

UNFINISHED = ".tmp"  # how the name of a file being written ends


def cache_root() -> Path:
    """The folder named by KERNEL_EXPLORER_CACHE, else `cache/` of the checkout, else one in the user's cache."""
    named = os.environ.get("KERNEL_EXPLORER_CACHE")
    if named:
        return Path(named).expanduser()
    checkout = Path(__file__).parent.parent
    if (checkout / "pyproject.toml").exists():
        return checkout / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "kernel-explorer"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A unique name beside `path` to write to; what is there at the end takes `path`'s place at once.

    Whatever goes wrong, `path` stays as it was and nothing stays beside it. Raises what writing raises.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}{UNFINISHED}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class FileState:
    """A file as it was at some moment: enough to see that it was written to since."""

    path: Path
    size: int  # bytes
    changed: int  # nanoseconds since the epoch

    @classmethod
    def of(cls, path: Path) -> FileState:
        """The file as it is now. Raises `OSError` if it cannot be looked at."""
        status = path.stat()
        return cls(path, status.st_size, status.st_mtime_ns)

    def unchanged(self) -> bool:
        """Whether the file still is as it was."""
        try:
            return FileState.of(self.path) == self
        except OSError:
            return False


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal. Raises `OSError` if it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes `path`'s place once it is whole and on the disk; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, open(temporary, "xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, content: Any) -> None:
    """Plain values as JSON to be read by people too."""
    with writing(path) as file:
        file.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
