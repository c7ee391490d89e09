"""The command and its server, as a user starts them."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from kernel_core.cli.main import main

ROOT = Path(__file__).resolve().parents[2]


def run_cli(*arguments, env=None, cwd=None, timeout=120):
    """The command as a user runs it, in a process of its own."""
    command = [sys.executable, "-m", "kernel_core", *map(str, arguments)]
    env = dict(env or os.environ, PYTHONPATH=str(ROOT))
    return subprocess.run(
        command, check=False, capture_output=True, text=True, env=env, cwd=cwd or ROOT, timeout=timeout
    )


def invoke(*arguments, env=None):
    """The command in this process, which is quicker; its exit_code, stdout and stderr."""
    return CliRunner().invoke(
        main, [str(argument) for argument in arguments], env=env, prog_name="kernel-explorer"
    )


def free_port():
    """A port on 127.0.0.1 that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_healthy(process, port):
    """Return once the app answers on the port; fail if its process ends or a minute and more passes."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as answer:
                assert answer.read() == b"ok"
            return
        except OSError:
            assert process.poll() is None, "the server ended"
            time.sleep(0.1)
    pytest.fail("the server did not answer")


def assert_no_torch(process):
    """The web process must not have loaded torch (read from Linux's list of what it has mapped)."""
    maps = Path(f"/proc/{process.pid}/maps")
    if maps.exists():
        assert "libtorch" not in maps.read_text()
