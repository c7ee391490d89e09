"""Trainings as work of a forked process, and what they leave in a folder."""

import multiprocessing
import resource

from tests.support import forked


def train_forking(*arguments):
    """Run the command, with forked workers; this is the work of a forked process."""
    from kernel_core.networks import workers

    fork = multiprocessing.get_context("fork")
    workers.multiprocessing.get_context = lambda _: fork
    forked.command(*arguments)


def train_on_a_full_disk(*arguments):
    """Run the command, and its workers, with files limited to 16 KB; this is the work of a forked process."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 * 1024, 16 * 1024))
    forked.command(*arguments)  # starts its worker as it does for a user


def listing(folder):
    """Return each file of a folder with its size and time of change, locks left out."""
    return sorted(
        (str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*") if ".lock" not in p.name
    )
