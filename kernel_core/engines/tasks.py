"""Independent pieces of work, done by threads here or by the workers of a Ray cluster.

A worker that is killed and a node that is lost cost what they were doing: it is done elsewhere.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from kernel_core.engines.engine import LOCAL, Engine
from kernel_core.engines.ray_cluster import connected
from kernel_core.engines.versions import Versions, node_name, versions_here
from kernel_core.errors import KernelExplorerError, Unavailable
from kernel_core.printable import printable
from kernel_core.progress import Progress, no_progress

A = TypeVar("A")
B = TypeVar("B")
RETRIES = 8  # losses of a worker that one piece survives; more are its own fault
LOOK_SECONDS = 2  # between two looks at the nodes while nothing arrives
log = logging.getLogger("kernel_core")


def run_tasks(
    task: Callable[[A], B],
    items: Sequence[A],
    engine: Engine = LOCAL,
    progress: Progress = no_progress,
    *,
    step: str,
    gpus: float = 0.0,
) -> Iterator[tuple[int, B]]:
    """Yield the number of each item and what the task returns for it, in the order in which they end.

    task, items: on Ray, both are pickled: the task is a function of a module, or a `functools.partial` of
        one, and what they hold is small, such as paths. Several threads call the task at once where the
        engine is local.
    step: what the progress is called. gpus: of a worker, for one item; parts of 1 share one.

    Raises what a task raises, with the name of its node on Ray, and `Unavailable` as `connected` does, if no
    node has the GPUs, or if an item loses its worker again and again. Work that is not yet begun is then
    given up.
    """
    progress(step, 0, len(items))
    if not items:
        return
    done = _on_ray(task, items, engine, gpus) if engine.is_ray else _here(task, items, engine.workers)
    for count, (number, result) in enumerate(done, start=1):
        progress(step, count, len(items))
        yield number, result


def _here(task: Callable[[A], B], items: Sequence[A], workers: int | None) -> Iterator[tuple[int, B]]:
    count = min(workers or os.cpu_count() or 1, len(items))
    if count <= 1:
        yield from ((number, task(item)) for number, item in enumerate(items))
        return
    waiting, pending = iter(enumerate(items)), dict[Future[B], int]()
    with ThreadPoolExecutor(count) as pool:
        try:
            while True:
                for number, item in islice(waiting, count - len(pending)):
                    pending[pool.submit(task, item)] = number
                if not pending:
                    return
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    yield pending.pop(future), future.result()
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Failed:
    """An error that a task raised on a node."""

    error: KernelExplorerError
    node: str


def _attempt(task: Callable[[A], B], item: A, expected: Versions) -> B | _Failed:
    """Do one item on a worker, which must have the code and the torch of the driver."""
    try:
        found = versions_here()
        if found != expected:
            raise Unavailable(f"it has {found}, but this machine {expected}. Install the same on every node.")
        return task(item)
    except KernelExplorerError as error:
        return _Failed(error, node_name())


def _on_ray(
    task: Callable[[A], B], items: Sequence[A], engine: Engine, gpus: float
) -> Iterator[tuple[int, B]]:
    with connected(engine.address, engine.workers) as ray:
        attempt = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(_attempt)
        held, nodes = ray.put(task), _Nodes(ray)
        nodes.refuse_lack_of(gpus)
        waiting, pending = iter(enumerate(items)), dict[Any, int]()
        try:
            while True:
                room = max(1, engine.workers or 2 * nodes.core_count) - len(pending)
                for number, item in islice(waiting, max(0, room)):
                    pending[attempt.remote(held, item, versions_here())] = number
                if not pending:
                    return
                ended, _ = ray.wait(list(pending), num_returns=1, timeout=LOOK_SECONDS)
                nodes.look()
                for reference in ended:
                    yield pending.pop(reference), _result(ray, reference)
        finally:
            _give_up(ray, pending)


def _result(ray: Any, reference: Any) -> Any:
    """Return what a task returned. Raises what it raised, or `Unavailable` for what Ray reports."""
    try:
        result = ray.get(reference)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error
        lines = str(cause).strip().splitlines() or [""]
        raise Unavailable(
            f"A piece of work failed on the Ray cluster ({type(cause).__name__}: "
            f"{printable(lines[0], 300)}). Each node needs kernel-explorer and enough memory; what is "
            "finished is kept."
        ) from error
    if isinstance(result, _Failed):
        raise type(result.error)(f"On the node {printable(result.node)}: {result.error}")
    return result


def _give_up(ray: Any, pending: Iterable[Any]) -> None:
    """Stop what is still being done: nobody waits for it."""
    for reference in pending:
        try:
            ray.cancel(reference, force=True)
        except Exception as error:  # noqa: BLE001 (the cluster may be gone as well)
            log.debug("a task could not be stopped: %s", error)
            return


class _Nodes:
    """The nodes of a cluster, as they come and go."""

    def __init__(self, ray: Any) -> None:
        self.ray, self.names, self.core_count = ray, dict[str, str](), 1
        self.look()

    def refuse_lack_of(self, gpus: float) -> None:
        """Raise `Unavailable` if no node has so many GPUs: Ray would wait for one in silence."""
        alive = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        most = max((resources.get("GPU", 0.0) for resources in alive), default=0.0)
        if gpus > most:
            raise Unavailable(
                f"{gpus:g} GPUs per piece of work were asked for, but no node of the Ray cluster has more "
                f"than {most:g}. Ask for fewer, or start a node with more."
            )

    def look(self) -> None:
        """Count the cores, and warn of each node that was lost since the last look."""
        try:
            alive = {node["NodeID"]: node for node in self.ray.nodes() if node["Alive"]}
        except Exception as error:  # noqa: BLE001 (asked again soon)
            log.debug("the cluster does not say which nodes it has: %s", error)
            return
        for lost in sorted(self.names.keys() - alive.keys()):
            log.warning("the node %s is lost; its work is done elsewhere", printable(self.names[lost]))
        names = {
            i: f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})" for i, node in alive.items()
        }
        if self.names and not names:
            log.warning("no node is left; waiting for one")
        self.names = names
        self.core_count = int(sum(node["Resources"].get("CPU", 0) for node in alive.values()))


def _name(node: Mapping[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
