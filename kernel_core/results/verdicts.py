"""Where a source's verdicts are kept, and those that stand on its examples."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

from kernel_core.results.results import Results
from kernel_core.review.judged import Judged, PixelHashes
from kernel_core.review.verdict_file import VerdictFile
from kernel_core.sources import source_toml
from kernel_core.sources.source import SourceRequest

T = TypeVar("T")
ENDING = ".verdicts.jsonl"


def verdicts_path(request: SourceRequest) -> Path:
    """Return the file of a source's verdicts, whether or not it is there.

    It is what KERNEL_EXPLORER_VERDICTS names, else it is beside the source: `data.verdicts.jsonl` for the
    folder `data`. For a source that is a name and no path, it is in the user's data folder.
    """
    if named := os.environ.get("KERNEL_EXPLORER_VERDICTS"):
        return Path(os.path.expanduser(named)).absolute()
    path = request.path
    if path is None or not os.path.exists(path):
        folder = platformdirs.user_data_path("kernel-explorer", appauthor=False) / "verdicts"
        return folder / (request.name.replace("/", "--").replace(":", "-") + ENDING)
    path = path.resolve()
    if os.path.isfile(path / source_toml.FILE):
        path = path / source_toml.FILE
    name = path.name if path.is_dir() else path.stem
    return path.with_name(name + ENDING)


@dataclass(eq=False)
class Followed:
    """A file of verdicts and what stands of it, brought up to date whenever it is asked for.

    Several threads may ask. hashes: of the source's examples.
    """

    file: VerdictFile
    hashes: PixelHashes
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _judged: Judged | None = None
    _generation: int = -1
    _made: dict[str, tuple[tuple[int, int], Any]] = field(default_factory=dict)

    def now(self) -> Judged:
        """Return the verdicts that stand now. Raises `DataError` if the file cannot be read."""
        with self._lock:
            verdicts = self.file.read()
            if self._judged is None or self._generation != self.file.generation:
                self._judged, self._generation = Judged(self.hashes), self.file.generation
            self._judged.take(verdicts[self._judged.count :])
            return self._judged

    def derived(self, name: str, make: Callable[[Judged], T]) -> T:
        """Return what is made of the verdicts that stand now; it is kept, under a name, until they change.

        None is added while it is made. Raises as `now` does.
        """
        judged = self.now()
        with self._lock:
            state, known = (self._generation, judged.count), self._made.get(name)
            if known is None or known[0] != state:
                known = self._made[name] = state, make(judged)
            made: T = known[1]
            return made


def open_verdicts(results: Results, path: Path) -> tuple[Judged, list[str]]:
    """Return the verdicts of a file that stand on a source's examples, and what to tell of its lines.

    A file that is not there has none. Raises `DataError` if it cannot be read.
    """
    if not os.path.lexists(path):
        return Judged(PixelHashes({})), []
    file = VerdictFile(path)
    return read_judged(results, file), file.warnings


def read_judged(results: Results, file: VerdictFile) -> Judged:
    """Return the verdicts of a file that stand on a source's examples. Raises `DataError` as `read` does."""
    judged = Judged(PixelHashes(results.examples))
    judged.take(file.read())
    return judged
