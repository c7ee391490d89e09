"""A Ray cluster: one that runs already, or one that is started on this machine for the time being.

Ray is an extra, and imported only when it is asked for. Nothing but small results passes through its store of
objects: workers open files by their paths. The dashboard is off. What we start listens on this machine alone,
and answers only to those who know a token that is made anew each time.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from kernel_core.engines.engine import Engine
from kernel_core.errors import Unavailable
from kernel_core.printable import printable

STORE_BYTES = 500_000_000  # for results on their way; one block's has tens of MB at most
CONNECT_SECONDS = 5
# A cluster notices a lost node or a cut link within about 10 s, where Ray's own settings take more than 75.
# Each process reads these when it starts, so those of a running cluster must be set where it is started.
NOTICE_LOSS = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2500",
    "RAY_health_check_failure_threshold": "4",
    "RAY_grpc_keepalive_time_ms": "2000",
    "RAY_grpc_keepalive_timeout_ms": "3000",
    "RAY_grpc_client_keepalive_time_ms": "2000",
    "RAY_grpc_client_keepalive_timeout_ms": "3000",
}
PATIENT = {  # a busy machine takes longer than the 20 and 30 s after which Ray gives up starting
    "RAY_NUM_REDIS_GET_RETRIES": "180",
    "RAY_raylet_start_wait_time_s": "180",
    "RAY_worker_niceness": "0",  # Ray's own, 15, leaves workers next to nothing beside other programs
}
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # without it, Ray warns of how it will treat GPUs
}
# Off, this lets Ray use the loopback address, as it does on Windows and macOS.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


_kept: contextlib.ExitStack | None = None  # what ends a connection that is kept, while one may be


def refuse_missing(engine: Engine) -> None:
    """Raise `Unavailable` at once if an engine cannot be had, even if nothing may be left to do for it.

    Ray is not imported: that takes a second.
    """
    if engine.is_ray and importlib.util.find_spec("ray") is None:
        raise _not_installed("No module named 'ray'")
    if engine.address:
        _joining(engine.address)


def _not_installed(reason: object) -> Unavailable:
    return Unavailable(
        f"--engine ray needs Ray, which is not installed here ({reason}): pip install "
        '"kernel-explorer[ray]". Or leave --engine ray out.'
    )


@contextlib.contextmanager
def kept_connection() -> Iterator[None]:
    """Keep the first connection that is made within this block until its end: a cluster takes seconds."""
    global _kept
    if _kept is not None:
        yield
        return
    with contextlib.ExitStack() as stack:
        _kept = stack
        try:
            yield
        finally:
            _kept = None


@contextlib.contextmanager
def connected(address: str | None = None, workers: int | None = None) -> Iterator[Any]:
    """Yield the module `ray`, connected to a cluster; disconnect at the end, and stop what was started here.

    address: as in `Engine`. workers: cores of a cluster that is started here; None for all that there are.
    Within another such block, the connection of that one is used.

    Raises `Unavailable` if Ray is not installed, if there is no cluster at the address, or if it runs another
    version of Ray or Python.
    """
    own = {} if address else _own_settings()
    with contextlib.ExitStack() as own_stack:
        if not _is_connected():
            stack = _kept or own_stack
            patience = {} if address else PATIENT  # a cluster that runs already answers, or refuses
            stack.enter_context(_environment({**NOTICE_LOSS, **patience, **QUIET}, own))
            options = _joining(address) if address else _starting(workers, stack)
            ray = _import_ray()
            stack.callback(ray.shutdown)
            _connect(ray, address, options)
        yield _import_ray()


def _is_connected() -> bool:
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise _not_installed(error) from None
    return ray


@functools.cache
def _own_settings() -> dict[str, str]:
    """Return what keeps a cluster of this process to itself; nothing if Ray was imported without it."""
    if "ray" in sys.modules:
        return {}
    return {**LOOPBACK, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


@contextlib.contextmanager
def _environment(defaults: Mapping[str, str], forced: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, `defaults` where there are none; at the end, all is as before."""
    wanted = {name: os.environ.get(name, value) for name, value in defaults.items()} | dict(forced)
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _starting(workers: int | None, stack: contextlib.ExitStack) -> dict[str, Any]:
    """Return what starts Ray on this machine alone; its files are removed at the end."""
    # A short name: the paths of sockets in it have at most 107 characters.
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True))
    return {
        "num_cpus": workers,
        "include_dashboard": False,
        "object_store_memory": STORE_BYTES,
        "_temp_dir": folder,
    }


def _joining(address: str) -> dict[str, Any]:
    """Return what joins a cluster. Raises `Unavailable` if nobody answers at its address."""
    if address != "auto":
        host, _, port = address.removeprefix("ray://").rpartition(":")
        try:
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise Unavailable(
                f"There is no Ray cluster at {address} ({error}). Start one as docs/cluster.md says, or "
                "correct --address."
            ) from None
    return {"address": address}


def _connect(ray: Any, address: str | None, options: Mapping[str, Any]) -> None:
    # Ray prints on stdout that a node is lost, in five lines; `tasks` says it in one, on stderr.
    ray._private.worker._worker_logs_enabled = False
    try:
        ray.init(
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
            namespace="kernel-explorer",
            **options,
        )
    except Exception as error:  # noqa: BLE001 (Ray raises plain RuntimeError too)
        reason = printable(" ".join(str(error).split()))[:300]
        what = f"The Ray cluster at {address} cannot be joined" if address else "Ray cannot be started here"
        raise Unavailable(
            f"{what} ({type(error).__name__}: {reason}). Expected a running cluster with the Ray "
            f"{ray.__version__}, the Python and the RAY_AUTH_TOKEN of this machine; docs/cluster.md has "
            "the commands."
        ) from None
