"""Processes of their own without the seconds that torch takes to load: forked from a server that has loaded it.

The server is multiprocessing's, one a test process, started by the first test that wants it. It loads other people's
modules alone, so that a child reads the environment, huggingface_hub's settings included, as a new process would.
A test of how a process starts goes by `command.run_cli` instead.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import types
from multiprocessing.connection import wait
from pathlib import Path
from unittest import mock

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["torch._dynamo", "pandas", "pyarrow.parquet", "safetensors.torch", "scipy.sparse"]
)

_lock = threading.Lock()  # a process starts or is asked how it ended: whoever starts one asks the others, too


def start(work, *arguments, env=None, cwd=None, output=None):
    """A process that does some work, a function of a module; its stdout and stderr go to files of a folder."""
    process = CONTEXT.Process(
        target=_begin, args=(work, arguments, dict(env or os.environ), cwd or os.getcwd(), output)
    )
    # Streamlit's test driver leaves its script as the main module, which the child would run.
    with _lock, mock.patch.dict(sys.modules, {"__main__": types.ModuleType("__main__")}):
        process.start()
    return process


def run(work, *arguments, env=None, cwd=None, timeout=120):
    """Do some work in a process of its own, as `subprocess.run` with its output captured."""
    with tempfile.TemporaryDirectory() as folder:
        process = start(work, *arguments, env=env, cwd=cwd, output=Path(folder))
        if not wait([process.sentinel], timeout):
            process.kill()
            raise subprocess.TimeoutExpired(arguments, timeout)
        with _lock:
            process.join()
        said = (Path(folder, name).read_text() for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(arguments, process.exitcode, *said)


def command(*arguments):
    """Work: the command, as `python -m kernel_core` runs it."""
    from kernel_core.cli.main import main

    sys.argv = ["kernel_core", *arguments]
    main()


def code(text, *arguments):
    """Work: some code, as `python -c` runs it."""
    sys.argv = ["-c", *arguments]
    exec(compile(text, "<code>", "exec"), {"__name__": "__main__"})  # noqa: S102 (code of the tests)


def cli(*arguments, **options):
    """The command in a forked process: quicker than `command.run_cli` by what torch takes to load."""
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
