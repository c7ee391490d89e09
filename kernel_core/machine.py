"""The machine that a computation runs on: its device, its memory budget, its cores."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from kernel_core.errors import Unavailable


@dataclass(frozen=True)
class Machine:
    """Where to compute.

    budget: bytes of memory that may be used for it. choices: folder that keeps which ways of computing were
    found fastest here, so that they are found once; None to find them in every process.
    """

    device: torch.device
    budget: int
    choices: Path | None = None


CPU = Machine(torch.device("cpu"), 1_000_000_000)


@functools.cache
def piece_bytes(device_type: str) -> int:
    """Return how many bytes to normalize at a time.

    On a CPU it is the size of the second-level cache: three times faster than large pieces.
    """
    if device_type != "cpu":
        return 64_000_000
    with suppress(AttributeError, ValueError, OSError):  # some systems lack sysconf, or this name
        return min(max(os.sysconf("SC_LEVEL2_CACHE_SIZE"), 250_000), 4_000_000)
    return 1_000_000


def cpu_info() -> dict[str, str]:
    """Return Linux's description of the first processor, such as {"model name": …, "flags": …}.

    On other systems it holds the model name only.
    """
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
        return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {"model name": platform.processor() or platform.machine()}


def cores_allowed(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many cores this process may keep busy: those that torch sees, within a container's quota."""
    with suppress(OSError, ValueError):
        # Without a quota, the file says "max 100000", and int() raises ValueError.
        quota, period = (cgroup / "cpu.max").read_text().split()
        return min(torch.get_num_threads(), max(1, round(int(quota) / int(period))))
    return torch.get_num_threads()


def use_allowed_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Limit torch to as many threads as there are allowed cores: more would only wait. Return how many."""
    torch.set_num_threads(cores_allowed(cgroup))
    return torch.get_num_threads()


def give_back_memory() -> None:
    """Return what was freed to the system; glibc keeps 200 MB after many pieces of a few MB each."""
    with suppress(OSError, AttributeError, TypeError):  # other systems have no such function
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread for the time being.

    Many small steps are then twice as fast, and their results are the same to the bit on any number of cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def choose_device(name: str) -> torch.device:
    """Return the device that a name stands for: cpu, cuda, or auto for CUDA if there is any.

    Raises `RequestError` if cuda is asked for and absent.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise Unavailable(
            "--device cuda was asked for, but torch sees no CUDA device; use --device auto or cpu."
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")
