"""What several processes, and killed ones, do to an ensemble's folder: `kills` and `together` are work of a process.

Each attempt is a forked child of it.
"""

import os
import signal
import sys
import traceback
from pathlib import Path

import numpy as np
import pandas  # noqa: F401 (once, not in every child)
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
    """Logits and features of a run: the same whenever it is asked for."""
    rng = np.random.default_rng(number)
    return {
        "logits": {s: rng.normal(size=(n, CLASSES)).astype(np.float32) for s, n in SIZES.items()},
        "features": {s: rng.normal(size=(n, 5)).astype(np.float32) for s, n in SIZES.items()},
    }


def contents(folder):
    """Relative path → bytes of every file, the lock aside."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(Path(folder).rglob("*"))
        if path.name != ".lock"
    }


def add_all(folder, runs=(3, 1, 502)):
    """What a training loop does, taken up again: add what is not there, then finish."""
    with EnsembleWriter(folder, images=images(), made_by={"seed": 0}) as writer:
        for run in runs:
            if run not in writer.runs:
                writer.add(run, **run_of(run))


def forked(work):
    """The status of a child that did some work: 0, or minus the signal that ended it."""
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
    """Do the work, but die at the step-th time that a file of the folder is renamed or removed."""
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
    os.fsync = lambda _file: None  # what a process wrote outlives it without
    assert forked(lambda: add_all(folder / "ensemble-whole")) == 0
    expected = contents(folder / "ensemble-whole")
    step, ended = 0, -signal.SIGKILL
    while ended == -signal.SIGKILL:
        path = folder / f"ensemble-{step}"
        ended = forked(lambda step=step, path=path: killed_at(step, lambda: add_all(path)))
        for file in path.rglob("*.safetensors"):  # whatever has its name is whole
            assert file.read_bytes() in expected.values() or file.parent.name == "pending"
        assert set(RunFiles(path).run_numbers) <= {1, 3, 502}
        assert forked(lambda path=path: add_all(path)) == 0, f"not mended after a kill at step {step}"
        assert contents(path) == expected, f"other bytes after a kill at step {step}"
        step += 1
    print("killed", step - 1)


def add_some(folder, worker, workers):
    """Every worker adds runs of its own, and all of them run 100."""
    writer = EnsembleWriter(folder, images=images(), made_by={"seed": 0})
    for run in range(worker, 40, workers):
        writer.add(run, **run_of(run))
    outcome = "won"
    try:
        writer.add(100, **run_of(100))
    except RequestError as error:
        outcome = "told" if "Run 100 is in the folder already" in str(error) else str(error)
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
                os._exit(status)
        children.append(child)
    assert all(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 for child in children)
    EnsembleWriter(folder / "ensemble").finish()
    add_all(folder / "alone", [*reversed(range(40)), 100])
    assert contents(folder / "ensemble") == contents(folder / "alone")
