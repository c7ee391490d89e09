"""The cache folder: results keyed by content, safe to delete at any time, safe with several writers.

    cache/<kind>/<key>.safetensors    one entry: named arrays; metadata "entry" = JSON of what the entry holds
    cache/locks/<key>.lock            held while an entry is being built; only saves work, never needed for truth

A key is the SHA-256 of a canonical JSON text that names everything the entry depends on (hashes of files, spec,
format number). An entry is written to a unique name beside its place, flushed, and renamed over it: a reader sees
a whole entry or none. Each entry carries the SHA-256 of its arrays and is checked when read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
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

FORMAT = 2
SUFFIX = ".safetensors"
ALIGNED = 64  # bytes; where an array that is to be mapped begins, a multiple of these
CACHEDIR_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Everything here can be computed again.\n"
log = logging.getLogger("kernel_core")

Arrays = Mapping[str, npt.NDArray[Any]]


def key_of(content: Mapping[str, Any]) -> str:
    """The key of an entry that depends on `content` (plain JSON values) and on the format number.

    >>> key_of({"a": 1}) == key_of({"a": 1}), key_of({"a": 1}) == key_of({"a": 2})
    (True, False)
    """
    text = json.dumps({"format": FORMAT, **content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _digest(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class Entry:
    """One entry as listed: its kind and key, a few words on what it holds, its size and when it was last used."""

    kind: str
    key: str
    about: str
    bytes: int
    used: float  # seconds since the epoch
    path: Path


class Store:
    """The cache folder at `root`; the folder is made when something is first written."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else cache_root()

    def path(self, kind: str, key: str) -> Path:
        """Where the entry is, or would be."""
        return self.root / kind / f"{key}{SUFFIX}"

    def read(self, kind: str, key: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]] | None:
        """The arrays and the metadata of an entry, or None if there is none.

        A damaged entry counts as none: it is removed, with one warning, so that it is built again.
        """
        path = self.path(kind, key)
        try:
            with safe_open(path, framework="np") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
                meta = json.loads(file.metadata()["entry"])
            if meta["sha256"] != _digest(arrays) or meta["key"] != key:
                raise ValueError("its content does not match its checksum")
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            _discard(path, error)
            return None
        with contextlib.suppress(OSError):  # a read-only cache can still be read
            os.utime(path)
        return arrays, meta["meta"]

    def has(self, kind: str, key: str) -> bool:
        """Whether an entry is there; says nothing of its health."""
        return self.path(kind, key).exists()

    def write(self, kind: str, key: str, arrays: Arrays, meta: Mapping[str, Any], *, about: str) -> None:
        """Write an entry whole or not at all. Raises `StoreError` on a full or read-only disk."""
        entry = {"key": key, "about": about, "format": FORMAT, "sha256": _digest(arrays), "meta": dict(meta)}
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        with self._writing(kind, key) as file:
            file.write(save(contiguous, metadata={"entry": json.dumps(entry)}))

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
        """The same for one float16 array that comes in blocks along its first axis, of which one is held at a time.

        Together they must have `shape`. Raises what making a block raises, and `StoreError` as `write` does.
        """
        entry = {"key": key, "about": about, "format": FORMAT, "sha256": "0" * 64, "meta": {}}
        digest, rows = hashlib.sha256(name.encode()), 0
        with self._writing(kind, key) as file:
            file.write(_header(name, shape, entry))
            for block in blocks:
                assert block.dtype == np.float16
                assert block.shape[1:] == shape[1:]
                content = np.ascontiguousarray(block).data
                digest.update(content)
                file.write(content)
                rows += len(block)
            assert rows == shape[0], f"{rows} rows came, {shape[0]} were promised"
            file.seek(0)  # what the checksum is, is known at the end; the header's length is the same
            file.write(_header(name, shape, entry | {"sha256": digest.hexdigest()}))

    def map(self, kind: str, key: str, name: str) -> npt.NDArray[Any] | None:
        """One array of an entry as a read-only map of its file, or None if there is no such entry.

        Unlike `read` it does not look at the content, which may be gigabytes: a file cut short is found out, a
        flipped bit is not. A damaged entry counts as none and is removed, with one warning.
        """
        path = self.path(kind, key)
        try:
            with open(path, "rb") as file:
                length = int.from_bytes(file.read(8), "little")
                if length > path.stat().st_size:
                    raise ValueError("it is cut short")
                header = json.loads(file.read(length))
            tensor, entry = header[name], json.loads(header["__metadata__"]["entry"])
            start, stop = tensor["data_offsets"]
            if entry["key"] != key or path.stat().st_size < 8 + length + stop:
                raise ValueError("it is cut short, or another entry")
            dtype = {"F16": np.float16, "F32": np.float32}[tensor["dtype"]]
            shape, offset = tuple(tensor["shape"]), 8 + length + start
            mapped: npt.NDArray[Any] = np.memmap(path, dtype, "r", offset, shape)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            _discard(path, error)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return mapped

    @contextlib.contextmanager
    def _writing(self, kind: str, key: str) -> Iterator[IO[bytes]]:
        """The file of an entry being written; it takes its place at the end, or nothing changes."""
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
                f"cannot write to the cache {self.root} ({error.strerror or error}); nothing there was changed. "
                "Free some space, or name a folder that can be written in KERNEL_EXPLORER_CACHE."
            ) from None

    def _tag(self) -> None:
        """Mark the folder as a cache, so that backups leave it out (https://bford.info/cachedir/)."""
        tag = self.root / "CACHEDIR.TAG"
        if not tag.exists():
            tag.write_text(CACHEDIR_TAG)

    @contextlib.contextmanager
    def lock(self, key: str, progress: Progress = no_progress) -> Iterator[None]:
        """Hold the right to build `key`; waits while another process holds it. The system frees it if we die."""
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
                f"cannot lock the cache {self.root} ({error}). Name a folder that can be written in "
                "KERNEL_EXPLORER_CACHE."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def entries(self) -> list[Entry]:
        """Every entry, newest use first."""
        found = []
        for path in self.root.glob(f"*/*{SUFFIX}"):
            with contextlib.suppress(OSError):
                status = path.stat()
                about = _read_about(path)
                found.append(Entry(path.parent.name, path.stem, about, status.st_size, status.st_mtime, path))
        return sorted(found, key=lambda entry: -entry.used)

    def prune(self, days: float) -> list[Path]:
        """Remove what is damaged, of another format, left by a killed build, or unused for `days` days."""
        now = time.time()
        doomed = [e.path for e in self.entries() if not e.about or now - e.used > days * 86_400]
        doomed += [p for p in self._unfinished() if now - p.stat().st_mtime > 3_600]
        return self._remove(doomed)

    def clear(self) -> list[Path]:
        """Remove every entry; the folder and anything else in it stay."""
        return self._remove([*self.root.glob(f"*/*{SUFFIX}"), *self._unfinished()])

    def _unfinished(self) -> Iterator[Path]:
        """What a killed build may have left."""
        return self.root.glob(f"*/*{SUFFIX}.*{UNFINISHED}")

    def _remove(self, paths: list[Path]) -> list[Path]:
        try:
            for path in paths:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot remove {error.filename} ({error.strerror}); check its permissions."
            ) from None
        return paths


