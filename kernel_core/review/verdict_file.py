"""The file of verdicts: JSON Lines that is only ever added to, by several programs and people at once.

A writer holds a lock beside the file while it adds whole lines, and flushes them to the disk before it says
that they are saved. A line that cannot be completed is taken back. Readers take no lock: they read complete
lines only, and only those that are new. Lines that are no verdicts are reported, and stay in the file.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from pathlib import Path

import filelock

from kernel_core.errors import DataError, Unavailable
from kernel_core.files import regular_file
from kernel_core.review.verdicts import Verdict

PATIENCE = 10  # seconds that a writer waits for another one
TAIL = 64  # bytes before the place read so far, by which a file that was rewritten is told
LONGEST_LINE = 1_000_000  # bytes
NAMED = 3  # problems that a message names


class VerdictFile:
    """The verdicts in one file, read as it grows. Safe to use from several threads.

    path: of the file, which need not be there yet. verdicts: all lines so far, in order. problems: what is
    wrong with lines that are no verdicts, with their numbers.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = threading.RLock()
        self._forget()

    def _forget(self) -> None:
        self.verdicts: list[Verdict] = []
        self.problems: list[str] = []
        self.generation = getattr(self, "generation", -1) + 1  # grows when the file was replaced
        self._ids: set[str] = set()
        self._offset, self._lines, self._tail, self._unfinished = 0, 0, b"", b""
        self._status: os.stat_result | None = None

    def read(self) -> list[Verdict]:
        """Return all verdicts; read what was added since the last time.

        Raises `DataError` if the file cannot be read or is no file.
        """
        with self._guard:
            if not os.path.lexists(self.path):
                if self._offset:
                    self._forget()
                return self.verdicts
            try:
                with open(regular_file(self.path), "rb") as file:
                    status = os.fstat(file.fileno())
                    if self._was_replaced(file.fileno(), status):
                        self._forget()
                    self._status = status
                    file.seek(self._offset)
                    self._take(file.read())
            except OSError as error:
                raise DataError(
                    f"{self.path} cannot be read ({error.strerror}). Make it readable, or choose another "
                    "file of verdicts with --verdicts."
                ) from None
            return self.verdicts

    def append(self, verdicts: Iterable[Verdict]) -> None:
        """Add verdicts to the end of the file; return when they are on the disk. Known ids are left out.

        Raises `Unavailable` if that is not possible; then none is added.
        """
        with self._guard:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with filelock.FileLock(f"{self.path}.lock", timeout=PATIENCE):
                    self.read()
                    self._write([verdict for verdict in verdicts if verdict.id not in self._ids])
                    self.read()
            except filelock.Timeout:
                raise Unavailable(
                    f"Another program has held {self.path} for {PATIENCE} seconds; nothing was saved. Close "
                    "it, and try again."
                ) from None
            except OSError as error:
                raise Unavailable(
                    f"Cannot save verdicts to {self.path} ({error.strerror or error}); nothing was saved. "
                    "Free some space or make it writable, or choose another file with --verdicts."
                ) from None

    @property
    def warnings(self) -> list[str]:
        """What to tell people about the file: lines that are no verdicts, and a cut-off last line."""
        found = list(self.problems[:NAMED])
        if more := len(self.problems) - NAMED:
            found += [f"and {more:,} more lines are no verdicts"] if more > 0 else []
        if self._unfinished:
            found.append(f"its last line is cut off after {len(self._unfinished):,} bytes")
        return [f"{self.path.name}: {'; '.join(found)}. They are left as they are."] if found else []

    def _was_replaced(self, file: int, status: os.stat_result) -> bool:
        """Return whether the file was not only added to since it was read: edited, replaced, or cut off."""
        before = self._status
        if before is None or status.st_size < self._offset or not os.path.samestat(status, before):
            return before is not None
        if status.st_size == before.st_size and status.st_mtime_ns != before.st_mtime_ns:
            return True
        os.lseek(file, self._offset - len(self._tail), os.SEEK_SET)
        return os.read(file, len(self._tail)) != self._tail

    def _take(self, content: bytes) -> None:
        """Take the complete lines of what was added."""
        whole, end, self._unfinished = content.rpartition(b"\n")
        if not end:
            return
        for line in whole.split(b"\n"):
            self._lines += 1
            if line.strip():
                self._take_line(line)
        self._offset += len(whole) + 1
        self._tail = (self._tail + whole[-TAIL:] + end)[-TAIL:]

    def _take_line(self, line: bytes) -> None:
        try:
            if len(line) > LONGEST_LINE:
                raise ValueError(f"it has {len(line):,} bytes")
            verdict = Verdict.from_json(json.loads(line))
        except (ValueError, RecursionError) as error:
            reason = "it is not JSON" if isinstance(error, json.JSONDecodeError) else str(error)
            self.problems.append(f"line {self._lines:,} is no verdict ({reason})")
            return
        if verdict.id not in self._ids:  # two merged copies of one file
            self._ids.add(verdict.id)
            self.verdicts.append(verdict)

    def _write(self, verdicts: list[Verdict]) -> None:
        """Add whole lines, or nothing. Raises `OSError`."""
        if not verdicts:
            return
        lines = [json.dumps(verdict.to_json(), ensure_ascii=False) + "\n" for verdict in verdicts]
        content = "".join(lines).encode("utf-8", "replace")
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":  # a writer died within a line
                content = b"\n" + content
            try:
                while content:
                    content = content[os.write(file, content) :]
                os.fsync(file)
            except OSError:
                os.ftruncate(file, size)
                raise
        finally:
            os.close(file)
