"""The command and its server, started as a user starts them."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from kernel_core.cli.main import main

ROOT = Path(__file__).resolve().parents[2]


def run_cli(*arguments, env=None, cwd=None):
    """Run the command in a new process, as a user does; return its `subprocess.CompletedProcess`."""
    command = [sys.executable, "-m", "kernel_core", *map(str, arguments)]
    env = dict(env or os.environ, PYTHONPATH=str(ROOT))
    return subprocess.run(command, check=False, capture_output=True, text=True, env=env, cwd=cwd or ROOT)


def invoke(*arguments, env=None):
    """Run the command in this process, which is faster; return click's result."""
    return CliRunner().invoke(
        main, [str(argument) for argument in arguments], env=env, prog_name="kernel-explorer"
    )


@contextmanager
def process_of(command, **options):
    """Start a process as leader of a new group; at the end, kill whatever is left of the group.

    options: as in `subprocess.Popen`.
    """
    with subprocess.Popen(command, start_new_session=True, **options) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def reserved_port():
    """Yield a port on 127.0.0.1 that nothing else gets while a server is being started on it.

    The port stays bound but not listening. With SO_REUSEADDR on both sides, Linux lets a server bind it too,
    and gives it to nobody who asks for any port.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        if sys.platform != "linux":
            holder.close()
        yield port


def wait_until_healthy(process, port):
    """Return once the app answers on the port; fail if its process ends, or after five minutes."""
    for _ in range(3_000):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as response:
                assert response.read() == b"ok"
            return
        except OSError:
            assert process.poll() is None, "the server ended"
            time.sleep(0.1)
    pytest.fail("the server did not answer")


def assert_no_torch(process):
    """Check in Linux's list of mapped files that the web process has not loaded torch."""
    maps = Path(f"/proc/{process.pid}/maps")
    if maps.exists():
        assert "libtorch" not in maps.read_text()
