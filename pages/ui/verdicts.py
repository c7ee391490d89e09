"""The verdicts that pages show and save: one file per server, read as it grows."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from kernel_core.results.results import Results
from kernel_core.results.verdicts import verdicts_path
from kernel_core.review.judged import Judged, PixelHashes
from kernel_core.review.verdict_file import VerdictFile
from kernel_core.review.verdicts import Verdict
from pages.ui import load


@dataclass(eq=False)
class _Followed:
    """A file of verdicts and what stands of it, brought up to date whenever it is asked for."""

    file: VerdictFile
    hashes: PixelHashes
    lock: threading.Lock = field(default_factory=threading.Lock)
    judged: Judged | None = None
    generation: int = -1

    def now(self) -> Judged:
        """Return the verdicts that stand now. Raises `DataError` if the file cannot be read."""
        with self.lock:
            verdicts = self.file.read()
            if self.judged is None or self.generation != self.file.generation:
                self.judged, self.generation = Judged(self.hashes), self.file.generation
            self.judged.take(verdicts[self.judged.count :])
            return self.judged


@st.cache_resource(max_entries=2, show_spinner="Reading the verdicts")
def _followed(results_id: str, path: str) -> _Followed:
    return _Followed(VerdictFile(Path(path)), PixelHashes(load.by_id[results_id].examples))


def _opened(results: Results) -> _Followed:
    return _followed(results.id, str(verdicts_path(load.request())))


def judged(results: Results) -> Judged:
    """Return the verdicts that stand on this server's source. Raises `DataError` for an unreadable file."""
    return _opened(results).now()


def save(results: Results, verdicts: Iterable[Verdict]) -> None:
    """Add verdicts to the file; return when they are on the disk. Raises `Unavailable` if they cannot be."""
    _opened(results).file.append(verdicts)


def file(results: Results) -> VerdictFile:
    """Return this server's file of verdicts."""
    return _opened(results).file
