"""The verdicts that pages show and save: one file per server, read as it grows."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import streamlit as st

from kernel_core.errors import DataError
from kernel_core.printable import printable
from kernel_core.results.results import Results
from kernel_core.results.verdicts import verdicts_path
from kernel_core.review.judged import Judged, PixelHashes
from kernel_core.review.verdict_file import VerdictFile
from kernel_core.review.verdicts import Verdict
from pages.ui import load, read_only, shell
from pages.ui.wording import escape

T = TypeVar("T")
State = tuple[int, int]
"""How often the file was replaced, and its number of verdicts: they tell what was read then from now."""
NOTHING = Judged(PixelHashes({}))


@dataclass(eq=False)
class _Followed:
    """A file of verdicts and what stands of it, brought up to date whenever it is asked for."""

    file: VerdictFile
    hashes: PixelHashes
    lock: threading.Lock = field(default_factory=threading.Lock)
    judged: Judged | None = None
    generation: int = -1
    made: dict[str, tuple[State, Any]] = field(default_factory=dict)

    def now(self) -> Judged:
        """Return the verdicts that stand now. Raises `DataError` if the file cannot be read."""
        with self.lock:
            verdicts = self.file.read()
            if self.judged is None or self.generation != self.file.generation:
                self.judged, self.generation = Judged(self.hashes), self.file.generation
            self.judged.take(verdicts[self.judged.count :])
            return self.judged

    def derived(self, name: str, make: Callable[[Judged], T]) -> T:
        """Return what is made of the verdicts that stand now, made anew only after they changed."""
        judged = self.now()
        with self.lock:
            state, known = (self.generation, judged.count), self.made.get(name)
            if known is None or known[0] != state:
                known = self.made[name] = state, make(judged)
            made: T = known[1]
            return made


@st.cache_resource(max_entries=2, show_spinner="Reading the verdicts")
def _followed(results_id: str, path: str) -> _Followed:
    return _Followed(VerdictFile(Path(path)), PixelHashes(load.by_id[results_id].examples))


def _opened(results: Results) -> _Followed:
    return _followed(load.base(results).id, str(verdicts_path(load.request())))


def judged(results: Results) -> Judged:
    """Return the verdicts that stand on this server's source. Raises `DataError` for an unreadable file."""
    return _opened(results).now()


def standing(results: Results) -> Judged:
    """Return the same for pages that do without verdicts: an unreadable file is said at their top."""
    try:
        return judged(results) if _is_there() else NOTHING
    except DataError as error:
        shell.warn_at_top(escape(printable(error)))
        return NOTHING


def _is_there() -> bool:
    return os.path.lexists(verdicts_path(load.request()))


def state(results: Results) -> State:
    """Return what changes with every verdict, (0, 0) where there is none."""
    stands = standing(results)
    return (0, 0) if stands is NOTHING else (_opened(results).generation, stands.count)


def derived(results: Results, name: str, make: Callable[[Judged], T]) -> T:
    """Return what a function makes of the verdicts that stand now; kept, under a name, until they change.

    Nobody judges while it runs. Where the file cannot be read, it is made of no verdicts.
    """
    stands = standing(results)
    return make(stands) if stands is NOTHING else _opened(results).derived(name, make)


def save(results: Results, verdicts: Iterable[Verdict]) -> None:
    """Add verdicts to the file; return when they are on the disk.

    Raises `Unavailable` if they cannot be, or the server is read-only.
    """
    read_only.refuse()
    _opened(results).file.append(verdicts)


def file(results: Results) -> VerdictFile:
    """Return this server's file of verdicts."""
    return _opened(results).file
