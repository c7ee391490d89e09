"""Progress told to a person, or to a process that watches."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Self

from tqdm import tqdm

from kernel_core.errors import KernelExplorerError
from kernel_core.files import replacing


class ProgressBars:
    """One bar a step on stderr; in a file or pipe, one line a step."""

    def __init__(self) -> None:
        self.step, self.bar = "", None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, step: str, done: int, total: int) -> None:
        if step != self.step:
            self.__exit__()
            self.step = step
            if not sys.stderr.isatty():
                print(f"{step} …", file=sys.stderr, flush=True)
            layout = "{desc:<44} {percentage:3.0f}% |{bar:30}| {elapsed} (left {remaining})"
            self.bar = tqdm(desc=step, total=total, bar_format=layout, disable=not sys.stderr.isatty())
        if self.bar is not None:
            self.bar.total = total
            self.bar.update(done - self.bar.n)


class ProgressFile:
    """Progress as JSON in a file, replaced whole at most every fifth of a second, for a process that watches."""

    def __init__(self, path: Path) -> None:
        self.path, self.written = path, 0.0

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
        if time.monotonic() - self.written > 0.2 or done == 0:
            self._write({"state": "running", "step": step, "done": done, "total": total})

    def _write(self, content: dict[str, Any]) -> None:
        with replacing(self.path) as temporary:
            temporary.write_text(json.dumps(content))
        self.written = time.monotonic()
