"""Processes killed at random moments while they build, train, lay out a map, compute features or write runs.

Afterwards the same command ends as if nothing had been: with the results of an undisturbed run, no unfinished
file, no lock that nobody holds.
"""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait

import numpy as np
from safetensors import SafetensorError, safe_open

from tests.trials.processes import SECONDS, command, environment, faults_of, forked_work, started
from tests.trials.sources import lay_out_map, written

COUNTS = {"build": 70, "writer": 50, "features": 40, "train": 30, "map": 10}
"""What is killed → how often, of 200 times."""
NETWORK = """
import torch

def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 8), torch.nn.Linear(8, 5))
"""
TRAINING = "train", "digits", "--runs", "4", "--epochs", "1", "--workers", "1", "--out"
UNCOMPARED = {"hashes", "moments"}  # kinds of entries: these name files, those are only there while needed
CLOSE = 1e-6  # two ways to multiply matrices may differ by this
LOCKS = {".lock", ".training.lock"}


def _write_runs(folder):
    from tests.support.writer_processes import add_all

    add_all(folder, range(12))


def entries(folder):
    """Return the arrays of every entry of the cache."""
    found = {}
    for path in sorted((folder / "cache").glob("*/*.safetensors")):
        if path.parent.name not in UNCOMPARED:
            try:
                with safe_open(path, "np") as file:
                    arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
            except SafetensorError as error:
                arrays = {f"damaged ({error})": np.zeros(0)}
            found |= {f"{path.parent.name}/{path.stem} {key}": array for key, array in arrays.items()}
    return found


def _files(*parts):
    """Return a function of a folder that digests every file of one folder in it."""

    def digest(folder):
        root = folder.joinpath(*parts)
        paths = [path for path in sorted(root.rglob("*")) if path.is_file() and path.name not in LOCKS]
        return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}

    return digest


@dataclass(frozen=True)
class Kind:
    """What is killed.

    arguments: function of the case's folder; work is called with them. result: function of that folder, what
    is compared. done: words of the error of a command that had finished before it was killed.
    """

    work: Callable
    arguments: Callable
    result: Callable
    done: str = ""


KINDS = {
    "build": Kind(command, lambda f: ("build", str(f / "source")), entries),
    "map": Kind(lay_out_map, lambda f: (str(f / "source"),), entries),
    "writer": Kind(_write_runs, lambda f: (str(f / "ensemble"),), _files("ensemble")),
    "train": Kind(
        command,
        lambda f: (*TRAINING, str(f / "ensemble")),
        _files("ensemble"),
    ),
    "features": Kind(
        command,
        lambda f: ("features", str(f / "bare"), "--model", "trial_network:make", "--layer", "1"),
        _files("bare"),
        done="--replace",
    ),
}  # fmt: skip


def differences(found, expected):
    """Return the names of results that are missing, too many, or other than expected; each with its fault."""
    missing = [f"{name} is missing" for name in expected.keys() - found.keys()]
    more = [f"{name} is too many" for name in found.keys() - expected.keys()]
    common = found.keys() & expected.keys()
    return sorted(missing + more + [f"{n} differs" for n in common if not _same(found[n], expected[n])])


def _same(a, b):
    if isinstance(a, str):
        return a == b
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return (
        np.allclose(a, b, rtol=0, atol=CLOSE, equal_nan=True) if a.dtype.kind == "f" else np.array_equal(a, b)
    )


def _prepare(trial):
    """Write what every case starts from; return its folder."""
    good = trial.folder / "good"
    written(good / "source")
    written(good / "bare", features=False)
    (good / "trial_network.py").write_text(NETWORK)
    return good


def _options(folder):
    return {"env": environment(folder / "cache", PYTHONDONTWRITEBYTECODE="1"), "cwd": str(folder)}


def _fresh(good, folder):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good, folder)


def _complete(kind, folder):
    return forked_work(kind.work, *kind.arguments(folder), **_options(folder), seconds=2 * SECONDS)


def _kill(kind, folder, after, together):
    """Start the work, or two at the same time; kill all after some seconds. Return whether it still ran."""
    with started(kind.work, *kind.arguments(folder), **_options(folder)) as first:
        if together:
            with started(kind.work, *kind.arguments(folder), **_options(folder)):
                return not wait([first.sentinel], timeout=after)
        return not wait([first.sentinel], timeout=after)


def judge(kind, outcome, folder, expected):
    """Return what is wrong after the run that followed a kill. expected: results of an undisturbed run."""
    was_done = kind.done and outcome.status == 1 and kind.done in outcome.stderr
    faults = faults_of(outcome, (0, 1) if was_done else (0,))
    if other := differences(kind.result(folder), expected):
        faults.append(f"other results: {other[:4]}")
    if left := [path.name for path in folder.rglob("*.tmp*")]:
        faults.append(f"unfinished files stay: {left[:4]}")
    return faults


def run(trial):
    """Kill each kind of work as often as `COUNTS` says, in random order."""
    good, folder = _prepare(trial), trial.folder / "case"
    order = [name for name, count in COUNTS.items() for _ in range(count)]
    trial.rng.shuffle(order)
    undisturbed, running, left, slowest = {}, 0, 0, 0.0
    for number, name in trial.each(enumerate(order, 1)):
        kind = KINDS[name]
        if name not in undisturbed:
            _fresh(good, folder)
            outcome = _complete(kind, folder)
            assert not faults_of(outcome, (0,)), f"undisturbed {name}: {outcome}"
            undisturbed[name] = kind.result(folder), outcome.seconds
        expected, seconds = undisturbed[name]
        _fresh(good, folder)
        running += _kill(kind, folder, trial.rng.uniform(0, 1.05) * seconds, trial.rng.random() < 0.2)
        left += any(folder.rglob("*.tmp*"))
        outcome = _complete(kind, folder)
        slowest = max(slowest, outcome.seconds / seconds)
        trial.fail(f"{name}, kill {number}", judge(kind, outcome, folder, expected))
    trial.measured.append(
        f"{running} killed while running, {left} left unfinished files; "
        f"the next took at most {slowest:.1f} times an undisturbed one"
    )
