"""The command in a process with bounds on time and memory, and what is wrong with the way that it ended."""

import os
import re
import resource
import signal
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

from tests.support import forked
from tests.support.command import ROOT, process_of

SECONDS = 45  # in which a command ends, whatever it is given
MEGABYTES = 3_000  # that it takes at most
ADDRESSES = 16 << 30  # bytes of address space; a net below the bound above, which is looked at now and then
LONGEST = 2_500  # characters of a line on stderr
KEPT = 1_000_000  # bytes of output that are read
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    status: exit status, or minus a signal. broken: the bound for which it was ended, else empty.
    """

    status: int
    stdout: str
    stderr: str
    seconds: float
    megabytes: float
    broken: str = ""

    @property
    def said(self):
        """Lines on stderr, without those of progress."""
        lines = filter(str.strip, self.stderr.splitlines())
        return [line for line in lines if not re.search(r"…( \d+%)?$", line.rstrip())]

    @property
    def last(self):
        """The last line on stderr, cut."""
        return self.said[-1][:300] if self.said else ""


def faults_of(outcome, expected=(0, 1, 2)):
    """Return what is wrong with an outcome, a list of texts.

    Whatever a command meets, it ends within its bounds. If it fails, it does so with exit status 1, or
    2 for wrong arguments, and one line that begins with "Error: ". It prints no traceback, no endless line,
    nothing that a terminal obeys.
    """
    if outcome.broken:
        return [outcome.broken]
    faults = []
    if "Traceback (most recent call last)" in outcome.stderr:
        faults.append(f"traceback: {outcome.last}")
    if outcome.status not in expected:
        faults.append(f"exit status {outcome.status}, expected {expected}: {outcome.last}")
    errors = [line.startswith("Error: ") for line in outcome.said]
    if outcome.status in (1, 2) and (errors.count(True) != 1 or not errors[-1]):
        faults.append(f"does not end with one line of error: {outcome.said[-3:]}")
    if "Error: Unexpected error" in outcome.stderr:
        faults.append(f"nobody foresaw it: {outcome.last}")
    if control := CONTROL.search(outcome.stdout + outcome.stderr):
        faults.append(f"prints the control character {control.group()!r}")
    longest = max(map(len, outcome.stderr.splitlines()), default=0)
    if longest > LONGEST:
        faults.append(f"prints a line of {longest} characters")
    return faults


def environment(cache, **more):
    """Return the environment of a command with this cache, of the program beside these trials."""
    return (
        dict(os.environ, KERNEL_EXPLORER_CACHE=str(cache), PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1") | more
    )


def forked_cli(*arguments, env, seconds=SECONDS, cwd=None):
    """Run the command in a process forked from one that has loaded torch; return its `Outcome`."""
    return forked_work(command, *map(str, arguments), env=env, seconds=seconds, cwd=cwd)


def forked_work(work, *arguments, env, seconds=SECONDS, megabytes=MEGABYTES, cwd=None):
    """Call `work` in a forked process with bounds; return its `Outcome`."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        with started(work, *arguments, env=env, cwd=cwd, output=Path(folder)) as process:
            used, broken = watch(
                process.pid, lambda left: wait([process.sentinel], timeout=left), seconds, megabytes
            )
        outputs = [_read(Path(folder, name)) for name in ("stdout", "stderr")]
        return Outcome(process.exitcode, *outputs, time.monotonic() - began, used, broken)


@contextmanager
def started(work, *arguments, **options):
    """Call `work` in a forked process that leads a group; end the group at the end.

    options: as in `forked.running`.
    """
    with forked.running(_leading, work, arguments, **options) as process:
        try:
            yield process
        finally:
            end_group(process.pid)


def fresh_cli(*arguments, seconds=2 * SECONDS, before=None, **options):
    """Run the command in a process of its own, as a user does; return its `Outcome`.

    before: called in the process before it becomes the command. options: as in `subprocess.Popen`, with env.
    """
    command = [sys.executable, "-m", "kernel_core", *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        files = [open(Path(folder, name), "wb") for name in ("stdout", "stderr")]  # noqa: SIM115
        options = {"stdout": files[0], "stderr": files[1], "cwd": ROOT, "preexec_fn": before, **options}
        with process_of(command, **options) as process:
            began = time.monotonic()
            megabytes, broken = watch(process.pid, lambda left: _ended(process, left), seconds)
        for file in files:
            file.close()
        outputs = [_read(Path(folder, name)) for name in ("stdout", "stderr")]
    return Outcome(process.returncode, *outputs, time.monotonic() - began, megabytes, broken)


def watch(pid, ended, seconds, megabytes=MEGABYTES):
    """Wait until a process has ended, and end its group if it breaks a bound.

    ended: function of seconds to wait that returns whether the process has ended. Returns the most megabytes
    that were seen, and the bound that was broken, or an empty text.
    """
    began, used = time.monotonic(), 0.0
    while not ended(0.01):
        used = max(used, megabytes_of(pid))
        broken = (
            f"takes more than {megabytes} MB" if used > megabytes
            else f"does not end in {seconds} s" if time.monotonic() - began > seconds
            else ""
        )  # fmt: skip
        if broken:
            end_group(pid)
            return used, broken
    return used, ""


def megabytes_of(pid, what="VmHWM"):
    """Return the most memory that a process has used, or with "VmRSS" what it uses now; 0 if it is gone."""
    with suppress(OSError):
        found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0
    return 0.0


def end_group(pid):
    """End a process and what it has started, if it leads a group."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def command(*arguments):
    """Run the command with little enough address space for the machine's sake. Work for a process."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    forked.command(*arguments)


def _leading(work, arguments):
    os.setsid()  # what it starts can then be ended with it
    work(*arguments)


def _ended(process, left):
    with suppress(Exception):
        process.wait(left)
    return process.poll() is not None


def _read(path):
    with open(path, "rb") as file:
        return file.read(KEPT).decode(errors="replace")
