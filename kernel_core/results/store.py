"""The cache folder: results keyed by content, safe to delete at any time, safe with several writers.

    cache/<kind>/<key>.safetensors    one entry: named arrays; its metadata "entry" is JSON that describes it
    cache/locks/<key>.lock            held while an entry is built; saves work, but nothing depends on it

A key is the SHA-256 of a canonical JSON text that names everything the entry depends on: hashes of files, the
spec, the format number. An entry is written to a unique name beside its place, flushed, and renamed to it, so
a reader sees a whole entry or none. Each entry holds the SHA-256 of its arrays, which is checked when it is
read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import filelock
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from kernel_core.errors import StoreError
from kernel_core.files import UNFINISHED, cache_root, replacing, sha256_of
from kernel_core.progress import Progress, no_progress
from kernel_core.tensor_files import float16_header, map_array

FORMAT = 2
SUFFIX = ".safetensors"
CACHEDIR_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Everything here can be computed again.\n"
DAMAGE = (SafetensorError, OSError, ValueError, KeyError, TypeError)  # what reading a damaged entry raises
log = logging.getLogger("kernel_core")

Arrays = Mapping[str, npt.NDArray[Any]]


def key_of(content: Mapping[str, Any]) -> str:
    """Return the key of an entry that depends on `content`, plain JSON values, and on the format number.

    >>> key_of({"a": 1}) == key_of({"a": 1}), key_of({"a": 1}) == key_of({"a": 2})
    (True, False)
    """
    text = json.dumps({"format": FORMAT, **content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Entry:
    """An entry as it is listed.

    about: what it holds, in a few words; empty if it is damaged or of another format. used: when it was last
    used, in seconds since the epoch.
    """

    kind: str
    key: str
    about: str
    bytes: int
    used: float
    path: Path


class Store:
    """The cache folder at `root`, created when something is first written."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else cache_root()

    def path(self, kind: str, key: str) -> Path:
        """Return the place of an entry, whether or not it is there."""
        return self.root / kind / f"{key}{SUFFIX}"

    def has(self, kind: str, key: str) -> bool:
        """Return whether an entry is there, damaged or not."""
        return self.path(kind, key).exists()

    def read(self, kind: str, key: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]] | None:
        """Return the arrays and the metadata of an entry, or None if there is none.

        A damaged entry is removed with a warning and counts as none, so that it is built again.
        """
        path = self.path(kind, key)
        try:
            with safe_open(path, framework="np") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
                entry = json.loads(file.metadata()["entry"])
            if entry["sha256"] != _digest(arrays) or entry["key"] != key:
                raise ValueError("its content does not match its checksum")
        except FileNotFoundError:
            return None
        except DAMAGE as error:
            _discard(path, error)
            return None
        _mark_used(path)
        return arrays, entry["meta"]

    def map(self, kind: str, key: str, name: str) -> npt.NDArray[Any] | None:
        """Return one array of an entry as a read-only map of its file, or None if there is no such entry.

        Unlike `read`, this does not check the array's content. An entry that is cut short is removed with a
        warning and counts as none.
        """
        path = self.path(kind, key)
        try:
            mapped, metadata = map_array(path, name)
            if json.loads(metadata["entry"])["key"] != key:
                raise ValueError("it is another entry")
        except FileNotFoundError:
            return None
        except DAMAGE as error:
            _discard(path, error)
            return None
        _mark_used(path)
        return mapped

    def write(self, kind: str, key: str, arrays: Arrays, meta: Mapping[str, Any], *, about: str) -> None:
        """Write an entry whole or not at all. Raises `StoreError` if the disk is full or read-only."""
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        with self._writing(kind, key) as file:
            file.write(save(contiguous, metadata=_metadata(key, about, _digest(arrays), meta)))

    def write_blocks(
        self,
        kind: str,
        key: str,
        name: str,
        shape: tuple[int, ...],
        blocks: Iterable[npt.NDArray[np.float16]],
        *,
        about: str,
    ) -> None:
        """Write an entry of one float16 array from an iterator of blocks, holding one block in memory.

        shape: of the whole array, which the blocks follow along the first axis. Raises what computing a block
        raises, and `StoreError` as `write` does.
        """
        digest, rows = hashlib.sha256(name.encode()), 0
        with self._writing(kind, key) as file:
            file.write(float16_header(name, shape, _metadata(key, about, "0" * 64, {})))
            for block in blocks:
                assert block.dtype == np.float16
                assert block.shape[1:] == shape[1:]
                content = np.ascontiguousarray(block).data
                digest.update(content)
                file.write(content)
                rows += len(block)
            assert rows == shape[0], f"{rows} rows came, {shape[0]} were promised"
            # Only now the checksum is known. The header keeps its length, as every checksum has 64 digits.
            file.seek(0)
            file.write(float16_header(name, shape, _metadata(key, about, digest.hexdigest(), {})))

    @contextlib.contextmanager
    def _writing(self, kind: str, key: str) -> Iterator[IO[bytes]]:
        """Yield the file of an entry; it takes its place at the end, or nothing changes."""
        path = self.path(kind, key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._tag()
            with replacing(path) as temporary, open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(
                f"Cannot write to the cache {self.root} ({error.strerror or error}); nothing there was "
                "changed. Free some space, or set KERNEL_EXPLORER_CACHE to a folder that can be written."
            ) from None

    def _tag(self) -> None:
        """Mark the folder as a cache, so that backups leave it out (https://bford.info/cachedir/)."""
        tag = self.root / "CACHEDIR.TAG"
        if not tag.exists():
            tag.write_text(CACHEDIR_TAG)

    @contextlib.contextmanager
    def lock(self, key: str, progress: Progress = no_progress) -> Iterator[None]:
        """Hold the right to build `key`, once no other process does. If this one dies, it is released."""
        folder = self.root / "locks"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(folder / f"{key}.lock")
            while True:
                try:
                    lock.acquire(timeout=2)
                    break
                except filelock.Timeout:
                    progress("waiting for another build of the same results", 0, 1)
        except (OSError, NotImplementedError) as error:
            raise StoreError(
                f"Cannot lock the cache {self.root} ({error}). "
                "Set KERNEL_EXPLORER_CACHE to a folder that can be written."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def entries(self) -> list[Entry]:
        """Return every entry, the last used first."""
        entries = []
        for path in self.root.glob(f"*/*{SUFFIX}"):
            with contextlib.suppress(OSError):
                status = path.stat()
                about = _read_about(path)
                entries.append(
                    Entry(path.parent.name, path.stem, about, status.st_size, status.st_mtime, path)
                )
        return sorted(entries, key=lambda entry: -entry.used)

    def prune(self, days: float) -> list[Path]:
        """Remove entries that are damaged, of another format, or unused for `days` days; return their paths.

        Files older than an hour that a killed build left unfinished are removed too.
        """
        now = time.time()
        paths = [
            entry.path for entry in self.entries() if not entry.about or now - entry.used > days * 86_400
        ]
        paths += [path for path in self._unfinished() if now - path.stat().st_mtime > 3_600]
        return self._remove(paths)

    def clear(self) -> list[Path]:
        """Remove every entry, and return the removed paths; the folder and anything else in it stay."""
        return self._remove([*self.root.glob(f"*/*{SUFFIX}"), *self._unfinished()])

    def _unfinished(self) -> Iterator[Path]:
        return self.root.glob(f"*/*{SUFFIX}.*{UNFINISHED}")

    def _remove(self, paths: list[Path]) -> list[Path]:
        try:
            for path in paths:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"Cannot remove {error.filename} ({error.strerror}); check its permissions."
            ) from None
        return paths


def _digest(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def _metadata(key: str, about: str, sha256: str, meta: Mapping[str, Any]) -> dict[str, str]:
    entry = {"key": key, "about": about, "format": FORMAT, "sha256": sha256, "meta": dict(meta)}
    return {"entry": json.dumps(entry)}


def _discard(path: Path, error: Exception) -> None:
    log.warning("the cache entry %s is damaged (%s); it is computed again", path, error)
    with contextlib.suppress(OSError):
        path.unlink()


def _mark_used(path: Path) -> None:
    with contextlib.suppress(OSError):  # a read-only cache can still be read
        os.utime(path)


def _read_about(path: Path) -> str:
    """Return the description that an entry holds; empty if it is damaged or of another format."""
    try:
        with safe_open(path, framework="np") as file:
            entry = json.loads(file.metadata()["entry"])
        return str(entry["about"]) if entry["format"] == FORMAT else ""
    except DAMAGE:
        return ""


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
        sha256 = hashlib.sha256(listing.encode()).hexdigest()
    with contextlib.suppress(StoreError):  # a read-only cache only costs hashing again
        store.write("hashes", key, {}, {"sha256": sha256}, about=f"hash of {files[0]}")
    return sha256
