"""How much memory this process takes while something is computed."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Self


class MemoryWatch:
    """The peak of this process's anonymous memory in bytes: what it allocates, not the files it maps.

    Sampled every 10 ms while the context is open. peak: None on systems other than Linux.
    """

    def __init__(self) -> None:
        self.peak: int | None = None
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()
        self._look()

    def _sample(self) -> None:
        while not self.stop.wait(0.01):
            self._look()

    def _look(self) -> None:
        with suppress(OSError, StopIteration):
            status = Path("/proc/self/status").read_text().splitlines()
            line = next(line for line in status if line.startswith("RssAnon:"))
            self.peak = max(self.peak or 0, 1024 * int(line.split()[1]))
