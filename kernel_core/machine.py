"""Where a search runs: the device, the bytes it may take, and what the processor offers."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from kernel_core.errors import RequestError


@dataclass(frozen=True)
class Machine:
    """Where to compute, and in how many bytes."""

    device: torch.device
    budget: int


CPU = Machine(torch.device("cpu"), 1_000_000_000)


@functools.cache
def piece_bytes(device_type: str) -> int:
    """How much is normalised at a time: on a CPU, what its second level of cache holds; three times faster so."""
    if device_type != "cpu":
        return 64_000_000
    with suppress(AttributeError, ValueError, OSError):  # no sysconf, or none that knows this name
        return min(max(os.sysconf("SC_LEVEL2_CACHE_SIZE"), 250_000), 4_000_000)
    return 1_000_000


def cores_allowed(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """How many cores this process may keep busy: those that torch sees, or a container's quota of their time."""
    with suppress(OSError, ValueError):
        quota, period = (cgroup / "cpu.max").read_text().split()  # "max 100000" without a quota
        return min(torch.get_num_threads(), max(1, round(int(quota) / int(period))))
    return torch.get_num_threads()


def use_allowed_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Keep torch to the cores that it may keep busy, and return how many: more threads than that only wait."""
    torch.set_num_threads(cores_allowed(cgroup))
    return torch.get_num_threads()


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread meanwhile: many small steps are twice as quick so, and their bits the same anywhere."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def choose_device(name: str) -> torch.device:
    """auto → CUDA if there is one, else the CPU. Raises `RequestError` if cuda is asked for and absent."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise RequestError(
            "--device cuda was asked for, but torch sees no CUDA device; use --device auto or cpu."
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")
