"""Files written whole or not at all, and told apart by their content."""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

UNFINISHED = ".tmp"  # how the name of a file being written ends


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


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal. Raises `OSError` if it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
