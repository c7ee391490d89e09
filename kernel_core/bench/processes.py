"""One measurement of the benchmark in its own process: seconds, and peak memory."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext

import torch

from kernel_core.bench.busy import busy_loops
from kernel_core.bench.competitors import METHODS, Job, Laps
from kernel_core.bench.stages import Rates, choose_product, product_rates
from kernel_core.errors import KernelExplorerError
from kernel_core.machine import cpu_info, use_allowed_cores
from kernel_core.memory_watch import MemoryWatch
from kernel_core.progress import Progress
from kernel_core.search.topk import TopK

NEEDS = {"faiss": "faiss", "faiss-skylakex": "faiss", "sklearn": "sklearn.neighbors"}
"""Method → the module to import before the clock starts."""


@dataclass(frozen=True)
class Measurement:
    """One search by one method.

    seconds: from opening the files to the neighbors. core_seconds: the same in seconds of a core at work for
    it. stages: seconds per stage. by_stage: core-seconds per stage, of our own search. resident, anonymous,
    cuda: peak memory in bytes, None if unknown. product: what `product_rates` returns, after our own
    search.
    """

    top: TopK
    seconds: float
    core_seconds: float
    stages: dict[str, float]
    by_stage: dict[str, float]
    resident: int | None
    anonymous: int | None
    cuda: int | None
    product: Rates | None


@dataclass(frozen=True)
class Failure:
    """The reason why a method could not be measured, in one line."""

    reason: str


def peak_resident() -> int | None:
    """Return the most memory in bytes that this process has held, mapped files included; None on Windows."""
    with suppress(ImportError):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def _measure_and_send(method: str, job: Job, sender: Connection) -> None:
    """Measure a method, and send the `Measurement` or `Failure`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a spawned process does not inherit it
    outcome: Measurement | Failure
    try:
        outcome = _measure(method, job)
    except (KernelExplorerError, RuntimeError, MemoryError, ValueError, OSError) as error:
        # Running out of memory, for example, costs one row of the table, not the whole benchmark.
        outcome = Failure((str(error) or type(error).__name__).splitlines()[0])
    sender.send(outcome)


def _measure(method: str, job: Job) -> Measurement:
    device = torch.device(job.device)
    threads = use_allowed_cores()
    if method == "faiss-skylakex":
        # Read when the OpenBLAS inside faiss's wheel is loaded, which may not know a newer processor.
        os.environ["OPENBLAS_CORETYPE"] = "SKYLAKEX"
    if method in NEEDS:
        importlib.import_module(NEEDS[method])
        importlib.import_module("threadpoolctl").threadpool_limits(threads)
    torch.mm(*torch.ones(2, 2, 2, device=device))  # initializes CUDA and its matrix library
    if method == "ours":
        choose_product(job.open(), device)
    with MemoryWatch() as memory:
        laps = Laps(device)
        started, cores_started = laps.last, time.process_time()
        ensemble = job.open()
        top = METHODS[method](ensemble, job, laps)
        seconds, core_seconds = laps.now() - started, time.process_time() - cores_started
    on_cuda = device.type == "cuda" and method in ("ours", "original")
    dim = ensemble.run_count * ensemble.class_count
    return Measurement(
        top=top,
        seconds=seconds,
        core_seconds=core_seconds,
        stages=laps.stages,
        by_stage=laps.core_seconds,
        resident=peak_resident(),
        anonymous=memory.peak,
        cuda=torch.cuda.max_memory_allocated(device) if on_cuda else None,
        # Right after our search, so that both see the machine under the same load.
        product=product_rates(dim, device) if method == "ours" else None,
    )


@contextmanager
def _interrupts_delayed() -> Iterator[None]:
    """Delay Ctrl-C until the end of the block, so that no process is left half started."""
    interrupted: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if interrupted:
        raise KeyboardInterrupt


def _process_context() -> SpawnContext | ForkServerContext:
    """Return where processes come from.

    On Linux they are forked from a server that has loaded torch but not used it, which saves seconds each
    time.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    multiprocessing.set_forkserver_preload([__name__])
    # The server and its children inherit this: Ctrl-C is for the main process only.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, handler)
    return multiprocessing.get_context("forkserver")


def measure_apart(method: str, job: Job) -> Measurement | Failure:
    """Measure a method in a new process; return a `Failure` if the method fails or the process dies."""
    context = _process_context()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure_and_send, args=(method, job, sender), daemon=True)
    try:
        with _interrupts_delayed():
            process.start()
        sender.close()  # now only the new process holds this end, so it closes when the process dies
        outcome: Measurement | Failure = receiver.recv()
        return outcome
    except EOFError:
        process.join()
        return Failure(_describe_exit(process.exitcode or 0))
    finally:
        if process.pid is not None:
            process.kill()  # after Ctrl-C it is still running
            process.join()
        receiver.close()


def _describe_exit(code: int) -> str:
    """Say how a process ended that sent nothing. code: its exit status, or -n if signal n killed it."""
    if code == -signal.SIGKILL:
        return "its process was killed by SIGKILL, perhaps because memory ran out"
    if code < 0:
        return f"its process was killed by {signal.Signals(-code).name}"
    return f"its process ended with status {code}"


Outcomes = dict[tuple[str, int], list[Measurement | Failure]]
"""Method and number of busy loops beside it → what was measured."""


def take_turns(job: Job, methods: list[str], repeats: int, busy: int, progress: Progress) -> Outcomes:
    """Measure the oracle once and each method `repeats` times; return the outcomes of each.

    The methods take turns, so that whatever else the machine does affects all of them. Each has a turn beside
    busy loops too, if there are any. A method that fails gets no further turn.
    """
    progress("reference in float64", 0, 1)
    outcomes: Outcomes = {("oracle", 0): [measure_apart("oracle", job)]}
    step = f"measuring {len(methods)} methods {repeats} times"
    turns = [(method, loops) for method in methods for loops in sorted({0, busy})] * repeats
    for done, turn in enumerate(turns):
        progress(step, done, len(turns))
        method, loops = turn
        earlier = outcomes.setdefault(turn, [])
        if not any(isinstance(outcome, Failure) for outcome in earlier):
            with busy_loops(loops):
                earlier.append(measure_apart(method, job))
    progress(step, len(turns), len(turns))
    return outcomes


def describe_machine(device: str) -> dict[str, str | int]:
    """Return the processor, its threads, the versions of torch and Python, and the device."""
    return {
        "cpu": cpu_info().get("model name", platform.machine()),
        "threads": use_allowed_cores(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": f"cuda, {torch.cuda.get_device_name()}" if device == "cuda" else device,
    }
