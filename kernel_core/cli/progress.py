"""Progress shown in a terminal."""

from __future__ import annotations

import sys
import time
from typing import Self

from tqdm import tqdm

from kernel_core.cli.output import say
from kernel_core.printable import CELL, printable
from kernel_core.progress import unit_of

EVERY = 10  # seconds; the least time between two lines of one step in a file or pipe


class ProgressBars:
    """A `Progress` on stderr: one bar per step in a terminal.

    In a file or pipe, there is one line when a step begins, and while it goes on one every ten seconds, with
    the share that is done, but none for less than 1% more.
    """

    def __init__(self) -> None:
        self.step = ""
        self.bar: tqdm | None = None
        self.said, self.percent = 0.0, 0  # when the last line was printed, and what it said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def say(self, text: str) -> None:
        """Print a line on stderr, above the bar."""
        tqdm.write(printable(text), file=sys.stderr)

    def __call__(self, step: str, done: int, total: int) -> None:
        if step != self.step:
            self._begin(step, total)
        if self.bar is not None and not self.bar.disable:
            self.bar.total = total
            self.bar.update(done - self.bar.n)
        elif time.monotonic() - self.said >= EVERY and total:
            self._say_percent(100 * done // total)

    def _say_percent(self, percent: int) -> None:
        if self.percent < percent < 100:
            say(f"{printable(self.step, CELL)} … {percent}%", err=True)
            self.said, self.percent = time.monotonic(), percent

    def _begin(self, step: str, total: int) -> None:
        self.__exit__()
        self.step, shown = step, printable(step, CELL)
        in_terminal = sys.stderr.isatty()
        if not in_terminal:
            say(f"{shown} …", err=True)
            self.said, self.percent = time.monotonic(), 0
        unit = unit_of(step)
        rate = ", {rate_fmt}" if unit else ""
        self.bar = tqdm(
            desc=shown,
            total=total,
            bar_format="{desc:<36} {percentage:3.0f}% |{bar}| {remaining} left" + rate,
            unit=unit,
            unit_scale=True,
            disable=not in_terminal,
        )
