"""Files that a worker must have with the same content as the machine of the command."""

from __future__ import annotations

import contextlib
import functools
import socket
from collections.abc import Sequence
from pathlib import Path

from kernel_core.errors import DataError, StoreError
from kernel_core.files import FileState, regular_file
from kernel_core.results.store import Store, key_of
from kernel_core.run_hashes import runs_hashed, sha256_of_runs

LARGE = 64_000_000  # bytes; reading a smaller file again takes less than remembering it
FILES = 4096  # whose hash a process remembers


def check_files(
    paths: Sequence[Path], hashes: Sequence[str], cache: Path, run_count: int | None = None
) -> None:
    """Raise `DataError` unless the files are here, with the content of these SHA-256.

    run_count: number of runs that are used of files of runs; None for all.
    As long as its size and its time of change stay the same, each process reads a file once; the processes
    of one node read a large file once, as long as they have the cache's folder.
    """
    for path, expected in zip(paths, hashes, strict=True):
        regular_file(path)
        try:
            found = _sha256(FileState.of(path), cache, runs_hashed(path, run_count))
        except OSError as error:
            raise DataError(
                f"{path} cannot be read ({error.strerror or error}). Let every node read it."
            ) from None
        if found != expected:
            raise DataError(
                f"{path} has the SHA-256 {found[:12]}…, but on the machine of the command {expected[:12]}…. "
                "Copy it anew, or put it on a shared disk."
            )


@functools.lru_cache(maxsize=FILES)
def _sha256(state: FileState, cache: Path, run_count: int | None) -> str:
    if state.size < LARGE or not cache.is_dir():
        return sha256_of_runs(state.path, run_count)
    runs = [] if run_count is None else [run_count]
    # The name of the node is part of the key: a copy of the file may be a bad one where the cache is shared.
    store, key = (
        Store(cache),
        key_of({"on": _this_node(), "state": [str(state.path), state.size, state.changed, *runs]}),
    )
    known = store.read("hashes", key)
    if known is not None:
        return str(known[1]["sha256"])
    sha256 = sha256_of_runs(state.path, run_count)
    with contextlib.suppress(StoreError):
        store.write("hashes", key, {}, {"sha256": sha256}, about=f"hash of {state.path} on a node")
    return sha256


@functools.cache
def _this_node() -> list[str]:
    """Return what tells this machine from others: its name, and that of its start where there is one."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return [socket.gethostname(), boot.read_text().strip() if boot.exists() else ""]
