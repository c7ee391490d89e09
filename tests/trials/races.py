"""Several processes on one cache, one source, one folder or one port at the same time.

Each ends well or with one line, and afterwards everything is as if they had come one after the other.
"""

import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.support.command import ROOT, process_of, reserved_port, wait_until_healthy
from tests.trials import kills
from tests.trials.processes import command, environment, faults_of, forked_work, fresh_cli
from tests.trials.sources import written

ROUNDS = 6  # of the quick races


class Arena:
    """A fresh source, cache and folder for one race, and what a race does in it."""

    def __init__(self, trial, folder, alone):
        self.trial, self.folder, self.alone = trial, folder, alone
        self.env = environment(folder / "cache", PYTHONDONTWRITEBYTECODE="1")
        # A copy: features that are written anew have their metadata in another order, and another key.
        self.source = str(shutil.copytree(alone.source, folder / "source"))
        self.faults = []

    def cli(self, *arguments):
        """Run the command; return its outcome."""
        return forked_work(command, *arguments, env=self.env, cwd=str(self.folder), seconds=90)

    def after(self, share, *arguments):
        """Run the command once about a share of a whole build's time has gone by."""
        time.sleep(self.trial.rng.uniform(*share) * self.alone.seconds)
        return self.cli(*arguments)

    def expect(self, outcome, *expected):
        """Note what is wrong with an outcome."""
        self.faults += faults_of(outcome, expected or (0,))

    def expect_results(self):
        """Build what is lacking; note what differs from a build alone, and unfinished files."""
        self.expect(self.cli("build", self.source))
        if other := kills.differences(kills.entries(self.folder), self.alone.entries):
            self.faults.append(f"other results: {other[:4]}")
        if left := [path.name for path in self.folder.rglob("*.tmp*")]:
            self.faults.append(f"unfinished files stay: {left[:4]}")


def at_once(*jobs):
    """Call functions at the same time; return what they return."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        return [job.result() for job in [pool.submit(job) for job in jobs]]


def two_builds(arena):
    for outcome in at_once(*[partial(arena.cli, "build", arena.source)] * 2):
        arena.expect(outcome)
    arena.expect_results()


def builds_of_other_options(arena):
    options = ((), ("--runs", "8"), ("--similarity", "pixels"), ("--query", "train", "--database", "train"))
    for outcome in at_once(*(partial(arena.cli, "build", arena.source, *more) for more in options)):
        arena.expect(outcome)


def cache_removed(arena, *verb):
    build, removal = at_once(
        partial(arena.cli, "build", arena.source), partial(arena.after, (0, 1), "cache", *verb)
    )
    arena.expect(build, 0, 1)
    arena.expect(removal)
    arena.expect_results()


def cache_emptied_again_and_again(arena):
    over = []

    def empty():
        while not over:
            for path in (arena.folder / "cache").glob("*/*.safetensors"):
                path.unlink(missing_ok=True)
            time.sleep(0.02)

    def build():
        try:
            return arena.cli("build", arena.source)
        finally:
            over.append(True)

    arena.expect(at_once(build, empty)[0], 0, 1)
    arena.expect_results()


def source_changed(arena):
    log = arena.folder / "source/runs/a/log.pt"
    good = log.read_bytes()

    def change():
        time.sleep(arena.trial.rng.uniform(0, 1) * arena.alone.seconds)
        log.write_bytes(good[: len(good) // 2])

    arena.expect(at_once(partial(arena.cli, "build", arena.source), change)[0], 0, 1)
    log.write_bytes(good)
    arena.expect_results()


def two_trainings(arena):
    training = partial(arena.cli, *kills.TRAINING, str(arena.folder / "ensemble"))
    outcomes = at_once(training, training)
    for outcome in outcomes:
        arena.expect(outcome, 0, 1)
    if all(outcome.status for outcome in outcomes):
        arena.faults.append("neither training ended well")
    arena.expect(training())


def two_makers_of_features(arena):
    bare = written(arena.folder / "bare", features=False)
    (arena.folder / "trial_network.py").write_text(kills.NETWORK)
    make = partial(arena.cli, "features", str(bare), "--model", "trial_network:make", "--layer", "1")
    for outcome in at_once(make, make):
        arena.expect(outcome, 0, 1)
    sections = (bare / "source.toml").read_text().count("[features]")
    if sections != 1:
        arena.faults.append(f"{sections} sections [features]")
    arena.expect(arena.cli("evaluate", str(bare)))


def two_writers(arena):
    kind = kills.KINDS["writer"]
    write = partial(forked_work, kind.work, str(arena.folder / "ensemble"), env=arena.env, seconds=90)
    for outcome in at_once(write, write):
        refused = "is in the folder already" in outcome.stderr
        if outcome.broken or (outcome.status and not refused):
            arena.faults.append(outcome.broken or outcome.last)
    arena.faults += [] if not write().status else ["the next writer fails"]
    found = kind.result(arena.folder)
    shutil.rmtree(arena.folder / "ensemble")
    write()
    if other := kills.differences(found, kind.result(arena.folder)):
        arena.faults.append(f"other files than of one writer: {other[:4]}")


def _serve(arena, port):
    return process_of(
        [sys.executable, "-m", "kernel_core", "serve", arena.source, "--port", str(port)],
        env=arena.env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def two_servers_of_one_cache(arena):
    with (
        reserved_port() as first,
        reserved_port() as second,
        _serve(arena, first) as one,
        _serve(arena, second) as other,
    ):
        wait_until_healthy(one, first)
        wait_until_healthy(other, second)
    arena.expect_results()


def two_servers_of_one_port(arena):
    with reserved_port() as port:
        pass  # nobody holds it now, as a port in use is refused
    with _serve(arena, port) as one:
        wait_until_healthy(one, port)
        second = fresh_cli("serve", arena.source, "--port", str(port), env=arena.env)
        arena.expect(second, 1)
        if not re.search(r"[Pp]ort", second.last):
            arena.faults.append(f"does not name the port: {second.last}")


RACES = {
    "two builds": two_builds,
    "builds of other options": builds_of_other_options,
    "cache cleared during a build": lambda arena: cache_removed(arena, "clear"),
    "cache pruned during a build": lambda arena: cache_removed(arena, "prune", "--days", "0"),
    "cache emptied again and again": cache_emptied_again_and_again,
    "source changed during a build": source_changed,
    "two writers": two_writers,
    "two makers of features": two_makers_of_features,
    "two trainings": two_trainings,
    "two servers of one cache": two_servers_of_one_cache,
    "two servers of one port": two_servers_of_one_port,
}
SLOW = {"two trainings", "two servers of one cache", "two servers of one port"}
"""Races that are run once; the others `ROUNDS` times."""


class Alone:
    """A build that nothing disturbs: its source, seconds and entries."""

    def __init__(self, folder):
        self.source = written(folder / "source")
        outcome = forked_work(command, "build", str(self.source), env=environment(folder / "cache"))
        assert not faults_of(outcome, (0,)), outcome
        self.seconds, self.entries = outcome.seconds, kills.entries(folder)


def run(trial):
    """Run each race, most of them several times at other moments."""
    alone = Alone(trial.folder / "alone")
    rounds = [name for turn in range(ROUNDS) for name in RACES if turn == 0 or name not in SLOW]
    for name in trial.each(rounds):
        shutil.rmtree(trial.folder / "case", ignore_errors=True)
        arena = Arena(trial, trial.folder / "case", alone)
        RACES[name](arena)
        trial.fail(f"{name}, race {trial.tried}", arena.faults)
    trial.measured.append(f"of {len(rounds)}")
