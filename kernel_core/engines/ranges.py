"""Ranges of an ensemble's examples, done by the workers of a Ray cluster; what they return is small."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from kernel_core.engines.engine import Engine
from kernel_core.engines.rows import RunsFrom
from kernel_core.engines.search import Processors
from kernel_core.engines.tasks import run_tasks
from kernel_core.machine import cpu_info
from kernel_core.records import Ensemble

T = TypeVar("T")
LOGIT_SECONDS = 50e-9  # core-seconds per logit, to read it and take sums
SENT_BYTES = 16_000_000  # most that a task returns: many of them are on their way at once


@dataclass(frozen=True)
class Size:
    """Of one example: how many logits are read, and how many bytes come back."""

    logits: int
    sent: int


def grouped(ranges: Sequence[slice], size: Size, seconds: float) -> list[list[slice]]:
    """Return consecutive ranges in groups of at most about these core-seconds each, one range at least.

    >>> grouped([slice(0, 4), slice(4, 8), slice(8, 10)], Size(10**6, 1), seconds=0.4)
    [[slice(0, 4, None), slice(4, 8, None)], [slice(8, 10, None)]]
    """
    most = min(seconds / (LOGIT_SECONDS * size.logits), SENT_BYTES / size.sent)  # examples
    groups: list[list[slice]] = []
    for examples in ranges:
        if not groups or examples.stop - groups[-1][0].start > most:
            groups.append([])
        groups[-1].append(examples)
    return groups


def do_ranges(
    task: Callable[[Ensemble, slice], T], runs_from: RunsFrom, groups: Sequence[list[slice]], engine: Engine
) -> Iterator[tuple[slice, T]]:
    """Yield each range, and what the task returns for it, in the order in which they arrive.

    task: a function of a module, or a `functools.partial` of one. Raises what opening the runs and the task
    raise, and what `run_tasks` raises.
    """
    processors = Processors()
    do = functools.partial(do_group, task, runs_from)
    for number, (processor, results) in run_tasks(do, groups, engine, step="ranges of examples"):
        processors.add(processor)
        yield from zip(groups[number], results, strict=True)


def do_group(
    task: Callable[[Ensemble, slice], T], runs_from: RunsFrom, ranges: Sequence[slice]
) -> tuple[str, list[T]]:
    """Do some ranges on a worker; return the model of its processor, and what the task returns for each."""
    torch.set_num_threads(1)
    ensemble = _opened(runs_from)
    results = [task(ensemble, examples) for examples in ranges]
    ensemble.check_unchanged()
    return cpu_info().get("model name", ""), results


_open: dict[str, Ensemble] = {}  # of this worker: the runs that it opened last


def _opened(runs_from: RunsFrom) -> Ensemble:
    if runs_from.id not in _open:
        _open.clear()
        _open[runs_from.id] = runs_from.open()
    return _open[runs_from.id]
