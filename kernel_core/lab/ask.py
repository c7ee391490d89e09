"""Put a question to a source: what it lacks is built, each point is kept, and the answer is kept too."""

from __future__ import annotations

import logging
import resource
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kernel_core.errors import DataError, RequestError
from kernel_core.lab import classes, runs, transforms, untrained, variation
from kernel_core.lab.attributions import answer as attribution
from kernel_core.lab.curves import BANDS, MEASURES, Answered, twin_count
from kernel_core.lab.setting import Setting
from kernel_core.machine import Machine, choose_device, use_allowed_cores
from kernel_core.pipeline.build import budget_on, build
from kernel_core.pipeline.inputs import Inputs
from kernel_core.progress import Progress, no_progress
from kernel_core.results.answers import Answer, write_answer
from kernel_core.results.entries import Entries
from kernel_core.results.keys import plan_keys
from kernel_core.results.results import Results
from kernel_core.results.store import Store
from kernel_core.review.truth import read_truth
from kernel_core.shortage import shortage_said
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest

ANSWERS: dict[str, Callable[[Setting, Sequence[int] | None], Answered]] = {
    "transforms": transforms.answer,
    "classes": classes.answer,
    "untrained": untrained.answer,
    "attribution": attribution.answer,
    "runs": runs.answer,
    "variation": variation.answer,
}
"""Question → what answers it from numbers of runs, if any were asked for."""
LEAST_RUNS = 4  # two sets of two
log = logging.getLogger("kernel_core")


@dataclass(frozen=True)
class Order:
    """How a question is put.

    queries: number of query examples that are drawn; None for all. sets: most disjoint sets of runs of a
    size. seed: of what is drawn. counts: numbers of runs; None for the question's own. truth: a list of known
    twins; None for those that are found.
    """

    queries: int | None = 2_000
    sets: int = 4
    seed: int = 0
    counts: tuple[int, ...] | None = None
    truth: Path | None = None


def ask(
    question: str,
    request: SourceRequest,
    order: Order,
    *,
    device: str = "auto",
    budget: int | None = None,
    progress: Progress = no_progress,
    store: Store | None = None,
) -> Answer:
    """Return the answer to a question, and keep it in the cache. The other parameters are those of `build`.

    Raises any `KernelExplorerError`; the points that were finished are in the cache then, so that the
    question goes on where it was.
    """
    before, store = _seconds(), store or Store()
    setting = open_setting(request, order, device=device, budget=budget, progress=progress, store=store)
    with shortage_said():
        found = ANSWERS[question](setting, order.counts)
    asked = {
        "runs": setting.ensemble.run_count,
        "queries": found.queries or len(setting.queries),
        "of": setting.query_total,
        "sets": order.sets,
        "seed": order.seed,
        "truth": None if order.truth is None else order.truth.name,
    }
    answer = Answer(
        question,
        setting.results.name,
        found.seen,
        found.panels,
        found.tables,
        bands=_bands(found, setting, order),
        asked=asked,
        command=_command(question, request, order),
        seconds=round(_seconds() - before, 1),
    )
    write_answer(setting.keys, answer, store)
    return answer


def _bands(found: Answered, setting: Setting, order: Order) -> str:
    """Return what the bands are, and where the twins come from if there are any."""
    said = found.bands or BANDS.format(sets=order.sets)
    if not any(panel.title == MEASURES["twin_first"] for panel in found.panels):
        return said
    where = (
        f"they are those of {order.truth.name}"
        if order.truth
        else "they were found by pixels and the kernel of all runs, which favors what finds the same pairs"
    )
    return f"{said} Twins: {twin_count(setting):,} of the query examples have one; {where}."


def open_setting(
    request: SourceRequest,
    order: Order,
    *,
    device: str,
    budget: int | None,
    progress: Progress,
    store: Store,
) -> Setting:
    """Return a source to put questions to, built if need be. Raises `RequestError` for too few runs."""
    results = build(request, device=device, budget=budget, progress=progress, store=store)
    if results.run_count < LEAST_RUNS:
        raise RequestError(
            f"{results.name} has {results.run_count} runs; a question compares sets of runs. Expected "
            f"{LEAST_RUNS} or more."
        )
    keys = plan_keys(open_source(request, progress=progress), request, store)
    torch_device = choose_device(device)
    machine = Machine(torch_device, budget or budget_on(torch_device), store.root / "products")
    use_allowed_cores()
    return Setting(
        results,
        Inputs(Entries(keys, store), machine, progress).ensemble,
        keys,
        store,
        machine,
        progress,
        query_count=order.queries,
        sets=order.sets,
        seed=order.seed,
        known=_known_twins(order.truth, results),
    )


def _known_twins(path: Path | None, results: Results) -> list[tuple[int, int]]:
    """Return the pairs of twins that a list names, by index; none where there is no list.

    Raises `DataError` if it cannot be read, or has no twins of the source.
    """
    if path is None:
        return []
    query, database = results.spec.splits
    truth = read_truth(path, results.examples, query if query == database else None)
    for line in truth.warnings:
        log.warning("%s: %s", path, line)
    twins = truth.twins(query, database)
    if not twins:
        raise DataError(
            f"{path} has no twins from {query} to {database}, only pairs of other verdicts or splits. "
            "Expected some that are the same picture."
        )
    return twins


def _command(question: str, request: SourceRequest, order: Order) -> str:
    default = Order()
    words = ["kernel-explorer", "lab", question, request.name]
    if order.truth is not None:
        words += ["--truth", str(order.truth)]
    if request.run_count:
        words += ["--runs", str(request.run_count)]
    if order.counts:
        words += ["--counts", ",".join(map(str, order.counts))]
    if order.queries != default.queries:
        words += ["--queries", "all" if order.queries is None else str(order.queries)]
    for name in ("sets", "seed"):
        if getattr(order, name) != getattr(default, name):
            words += [f"--{name}", str(getattr(order, name))]
    return shlex.join(words)


def _seconds() -> float:
    """Return the seconds of all cores that this process took."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
