"""Run trials, and print a table of what was tried and what failed. Exit status 1 if anything failed."""

import importlib
import sys
import tempfile
from pathlib import Path

import click
import pytest

from tests.support import forked
from tests.trials.trial import Trial, markdown_table, plain_table

TRIALS = {
    "kills": 1200,
    "damage": 900,
    "hostile": 900,
    "walks": 1200,
    "load": 360,
    "surroundings": 900,
    "races": 900,
    "verdicts": 900,
}
"""Name of a trial, which is the module with its function `run` → the seconds that it may begin cases in."""
LOADED = ("kernel_core.cli.main", "kernel_core.pipeline", "tests.trials.hostile")
"""What forked processes have loaded beside third-party modules, so that a case takes half a second."""


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(TRIALS)))
@click.option("--seconds", type=float, help="Begin no case after these, in each trial.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--cases", type=int, help="Try at most this many, in each trial.")
@click.option("--only", default="", metavar="REGEX", help="Try only cases whose names match.")
def main(names, seconds, seed, cases, only):
    """Run the trials NAMES; all of them by default."""
    forked.CONTEXT.set_forkserver_preload([*forked.PRELOADED, *LOADED])
    trials = []
    for name in names or TRIALS:
        with tempfile.TemporaryDirectory(prefix=f"trial-{name}-", ignore_cleanup_errors=True) as folder:
            trial = Trial(name, Path(folder).resolve(), seconds or TRIALS[name], seed, cases, only)
            trials.append(run_one(trial))
        print(plain_table([trial]), flush=True)
    print(f"\n{plain_table(trials)}\n\n{markdown_table(trials)}")
    sys.exit(any(trial.failures for trial in trials))


def run_one(trial):
    """Run a trial; an error of its own, or nothing tried, is a failure. Returns the trial."""
    try:
        importlib.import_module(f"tests.trials.{trial.name}").run(trial)
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 (the other trials go on)
        trial.fail("the trial itself", f"{type(error).__name__}: {error}")
    if not trial.tried:
        trial.fail("the trial itself", "nothing was tried")
    trial.end()
    return trial


if __name__ == "__main__":
    main()
