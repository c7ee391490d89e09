"""The verdicts that pages show and save: one file per server, read as it grows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import streamlit as st

from kernel_core.errors import DataError
from kernel_core.printable import printable
from kernel_core.results.results import Results
from kernel_core.results.verdicts import Followed, verdicts_path
from kernel_core.review.judged import Judged, PixelHashes
from kernel_core.review.verdict_file import VerdictFile
from kernel_core.review.verdicts import Verdict
from pages.ui import load, read_only, shell
from pages.ui.wording import escape

T = TypeVar("T")
NOTHING = Judged(PixelHashes({}))


@st.cache_resource(max_entries=2, show_spinner="Reading the verdicts")
def _followed(results_id: str, path: str) -> Followed:
    return Followed(VerdictFile(Path(path)), PixelHashes(load.by_id[results_id].examples))


def _opened(results: Results) -> Followed:
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
