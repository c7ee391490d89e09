"""Hashes of a source's files, which the cache remembers: a file that did not change is read once."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from kernel_core.errors import StoreError
from kernel_core.files import sha256_of
from kernel_core.results.store import Store, key_of


def hash_files(store: Store, files: list[Path]) -> str:
    """Return the SHA-256 of the files' names and contents.

    The cache remembers it by the files' paths, sizes and times of change. Raises `OSError` if a file cannot
    be read.
    """
    state = [[str(path), (status := path.stat()).st_size, status.st_mtime_ns] for path in files]
    key = key_of({"state": state})
    known = store.read("hashes", key)
    if known is not None:
        return str(known[1]["sha256"])
    if len(files) == 1:
        sha256 = sha256_of(files[0])
    else:
        listing = "\n".join(f"{path.name} {sha256_of(path)}" for path in files)
        sha256 = hashlib.sha256(listing.encode(errors="surrogateescape")).hexdigest()
    with contextlib.suppress(StoreError):  # a read-only cache only costs hashing again
        store.write(
            "hashes", key, {}, {"sha256": sha256}, about=f"hash of {files[0] if files else 'no file'}"
        )
    return sha256
