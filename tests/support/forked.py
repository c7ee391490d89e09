"""New processes without the seconds that torch takes to load, forked from a server that has loaded it.

The server is multiprocessing's, one per test process, started by the first test that needs it. It loads only
third-party modules, so a child reads the environment, including huggingface_hub's settings, as a new process
would. A test of how a process starts uses `command.run_cli` instead.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import types
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from unittest import mock

CONTEXT = multiprocessing.get_context("forkserver")
PRELOADED = ["torch._dynamo", "pandas", "pyarrow.parquet", "safetensors.torch", "scipy.sparse"]
CONTEXT.set_forkserver_preload(PRELOADED)

# multiprocessing polls all children whenever a process starts or ends; two threads must not do so at once.
_lock = threading.Lock()


@contextmanager
def running(work, *arguments, env=None, cwd=None, output=None):
    """Start a process that calls `work`, a function of a module, with the arguments; kill it at the end.

    output: folder for its stdout and stderr, which become files of these names; None to discard them.
    """
    process = CONTEXT.Process(
        target=_begin, args=(work, arguments, dict(env or os.environ), cwd or os.getcwd(), output)
    )
    # Streamlit's test driver leaves its script as the main module, which the child would run.
    with _lock, mock.patch.dict(sys.modules, {"__main__": types.ModuleType("__main__")}):
        process.start()
    try:
        yield process
    finally:
        if not wait([process.sentinel], timeout=0):
            process.kill()
        with _lock:
            process.join()


def wait_until(condition, process):
    """Return once `condition()` is true; fail if the process ends before."""
    while not condition():
        assert not wait([process.sentinel], timeout=0.02) or condition(), "the process ended before"


def run(work, *arguments, env=None, cwd=None):
    """Call `work` in a new process and wait for it; return a `subprocess.CompletedProcess` with its output.

    Whatever happens meanwhile, the process has ended afterwards.
    """
    with tempfile.TemporaryDirectory() as folder:
        with running(work, *arguments, env=env, cwd=cwd, output=Path(folder)) as process:
            wait([process.sentinel])
        output = (Path(folder, name).read_text() for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(arguments, process.exitcode, *output)


def command(*arguments):
    """Run the command as `python -m kernel_core` does. Work for `run`."""
    from kernel_core.cli.main import main

    sys.argv = ["kernel_core", *arguments]
    main()


def code(text, *arguments):
    """Run code as `python -c` does. Work for `run`."""
    sys.argv = ["-c", *arguments]
    exec(compile(text, "<code>", "exec"), {"__name__": "__main__"})  # noqa: S102 (code of the tests)


def cli(*arguments, **options):
    """Run the command in a forked process; faster than `command.run_cli` by the time torch takes to load."""
    return run(command, *map(str, arguments), **options)


def _begin(work, arguments, environment, folder, output):
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(output / name if output else os.devnull, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    work(*arguments)
