"""How much memory is free for this process, and how much of that a search takes by default."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":  # imported now, as it may not fit any more when memory is short
    import resource

SHARE = 0.4  # of the free memory; the rest is for what a build reads and writes, and for other programs
ASIDE = 150_000_000  # bytes that are no search's: stacks of threads, and what libraries load later
POOL = 1 << 26  # bytes of address space that glibc sets aside for the memory of each thread
LEAST_BITS = 25  # of a budget: with less than 32 MiB, hardly any search can begin
ROOT = Path("/")
NO_LIMIT = 1 << 60  # bytes; groups of the first version write a number like this for "no limit"


def default_budget() -> int:
    """Return the bytes that a search takes where nobody names any: `SHARE` of what is free but for `aside`.

    Where address space is limited it is half of that, as files that are mapped take of it too. It is a power
    of two, so that two builds on one machine most often cut their work alike, even though the memory that is
    free differs a little.
    """
    share = SHARE / 2 if is_space_limited() else SHARE
    return 1 << max(LEAST_BITS, int(share * max(0, free_bytes() - aside())).bit_length() - 1)


def aside() -> int:
    """Return the bytes that no search may take: `ASIDE`, and pools of threads if address space is limited."""
    return ASIDE + (POOL * (1 + (os.cpu_count() or 1)) if is_space_limited() else 0)


def is_space_limited() -> bool:
    """Return whether this process has a limit of address space (`ulimit -v`)."""
    return sys.platform != "win32" and resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def free_bytes(root: Path = ROOT) -> int:
    """Return the bytes that this process may still take: the least that a machine or a limit leaves.

    Counted are the memory that Linux calls available, the limits of the control groups that the process is in
    (both versions; containers and batch systems set them), and the limits of address space and data
    (`ulimit -v`, `ulimit -d`). Elsewhere it is half of the machine's memory. root: where /proc and /sys are.
    """
    left = [*_available(root), *_left_in_groups(root), *_left_of_limits(root)]
    return max(0, min(left)) if left else _half_of_machine()


def _available(root: Path) -> Iterator[int]:
    with suppress(OSError, ValueError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                yield 1024 * int(value.split()[0])


def _left_in_groups(root: Path) -> Iterator[int]:
    """Yield what each control group that this process is in leaves, those above it included.

    In a container, the path is that of the host, and the files are at the top.
    """
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
            names = (
                ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
                if controllers
                else ("memory.max", "memory.current", "inactive_file")
            )
            parts = [part for part in path.split("/") if part not in ("", "..")]
            for depth in range(len(parts) + 1):
                yield from _left_in_group(top.joinpath(*parts[:depth]), *names)


def _left_in_group(folder: Path, limit: str, used: str, cached: str) -> Iterator[int]:
    with suppress(OSError, ValueError):  # no such group, or "max": no limit
        most = int((folder / limit).read_text())
        if most < NO_LIMIT:
            fields = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
            # Files that were read count as used, but the system gives up those that nobody uses.
            idle = sum(int(value) for name, value in fields if name == cached)
            yield most - int((folder / used).read_text()) + idle


def is_limited() -> bool:
    """Return whether this process has a limit of address space or data (`ulimit -v`, `ulimit -d`)."""
    return any(True for _ in _left_of_limits(ROOT))


def _left_of_limits(root: Path) -> Iterator[int]:
    if sys.platform == "win32":
        return
    with suppress(OSError, ValueError, IndexError):
        pages = [int(number) for number in (root / "proc/self/statm").read_text().split()]
        for limit, taken in ((resource.RLIMIT_AS, pages[0]), (resource.RLIMIT_DATA, pages[5])):
            most = resource.getrlimit(limit)[0]
            if most != resource.RLIM_INFINITY:
                yield most - taken * os.sysconf("SC_PAGE_SIZE")


def _half_of_machine() -> int:
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 4_000_000_000
