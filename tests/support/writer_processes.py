"""Work for processes that write an ensemble's folder: `kills` kills them, `together` runs several at once.

Each attempt is made by a forked child.
"""

import os
import signal
import sys
import traceback
from pathlib import Path

import numpy as np
import pandas  # noqa: F401 (loaded once, not in every child)
import pyarrow.parquet  # noqa: F401

from kernel_core.ensembles.folder import RunFiles
from kernel_core.ensembles.writer import EnsembleWriter
from kernel_core.errors import RequestError

SIZES = {"train": 9, "test": 6}
CLASSES = 3
KILLABLE = {"os.rename", "os.remove", "os.rmdir"}  # with "open" and "os.mkdir" too: 83 kills, two minutes


def images(seed=0):
    rng = np.random.default_rng(seed)
    return {
        split: (rng.integers(0, 256, (n, 4, 4, 3), dtype=np.uint8), np.arange(n) % CLASSES)
        for split, n in SIZES.items()
    }


def run_of(number):
    """Make logits and features of a run, which depend on its number alone."""
    rng = np.random.default_rng(number)
    return {
        "logits": {s: rng.normal(size=(n, CLASSES)).astype(np.float32) for s, n in SIZES.items()},
        "features": {s: rng.normal(size=(n, 5)).astype(np.float32) for s, n in SIZES.items()},
    }


def contents(folder):
    """Return relative path → bytes of every file but the lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(Path(folder).rglob("*"))
        if path.name != ".lock"
    }


def add_all(folder, runs=(3, 1, 502)):
    """Do as a training loop that is resumed: add the missing runs, then finish."""
    with EnsembleWriter(folder, images=images(), made_by={"seed": 0}) as writer:
        for run in runs:
            if run not in writer.runs:
                writer.add(run, **run_of(run))


def forked(work):
    """Do some work in a forked child; return 0, or minus the signal that ended it."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            if status:
                traceback.print_exc()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(step, work):
    """Do the work, but die when a file of the folder is renamed or removed for the step-th time."""
    left = step

    def hook(event, arguments):
        nonlocal left
        if event in KILLABLE and "ensemble" in str(arguments[0]):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    work()


def kills(folder):
    os.fsync = lambda _file: None  # what a process wrote survives its death without it
    assert forked(lambda: add_all(folder / "ensemble-whole")) == 0
    expected = contents(folder / "ensemble-whole")
    step, ended = 0, -signal.SIGKILL
    while ended == -signal.SIGKILL:
        path = folder / f"ensemble-{step}"
        ended = forked(lambda step=step, path=path: killed_at(step, lambda: add_all(path)))
        for file in path.rglob("*.safetensors"):  # a file with its final name is complete
            assert file.read_bytes() in expected.values() or file.parent.name == "pending"
        assert set(RunFiles(path).run_numbers) <= {1, 3, 502}
        assert forked(lambda path=path: add_all(path)) == 0, f"not repaired after a kill at step {step}"
        assert contents(path) == expected, f"other bytes after a kill at step {step}"
        step += 1
    print("killed", step - 1)


def add_some(folder, worker, workers):
    """Add the runs of one worker, and run 100, which all workers add."""
    writer = EnsembleWriter(folder, images=images(), made_by={"seed": 0})
    for run in range(worker, 40, workers):
        writer.add(run, **run_of(run))
    outcome = "won"
    try:
        writer.add(100, **run_of(100))
    except RequestError as error:
        outcome = "refused" if "Run 100 is in the folder already" in str(error) else str(error)
    print(outcome, flush=True)


def together(folder):
    children = []
    for worker in range(4):
        child = os.fork()
        if not child:
            status = 1
            try:
                add_some(folder / "ensemble", worker, 4)
                status = 0
            finally:
                if status:
                    traceback.print_exc()
                    sys.stderr.flush()
                os._exit(status)
        children.append(child)
    assert all(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 for child in children)
    EnsembleWriter(folder / "ensemble").finish()
    add_all(folder / "alone", [*reversed(range(40)), 100])
    assert contents(folder / "ensemble") == contents(folder / "alone")
