"""Progress told to a person, or to a process that watches."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tqdm import tqdm

from kernel_core.errors import KernelExplorerError
from kernel_core.files import replacing

# What a step counts, by how its name begins.
UNITS = {
    "nearest neighbors": " pairs", "exact values": " pairs", "downloading": "B",
    "checking train": " examples", "checking test": " examples",
}  # fmt: skip


def unit_of(step: str) -> str:
    """What a step counts, as written after a number; empty where the number alone would say little."""
    return next((unit for begin, unit in UNITS.items() if step.startswith(begin)), "")


def renamed(progress: Progress, step: str) -> Progress:
    """The same progress, told under another step's name."""
    return lambda _, done, total: progress(step, done, total)


class ProgressFile:
    """Progress as JSON in a file, replaced whole at most every fifth of a second, for a process that watches."""

    def __init__(self, path: Path) -> None:
        self.path, self.written = path, 0.0
        self.step, self.started = "", 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, KernelExplorerError):
            self._write({"state": "failed", "error": str(error)})
        elif error is not None:
            self._write({"state": "failed", "error": f"The build stopped: {type(error).__name__}: {error}"})
        else:
            self._write({"state": "done"})

    def __call__(self, step: str, done: int, total: int) -> None:
        now = time.monotonic()
        if step != self.step:
            self.step, self.started = step, now
        if now - self.written > 0.2 or done == 0:
            pace = self._pace(done, total, now - self.started)
            self._write({"state": "running", "step": step, "done": done, "total": total, "pace": pace})

    def _pace(self, done: int, total: int, seconds: float) -> str:
        """Rate and time left, as in "250M pairs/s, 00:12 left"; empty while too little is known."""
        if seconds < 1 or not done or done >= total:
            return ""
        left = f"{tqdm.format_interval(seconds * (total - done) / done)} left"
        unit = unit_of(self.step)
        return f"{tqdm.format_sizeof(done / seconds)}{unit}/s, {left}" if unit else left

    def _write(self, content: dict[str, Any]) -> None:
        with replacing(self.path) as temporary:
            temporary.write_text(json.dumps(content))
        self.written = time.monotonic()


Progress = Callable[[str, int, int], None]
"""`progress(step, done, total)`: the step's name in plain words, and how much of it is done."""


def no_progress(step: str, done: int, total: int) -> None:
    """The `Progress` that says nothing."""
