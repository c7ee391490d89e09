"""The same question in odd surroundings: the same answer, or one line that says what is in the way.

Each case is a process of its own, started as a user starts it.
"""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.trials.processes import environment, faults_of, fresh_cli
from tests.trials.sources import written

NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}
ODD = "ö é 日本 $(touch x) 'q' \"d\" [a] *? & \u202e"
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
SMALL = 16 << 10  # bytes


def limit(what, amount):
    """Return a function that sets a limit of the process."""
    return lambda: resource.setrlimit(what, (amount, amount))


@dataclass(frozen=True)
class Case:
    """Surroundings.

    expected: exit statuses that are right. env: variables; None for one that is unset. prepare: function of
    the folder that holds source and cache. options: as in `fresh_cli`. source, cache: their names in the
    folder. warm: whether the cache is filled first.
    """

    expected: tuple = (0,)
    env: dict = field(default_factory=dict)
    prepare: Callable = lambda folder: None
    options: dict = field(default_factory=dict)
    source: str = "source"
    cache: str = "cache"
    warm: bool = False


def _times(*seconds):
    """Return a function that gives the files of a folder these times in turn, as a clock set wrongly does."""

    def change(folder):
        for number, path in enumerate(sorted(folder.rglob("*"))):
            os.utime(path, (seconds[number % len(seconds)],) * 2)

    return change


def _read_only(folder):
    folder.chmod(0o755)
    for path in (folder / "cache", *(folder / "cache").rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


def _leave_folder():
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


def _small_disk(folder):
    (folder / "cache").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder / "cache")]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        raise NotImplementedError("no file system can be mounted")


CASES = {
    "HOME unset": Case(env={"HOME": None}),
    "HOME missing": Case(env={"HOME": "/nonexistent"}),
    "C locale": Case(env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}),
    "C locale, names beyond ASCII": Case(env=ASCII, source="ö é 日本", cache="ö"),
    "odd characters in paths": Case(source=ODD, cache=ODD + "c"),
    "a new line in paths": Case(source="a\nb", cache="c\nd"),
    "umask 077": Case(options={"before": lambda: os.umask(0o077)}),
    "40 open files": Case(options={"before": limit(resource.RLIMIT_NOFILE, 40)}),
    "1.5 GB of addresses": Case((0, 1), options={"before": limit(resource.RLIMIT_AS, 1_500 << 20)}),
    "400 MB of addresses": Case((0, 1), options={"before": limit(resource.RLIMIT_AS, 400 << 20)}),
    "files of 16 kB at most": Case((1,), options={"before": limit(resource.RLIMIT_FSIZE, SMALL)}),
    "a full disk": Case((1,), prepare=_small_disk),
    "files of 1970 and 2090": Case(prepare=_times(0, 3_786_912_000)),
    "clock set back": Case(prepare=_times(3_786_912_000), warm=True),
    "a cache that is read only, as nobody": Case(
        prepare=_read_only, options=NOBODY, env={"HOME": "/nonexistent"}, warm=True
    ),
    "a cache that cannot be made, as nobody": Case((1,), options=NOBODY, cache="not/there"),
    "a cache that is a file": Case((1,), cache="source/source.toml"),
    "a cache below a file": Case((1,), cache="source/source.toml/cache"),
    "a cache that is a device": Case((1,), cache="/dev/null"),
    "a working directory that was removed": Case((1,), options={"before": _leave_folder}),
    "no folder for temporary files": Case(env={"TMPDIR": "/nonexistent"}),
    "a terminal of one column": Case(env={"COLUMNS": "1", "LINES": "1", "TERM": "dumb"}),
    "no variables": Case(env=dict.fromkeys(("HOME", "PATH", "USER", "LANG", "TERM", "SHELL"))),
    "stdout full": Case((1,), options={"stdout": "/dev/full"}),
    "stdout closed": Case((0, 1), options={"before": lambda: os.close(1)}),
    "stderr closed": Case((0, 1), options={"before": lambda: os.close(2)}),
    "nobody reads stdout": Case((0, 1, 141, -13), options={"stdout": "pipe"}),
}
SILENT = {"stdout full", "stdout closed", "stderr closed", "nobody reads stdout"}
"""Cases in which nothing can be said, or heard."""


def _variables(case, folder):
    env = environment(folder / case.cache, **{name: value for name, value in case.env.items() if value})
    return {name: value for name, value in env.items() if case.env.get(name, value) is not None}


def _ask(case, folder):
    """Ask for the accuracies in the case's surroundings; return the outcome."""
    files = []
    options = dict(case.options)
    if options.get("stdout") == "pipe":
        reader, writer = os.pipe()
        os.close(reader)
        files, options["stdout"] = [writer], writer
    elif "stdout" in options:
        files = [os.open(options["stdout"], os.O_WRONLY)]
        options["stdout"] = files[0]
    try:
        source = folder / case.source
        return fresh_cli("evaluate", source, "--json", env=_variables(case, folder), cwd="/", **options)
    finally:
        for file in files:
            os.close(file)


def judge(name, case, outcome, folder, right):
    """Return what is wrong with an outcome. right: what is printed in ordinary surroundings."""
    faults = faults_of(outcome, case.expected)
    if name in SILENT:
        faults = [fault for fault in faults if "one line of error" not in fault]
    elif outcome.status == 0 and outcome.stdout != right:
        faults.append("another answer")
    if left := [path.name for path in folder.rglob("*.tmp")]:
        faults.append(f"unfinished files stay: {left[:4]}")
    return faults


def try_one(name, folder, right):
    """Return the faults of a case. Raises `NotImplementedError` if this machine cannot try it."""
    case = CASES[name]
    if case.options.get("user") and not _nobody_can_run():
        raise NotImplementedError(name)
    written(folder / case.source)
    if case.warm:
        _ask(Case(source=case.source, cache=case.cache), folder)
    try:
        case.prepare(folder)
        return judge(name, case, _ask(case, folder), folder, right)
    finally:
        if os.path.ismount(folder / case.cache):
            subprocess.run(["umount", str(folder / case.cache)], check=True)


def _nobody_can_run():
    try:
        tried = subprocess.run([sys.executable, "-c", ""], check=False, capture_output=True, **NOBODY)
    except PermissionError:
        return False
    return not tried.returncode


def run(trial):
    """Ask once in ordinary surroundings, then in all others."""
    ordinary = trial.folder / "ordinary"
    written(ordinary / "source")
    right = _ask(Case(), ordinary)
    assert not faults_of(right, (0,)), right
    trial.folder.chmod(0o755)  # nobody works below it
    names, untried = sorted(CASES), []
    trial.rng.shuffle(names)
    for name in trial.each(names):
        folder = trial.folder / f"case {trial.tried}"
        folder.mkdir()
        try:
            trial.fail(name, try_one(name, folder, right.stdout))
        except NotImplementedError:
            untried.append(name)
    trial.tried -= len(untried)
    trial.measured.append(f"of {len(CASES)}; not to be tried here: {', '.join(untried) or 'none'}")
