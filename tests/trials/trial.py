"""One trial under way: its time, what it has tried, what has failed; and the table of all of them."""

import random
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

NOTED = 400  # characters of a failure that are printed


@dataclass
class Trial:
    """A trial with its limits.

    folder: to work in. seconds: from the first case; after these, no other begins. most: number of cases
    after which none begins. only: pattern that the names of cases match. failures: what went wrong, pairs of
    a case and a text. measured: what the trial tells of itself.
    """

    name: str
    folder: Path
    seconds: float
    seed: int
    most: int | None = None
    only: str = ""
    tried: int = 0
    failures: list = field(default_factory=list)
    measured: list = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    over: float = 0.0

    def __post_init__(self):
        self.rng = random.Random(self.seed)

    @property
    def taken(self):
        """Seconds since the trial began, until it has ended."""
        return (self.ended or time.monotonic()) - self.started

    @property
    def is_over(self):
        """Whether no new case may begin."""
        return time.monotonic() > self.over or (self.most is not None and self.tried >= self.most)

    def each(self, cases):
        """Yield the cases for as long as the trial may go on, and count them; its time begins here."""
        self.over = time.monotonic() + self.seconds
        for case in cases:
            if self.is_over:
                return
            if re.search(self.only, str(case)):
                self.tried += 1
                yield case

    def fail(self, case, faults):
        """Note what is wrong with a case: a list of texts, one text, or nothing."""
        for fault in [faults] if isinstance(faults, str) else faults:
            self.failures.append((str(case), fault))
            print(
                f"FAILED {self.name}: {case}: {fault}"[:NOTED].encode("ascii", "replace").decode(), flush=True
            )

    def end(self):
        """Stop the clock."""
        self.ended = time.monotonic()

    @property
    def failed(self):
        """Number of cases that failed, whatever number of faults each has."""
        return len({case for case, _ in self.failures})


HEADINGS = ("trial", "tried", "failed", "seconds", "measured")


def _rows(trials):
    return [(t.name, str(t.tried), str(t.failed), f"{t.taken:.0f}", "; ".join(t.measured)) for t in trials]


def plain_table(trials):
    """Return the results as a table for a terminal; numbers are aligned to the right."""
    rows = [HEADINGS, *_rows(trials)]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [
        f"{row[0]:<{widths[0]}}  " + "  ".join(f"{row[i]:>{widths[i]}}" for i in (1, 2, 3)) + f"  {row[4]}"
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def markdown_table(trials):
    """Return the results as a Markdown table."""
    rows = [HEADINGS, ("---", "---:", "---:", "---:", "---"), *_rows(trials)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
