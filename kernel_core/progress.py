"""Progress of a computation: reported by a function, and kept in a file for another process to read."""

from __future__ import annotations

import contextlib
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kernel_core.crash import last_words
from kernel_core.errors import KernelExplorerError
from kernel_core.files import replacing
from kernel_core.shortage import is_panic

Progress = Callable[[str, int, int], None]
"""`progress(step, done, total)`: the step's name in plain words, and how much of the step is done."""

UNITS = {
    "nearest neighbors": " pairs",
    "blocks": " blocks",
    "exact values": " pairs",
    "downloading": "B",
    "checking train": " examples",
    "checking test": " examples",
}
"""Beginning of a step's name → what the step counts, as written after a number."""

INTERVAL = 0.2  # seconds; the least time between two writes of a file of progress


def no_progress(step: str, done: int, total: int) -> None:
    """Report nothing: the default `Progress`."""


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """Yield a `Progress`: one bar that names the present step; a widget in Jupyter, text in a terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the missing package for widgets: a bar of text does as well
        from tqdm.auto import tqdm
    with tqdm(bar_format="{desc} {percentage:3.0f}% |{bar}| {remaining} left") as bar:

        def progress(step: str, done: int, total: int) -> None:
            if step != bar.desc.removesuffix(": "):
                bar.reset(total)
                bar.set_description(step, refresh=False)
            bar.total = total
            bar.update(done - bar.n)

        yield progress


def renamed(progress: Progress, step: str) -> Progress:
    """Return a `Progress` that reports every step under one name."""
    return lambda _, done, total: progress(step, done, total)


def unit_of(step: str) -> str:
    """Return what a step counts, as written after a number; empty if the number alone would mean little."""
    return next((unit for begin, unit in UNITS.items() if step.startswith(begin)), "")


class ProgressFile:
    """A `Progress` that writes JSON to a file, which another process watches.

    The file is replaced as a whole. It says {"state": "running", "step", "done", "total", "pace"}, and after
    the `with` block {"state": "done"} or {"state": "failed", "error"}.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.written = path, 0.0
        self.step, self.started = "", 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is None:
            self._write({"state": "done"})
        elif isinstance(error, KernelExplorerError):
            self._write({"state": "failed", "error": str(error)})
        elif isinstance(error, Exception) or is_panic(error):
            self._write({"state": "failed", "error": last_words(error)})
        else:
            self._write({"state": "failed", "error": "The build was stopped."})

    def __call__(self, step: str, done: int, total: int) -> None:
        now = time.monotonic()
        if step != self.step:
            self.step, self.started = step, now
        if now - self.written > INTERVAL or done == 0:
            pace = self._pace(done, total, now - self.started)
            self._write({"state": "running", "step": step, "done": done, "total": total, "pace": pace})

    def _pace(self, done: int, total: int, seconds: float) -> str:
        """Return rate and time left, as in "250M pairs/s, 00:12 left"; empty while too little is known."""
        from tqdm import tqdm

        if seconds < 1 or not done or done >= total:
            return ""
        left = f"{tqdm.format_interval(seconds * (total - done) / done)} left"
        unit = unit_of(self.step)
        return f"{tqdm.format_sizeof(done / seconds)}{unit}/s, {left}" if unit else left

    def _write(self, content: dict[str, Any]) -> None:
        # A full disk must not end a build that only cannot say how far it is.
        with contextlib.suppress(OSError), replacing(self.path) as temporary:
            temporary.write_text(json.dumps(content))
        self.written = time.monotonic()
