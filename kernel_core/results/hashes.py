"""Hashes of a source's files, which the cache remembers: a file that did not change is read once."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kernel_core.errors import StoreError
from kernel_core.results.store import Store, key_of
from kernel_core.run_hashes import runs_hashed, sha256_of_runs

TOGETHER = 500  # files that are remembered in one entry, where there are more than a few
A_FEW = 16


def hash_each(store: Store, files: Sequence[Path], run_count: int | None = None) -> list[str]:
    """Return the SHA-256 of each file's content, as `hash_files` of that file alone.

    run_count: number of runs that are used of files of runs; None for all.
    The cache remembers many files in entries of `TOGETHER`: 10,000 entries of their own would take it a
    minute. Raises `OSError` if a file cannot be read.
    """
    if len(files) <= A_FEW:
        return [hash_files(store, [path], run_count) for path in files]
    return [
        sha256
        for start in range(0, len(files), TOGETHER)
        for sha256 in _hash_batch(store, files[start : start + TOGETHER], run_count)
    ]


def _hash_batch(store: Store, files: Sequence[Path], run_count: int | None) -> list[str]:
    key = key_of({"each of": _state(files, run_count)})
    known = store.read("hashes", key)
    if known is not None:
        return list(known[1]["each"])
    hashes = [sha256_of_runs(path, run_count) for path in files]
    with contextlib.suppress(StoreError):
        about = f"hashes of {len(files)} files from {files[0]}"
        store.write("hashes", key, {}, {"each": hashes}, about=about)
    return hashes


def _state(files: Sequence[Path], run_count: int | None) -> list[list[Any]]:
    """Return what changes with a file: path, size, time, and how many of its runs are hashed if not all."""
    states: list[list[Any]] = []
    for path in files:
        status, hashed = path.stat(), runs_hashed(path, run_count)
        state = [str(path), status.st_size, status.st_mtime_ns]
        states.append(state if hashed is None else [*state, hashed])
    return states


def hash_files(store: Store, files: list[Path], run_count: int | None = None) -> str:
    """Return the SHA-256 of the files' names and contents.

    run_count: number of runs that are used of files of runs; None for all.
    The cache remembers it by the files' paths, sizes and times of change. Raises `OSError` if a file cannot
    be read.
    """
    key = key_of({"state": _state(files, run_count)})
    known = store.read("hashes", key)
    if known is not None:
        return str(known[1]["sha256"])
    if len(files) == 1:
        sha256 = sha256_of_runs(files[0], run_count)
    else:
        listing = "\n".join(f"{path.name} {sha256_of_runs(path, run_count)}" for path in files)
        sha256 = hashlib.sha256(listing.encode(errors="surrogateescape")).hexdigest()
    with contextlib.suppress(StoreError):  # a read-only cache only costs hashing again
        store.write(
            "hashes", key, {}, {"sha256": sha256}, about=f"hash of {files[0] if files else 'no file'}"
        )
    return sha256