def _header(name: str, shape: tuple[int, ...], entry: Mapping[str, Any]) -> bytes:
    """How a safetensors file begins that holds one float16 array, padded so that the array's place is `ALIGNED`."""
    size = 2 * math.prod(shape)
    tensor = {"dtype": "F16", "shape": list(shape), "data_offsets": [0, size]}
    text = json.dumps({"__metadata__": {"entry": json.dumps(entry)}, name: tensor}).encode()
    text += b" " * (-(len(text) + 8) % ALIGNED)
    return len(text).to_bytes(8, "little") + text


def _discard(path: Path, error: Exception) -> None:
    log.warning("the cache entry %s is damaged (%s); it is computed again", path, error)
    with contextlib.suppress(OSError):
        path.unlink()


def _read_about(path: Path) -> str:
    """What an entry says of itself; empty for a damaged entry or one of another format."""
    try:
        with safe_open(path, framework="np") as file:
            entry = json.loads(file.metadata()["entry"])
        return str(entry["about"]) if entry["format"] == FORMAT else ""
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return ""


def hash_files(store: Store, files: list[Path]) -> str:
    """The SHA-256 of the files' names and contents, remembered in the cache by path, size and time of change.

    Raises `OSError` if a file cannot be read.
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
    with contextlib.suppress(StoreError):  # a read-only cache only costs the hashing again
        store.write("hashes", key, {}, {"sha256": sha256}, about=f"hash of {files[0]}")
    return sha256
