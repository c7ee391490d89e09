"""What tells the runs in a file from others: the SHA-256 of the file, or of those runs that are used."""

from __future__ import annotations

import hashlib
from pathlib import Path

from kernel_core.array_files import Stored, form_of, open_arrays
from kernel_core.errors import DataError
from kernel_core.files import sha256_of

WHOLE = 2_000_000_000  # bytes; a file that is no larger is hashed whole, in a second or two
AT_A_TIME = 1 << 24  # bytes


def runs_hashed(path: Path, run_count: int | None) -> int | None:
    """Return how many of a file's first runs stand for it; None for the whole file.

    run_count: number of runs that are used; None for all. Those of a large `.npy` (runs, …) lie together:
    hashing the rest would take minutes, and tell nothing of them.
    """
    stored = _stored(path) if run_count is not None and path.stat().st_size > WHOLE else None
    return run_count if run_count is not None and stored and run_count < stored.shape[0] else None


def sha256_of_runs(path: Path, run_count: int | None) -> str:
    """Return the SHA-256 of a file, in hexadecimal; of its form and first runs where `runs_hashed` says so.

    Raises `OSError` if it cannot be read.
    """
    hashed = runs_hashed(path, run_count)
    if hashed is None:
        return sha256_of(path)
    stored = _stored(path)
    assert stored is not None
    found = hashlib.sha256(f"{hashed} of {stored.dtype.str} {stored.shape[1:]}".encode())
    left = hashed * stored.mapped()[0].nbytes
    with open(path, "rb") as file:
        file.seek(stored.start)
        while left and (block := file.read(min(left, AT_A_TIME))):
            found.update(block)
            left -= len(block)
    return found.hexdigest()


def _stored(path: Path) -> Stored | None:
    """Return the array of a `.npy`, run after run; None for another file, which its reader speaks of."""
    try:
        found = open_arrays(path, "logits").find("") if form_of(path) == "npy" else None
    except DataError:
        return None
    return found if isinstance(found, Stored) and not found.fortran and len(found.shape) > 1 else None
