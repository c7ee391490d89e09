"""The cache folder: results keyed by content, safe to delete at any time, safe with several writers.

    cache/<kind>/<key>.safetensors    one entry: named arrays; its metadata "entry" is JSON that describes it
    cache/locks/<key>.lock            held while an entry is built; saves work, but nothing depends on it

A key is the SHA-256 of a canonical JSON text that names everything the entry depends on: hashes of files, the
spec, the format number. An entry is written to a unique name beside its place, flushed, and renamed to it, so
a reader sees a whole entry or none. Each entry holds the SHA-256 of its arrays, which is checked when it is
read, and again after a file's time or size changed if it is mapped. Whatever else stands in the place of an
entry, a folder or a dead link, is damage like any other: it is removed, and the entry computed again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import filelock
import numpy as np
import numpy.typing as npt

from kernel_core.errors import StoreError
from kernel_core.files import FileState, cache_root, replacing
from kernel_core.held import UNFINISHED, remove, remove_abandoned
from kernel_core.progress import Progress, no_progress
from kernel_core.tensor_files import DAMAGE, ArrayWriter, arrays_in_memory, mapped_arrays
from kernel_core.tensor_layout import Form, Layout, digest_of_arrays, digest_of_file, header_of, read_layout

FORMAT = 2
SUFFIX = ".safetensors"
CACHEDIR_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Everything here can be computed again.\n"
LACKING = (errno.ENOMEM, errno.EMFILE, errno.ENFILE)  # memory or free file numbers: no fault of an entry
log = logging.getLogger("kernel_core")

Arrays = Mapping[str, npt.NDArray[Any]]
Entry = tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]  # arrays by name, and metadata


def key_of(content: Mapping[str, Any]) -> str:
    """Return the key of an entry that depends on `content`, plain JSON values, and on the format number.

    >>> key_of({"a": 1}) == key_of({"a": 1}), key_of({"a": 1}) == key_of({"a": 2})
    (True, False)
    """
    text = json.dumps({"format": FORMAT, **content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Store:
    """The cache folder at `root`, created when something is first written."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else cache_root()

    def path(self, kind: str, key: str) -> Path:
        """Return the place of an entry, whether or not it is there."""
        return self.root / kind / f"{key}{SUFFIX}"

    def has(self, kind: str, key: str) -> bool:
        """Return whether an entry is there, damaged or not; a folder in its place is none."""
        return os.path.isfile(self.path(kind, key))

    def read(self, kind: str, key: str) -> Entry | None:
        """Return the arrays, in memory, and the metadata of an entry, or None if there is none.

        A damaged entry is removed with a warning and counts as none, so that it is built again.
        """
        return self._opened(kind, key, self._read)

    def map(self, kind: str, key: str, name: str) -> npt.NDArray[Any] | None:
        """Return one array of an entry as `map_all` does, or None if there is no such entry."""
        entry = self.map_all(kind, key)
        return None if entry is None else entry[0][name]

    def map_all(self, kind: str, key: str) -> Entry | None:
        """Return the arrays of an entry as read-only maps of its file, and its metadata; None as `read`.

        The arrays may be gigabytes. They are compared with their checksum only if the file's size or time of
        change is not that of the last comparison or of its writing. That notices a file that a program
        changed or a copy damaged, but not a bit that the disk lost without a trace.
        """
        return self._opened(kind, key, self._map)

    def _opened(self, kind: str, key: str, open_entry: Callable[[Path, Layout, str], Arrays]) -> Entry | None:
        path = self.path(kind, key)
        if not _is_file(path):
            return None
        try:
            layout = read_layout(path)
            entry = json.loads(layout.metadata["entry"])
            if entry["key"] != key:
                raise ValueError("it is another entry")
            arrays = open_entry(path, layout, entry["sha256"])
        except FileNotFoundError:
            return None
        except DAMAGE as error:
            _discard(path, error)
            return None
        _mark_used(path)
        return dict(arrays), entry["meta"]

    def _read(self, path: Path, layout: Layout, sha256: str) -> Arrays:
        arrays = arrays_in_memory(path, layout)
        _refuse_other(sha256, digest_of_arrays(arrays))
        return arrays

    def _map(self, path: Path, layout: Layout, sha256: str) -> Arrays:
        state = FileState.of(path)
        if not self.has("hashes", _state_key(state)):
            with open(path, "rb") as file:
                _refuse_other(sha256, digest_of_file(file, layout.forms, layout.first))
            self._remember_checked(state)
        return mapped_arrays(path, layout)

    def write(self, kind: str, key: str, arrays: Arrays, meta: Mapping[str, Any], *, about: str) -> None:
        """Write an entry whole or not at all. Raises `StoreError` if the disk is full or read-only."""
        rows = {name: np.atleast_1d(arrays[name]) for name in sorted(arrays)}
        forms = {name: Form.of(array.shape, array.dtype) for name, array in rows.items()}
        with self._creating(kind, key, forms, meta, about) as writer:
            for name, array in rows.items():
                writer.write(name, 0, array)

    @contextlib.contextmanager
    def creating(
        self, kind: str, key: str, forms: Mapping[str, Form], meta: Mapping[str, Any], *, about: str
    ) -> Iterator[ArrayWriter]:
        """Yield what writes an entry of arrays of these forms, block by block; it is there at the end, whole.

        Blocks may come in any order and from several threads; in the order of names and rows, they are hashed
        on the way, otherwise the file is read once more. After an error there is no entry. `map_all` opens
        it without reading it. Raises what computing the blocks raises, and `StoreError` as `write`.
        """
        with self._creating(kind, key, forms, meta, about) as writer:
            yield writer
        with contextlib.suppress(OSError):  # it was removed already
            self._remember_checked(FileState.of(self.path(kind, key)))

    @contextlib.contextmanager
    def _creating(
        self, kind: str, key: str, forms: Mapping[str, Form], meta: Mapping[str, Any], about: str
    ) -> Iterator[ArrayWriter]:
        with self._writing(kind, key) as file:
            header = header_of(forms, _metadata(key, about, "0" * 64, meta))
            writer = ArrayWriter(file, forms, header)
            yield writer
            # Only now the checksum is known. The header keeps its length, as every checksum has 64 digits.
            header = header_of(forms, _metadata(key, about, writer.sha256(), meta))
            file.seek(0)
            file.write(header)

    def write_blocks(
        self,
        kind: str,
        key: str,
        name: str,
        shape: tuple[int, ...],
        blocks: Iterable[npt.NDArray[Any]],
        *,
        about: str,
        dtype: npt.DTypeLike = np.float16,
    ) -> None:
        """Write an entry of one array from an iterator of blocks, holding one block in memory.

        shape: of the whole array, which the blocks follow along the first axis. dtype: of the blocks. Raises
        what computing a block raises, and `StoreError` as `write` does.
        """
        rows = 0
        with self.creating(kind, key, {name: Form.of(shape, dtype)}, {}, about=about) as writer:
            for block in blocks:
                writer.write(name, rows, block)
                rows += len(block)

    def _remember_checked(self, state: FileState) -> None:
        with contextlib.suppress(StoreError):  # a read-only cache only costs another comparison
            self.write("hashes", _state_key(state), {}, {}, about=f"checksum compared: {state.path.name}")

    @contextlib.contextmanager
    def _writing(self, kind: str, key: str) -> Iterator[IO[bytes]]:
        """Yield the file of an entry; it takes its place at the end, or nothing changes."""
        path = self.path(kind, key)
        try:
            _make_folder(path.parent)
            self._tag()
            _is_file(path)  # a folder cannot be replaced
            with replacing(path) as temporary, open(temporary, "w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if error.errno == errno.ENOMEM:
                raise
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
        """Hold the right to build `key`, once no other process does. If this one dies, it is released.

        What killed builds left unfinished in the cache is removed first.
        """
        folder = self.root / "locks"
        try:
            _make_folder(folder)
            path = folder / f"{key}.lock"
            if path.is_dir():
                remove(path)
            lock = filelock.FileLock(path)
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
            remove_abandoned(self.unfinished())
            yield
        finally:
            with contextlib.suppress(OSError):  # those who wait notice, and make it anew
                path.unlink()
            lock.release()

    def unfinished(self) -> Iterator[Path]:
        """Yield every file that is being written to, or was when its process was killed."""
        return self.root.glob(f"*/*{SUFFIX}.*{UNFINISHED}")


def _refuse_other(expected: str, sha256: str) -> None:
    if sha256 != expected:
        raise ValueError("its content does not match its checksum")


def _metadata(key: str, about: str, sha256: str, meta: Mapping[str, Any]) -> dict[str, str]:
    entry = {"key": key, "about": about, "format": FORMAT, "sha256": sha256, "meta": dict(meta)}
    return {"entry": json.dumps(entry)}


def _state_key(state: FileState) -> str:
    """Return the key under which it is remembered that a file in this state matches its checksum."""
    path = state.path
    return key_of({"checked": [path.parent.name, path.name], "size": state.size, "changed": state.changed})


def _make_folder(folder: Path) -> None:
    """Make a folder of the cache; whatever else is in its place goes, as anything damaged."""
    if os.path.lexists(folder) and not folder.is_dir():
        _discard(folder, "it is not a folder")
    folder.mkdir(parents=True, exist_ok=True)


def _is_file(path: Path) -> bool:
    """Return whether an entry is a file; remove with a warning what else is in its place."""
    if os.path.isfile(path):
        return True
    if os.path.lexists(path):
        _discard(path, "it is not a file")
    return False


def _discard(path: Path, reason: object) -> None:
    """Remove a damaged entry with a warning. Raises `reason` if it says nothing of the entry."""
    if isinstance(reason, OSError) and reason.errno in LACKING:
        raise reason
    log.warning("the cache entry %s is damaged (%s); it is computed again", path, reason)
    with contextlib.suppress(OSError):
        remove(path)


def _mark_used(path: Path) -> None:
    """Note the time as that of the last access; the time of change tells whether the content did."""
    with contextlib.suppress(OSError):  # a read-only cache can still be read
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
