"""Hashes of a source's files, compared with what the Hub promised."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from kernel_core.errors import DataError
from kernel_core.files import regular_file
from kernel_core.results.hashes import hash_each, hash_files
from kernel_core.results.store import Store
from kernel_core.run_hashes import runs_hashed
from kernel_core.sources.hub import expected_sha256
from kernel_core.sources.hub_prefix import recorded_sha256


def hash_promised(store: Store, files: list[Path]) -> str:
    """Return the SHA-256 of files.

    Raises `DataError` if they cannot be read, or are not what the Hub promised.
    """
    with _unreadable_refused(files):
        sha256 = hash_files(store, files)
    if len(files) == 1:
        _refuse_unpromised(files[0], sha256)
    return sha256


def hash_each_promised(store: Store, files: Sequence[Path], run_count: int | None) -> list[str]:
    """Return the SHA-256 of each file of runs, as `hash_each`. Raises `DataError` as `hash_promised`."""
    with _unreadable_refused(files):
        hashes = hash_each(store, files, run_count)
    for path, sha256 in zip(files, hashes, strict=True):
        if runs_hashed(path, run_count) is None:
            _refuse_unpromised(path, sha256)
    return hashes


@contextlib.contextmanager
def _unreadable_refused(files: Sequence[Path]) -> Iterator[None]:
    for path in files:
        regular_file(path)
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{error.filename or files[0]} cannot be read ({error.strerror or error}); the source names it. "
            "Put it there, or correct the source."
        ) from None


def _refuse_unpromised(path: Path, sha256: str) -> None:
    promised = expected_sha256(path) or recorded_sha256(path)
    if promised and promised != sha256:
        raise DataError(
            f"{path} is damaged: its SHA-256 is {sha256[:12]}…, the Hub promised {promised[:12]}…. "
            "Delete it and run the command again to download it anew."
        )
