"""One measurement of `kernel-explorer bench`, in a process of its own: its seconds, and its memory at the peak."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import platform
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import torch

from kernel_core.bench.competitors import METHODS, Job, Laps, product_peak
from kernel_core.errors import KernelExplorerError
from kernel_core.machine import use_allowed_cores
from kernel_core.progress import Progress

NEEDS = {"faiss": "faiss", "faiss-skylakex": "faiss", "sklearn": "sklearn.neighbors"}


class MemoryWatch:
    """The most anonymous memory this process holds meanwhile, in bytes: what it allocates, not the files it maps.

    Sampled every few milliseconds; None where the system does not tell (all but Linux).
    """

    def __init__(self) -> None:
        self.peak: int | None = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()
        self._look()

    def _sample(self) -> None:
        while not self.over.wait(0.01):
            self._look()

    def _look(self) -> None:
        with suppress(OSError, StopIteration):
            status = Path("/proc/self/status").read_text().splitlines()
            line = next(line for line in status if line.startswith("RssAnon:"))
            self.peak = max(self.peak or 0, 1024 * int(line.split()[1]))


def peak_resident() -> int | None:
    """The most memory this process has held since its start, mapped files included, in bytes; None on Windows."""
    with suppress(ImportError):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def _measure(method: str, job: Job, answer: Connection) -> None:
    """Send what `_measured` returns, or why it failed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it is not inherited
    try:
        answer.send(_measured(method, job))
    except (KernelExplorerError, RuntimeError, MemoryError, ValueError, OSError) as error:
        # Out of memory, say: one row of the table, not the end of the bench.
        answer.send({"failed": (str(error) or type(error).__name__).splitlines()[0]})


def _measured(method: str, job: Job) -> dict[str, Any]:
    """A method's `top` (`Top`), seconds from opening the files to that, stages, and bytes of memory at their peak."""
    device = torch.device(job.device)
    threads = use_allowed_cores()
    if method == "faiss-skylakex":
        os.environ["OPENBLAS_CORETYPE"] = "SKYLAKEX"  # read when faiss' own OpenBLAS is loaded
    if method in NEEDS:
        importlib.import_module(NEEDS[method])
        importlib.import_module("threadpoolctl").threadpool_limits(threads)
    torch.mm(*torch.ones(2, 2, 2, device=device))  # starts CUDA and its library of products
    with MemoryWatch() as memory:
        laps = Laps(device)
        started = laps.last
        ensemble = job.open()
        top = METHODS[method](ensemble, job, laps)
        seconds = laps.now() - started
    on_cuda = device.type == "cuda" and method in ("ours", "original")
    return {
        "top": top,
        "seconds": seconds,
        "stages": laps.stages,
        "resident": peak_resident(),
        "anonymous": memory.peak,
        "cuda": torch.cuda.max_memory_allocated(device) if on_cuda else None,
        # Right after ours, so that both see the same machine.
        "product": product_peak(ensemble.run_count * ensemble.class_count, device)
        if method == "ours"
        else {},
    }


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Ctrl-C has its effect after this, so that no process is left half started."""
    waiting: list[object] = []
    handler = signal.signal(signal.SIGINT, lambda *given: waiting.append(given))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if waiting:
        raise KeyboardInterrupt


def _processes() -> Any:
    """Where processes come from: on Linux forked from one that has loaded torch and used nothing of it, which saves
    seconds each time."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    multiprocessing.set_forkserver_preload([__name__])
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C is for this process alone
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, handler)
    return multiprocessing.get_context("forkserver")


def measure_apart(method: str, job: Job) -> dict[str, Any]:
    """What `_measured` returns of a method in a new process; {"failed": why} where it fails or its process dies."""
    context = _processes()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(method, job, sender), daemon=True)
    try:
        with _interrupts_wait():
            process.start()
        sender.close()  # only the new process holds that end now: it closes when the process dies
        answer: dict[str, Any] = receiver.recv()
        return answer
    except EOFError:
        process.join()
        code = process.exitcode or 0
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return {"failed": f"its process was {how}" + ", out of memory perhaps" * (code == -signal.SIGKILL)}
    finally:
        if process.pid is not None:
            process.kill()  # it still runs after Ctrl-C
            process.join()
        receiver.close()


def take_turns(
    job: Job, methods: list[str], repeats: int, progress: Progress
) -> dict[str, list[dict[str, Any]]]:
    """What `measure_apart` returns, of each repeat of each method and of the oracle; a method that fails is left."""
    progress("reference in float64", 0, 1)
    answers = {"oracle": [measure_apart("oracle", job)]}
    step = f"measuring {len(methods)} methods {repeats} times"
    turns = [(repeat, method) for repeat in range(repeats) for method in methods]
    for done, (_, method) in enumerate(turns):
        progress(step, done, len(turns))
        before = answers.setdefault(method, [])
        if not any("failed" in answer for answer in before):
            before.append(measure_apart(method, job))
    progress(step, len(turns), len(turns))
    return answers


def cpu_info() -> dict[str, str]:
    """What Linux says of the first processor, as {"model name": …, "flags": …}; elsewhere little or nothing."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
        return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {"model name": platform.processor() or platform.machine()}


def describe_machine(device: str) -> dict[str, Any]:
    """Processor, threads, versions and device, by name."""
    name = f"cuda, {torch.cuda.get_device_name()}" if device == "cuda" else device
    return {
        "cpu": cpu_info().get("model name", platform.machine()),
        "threads": use_allowed_cores(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": name,
    }
