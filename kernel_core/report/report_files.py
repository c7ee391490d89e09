"""The files of a report, written all or none; other files of the folder are left alone."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kernel_core.errors import RequestError, Unavailable
from kernel_core.files import replacing


def refuse_unwritable(out: Path) -> None:
    """Raise `RequestError` if the folder cannot be written, before anything is computed; create nothing."""
    existing = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise RequestError(f"Cannot write to {out}: {existing} takes no files. Choose another --out.")


def json_text(content: Any) -> str:
    """Return plain values as JSON, indented for people to read."""
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def indices_text(indices: list[int]) -> str:
    """Return a list of indices, one a line."""
    return "".join(f"{index}\n" for index in indices)


def write_files(out: Path, contents: Mapping[str, str | bytes]) -> list[Path]:
    """Write files to a folder, text as UTF-8, and return their paths.

    All are complete beside their places before the first takes its place. Raises `Unavailable` if one cannot
    be written; then none was.
    """
    paths = [out / name for name in contents]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            for path, content in zip(paths, contents.values(), strict=True):
                temporary = stack.enter_context(replacing(path))
                raw = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
                temporary.write_bytes(raw)
    except OSError as error:
        raise Unavailable(
            f"Cannot write to {out} ({error.strerror or error}). Choose another --out."
        ) from None
    return paths
