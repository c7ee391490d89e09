"""The blocks of a build as an array job, as SLURM has them: many tasks that share the source and the cache.

Submit it with submitit and wait; or make the plan on one machine, then have each task do a share of its own:

    python -m kernel_core.pipeline.array_job SOURCE --tasks 64
    python -m kernel_core.pipeline.array_job SOURCE --plan
    python -m kernel_core.pipeline.array_job SOURCE --tasks 64 --task 3

`kernel-explorer build SOURCE` merges the blocks afterwards, does those that are missing, and all the rest.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click

from kernel_core.engines.engine import BLOCK_SECONDS, Engine
from kernel_core.engines.search import BlockSearch
from kernel_core.errors import KernelExplorerError, RequestError, Unavailable
from kernel_core.machine import CPU, use_allowed_cores
from kernel_core.pipeline.blocks import block_search
from kernel_core.pipeline.build import neighbors_kept
from kernel_core.pipeline.inputs import Inputs
from kernel_core.progress import Progress, no_progress
from kernel_core.results.entries import Entries
from kernel_core.results.keys import plan_keys
from kernel_core.results.store import Store
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest


def plan(request: SourceRequest, engine: Engine, *, store: Store | None = None) -> int:
    """Write the plan of each search that the cache lacks, and the images; return the number of blocks.

    engine: its block_seconds count. Raises what a build raises.
    """
    count = 0
    for search in _searches(request, engine, store or Store()):
        search.agree()
        count += len(search.blocks)
    return count


def do_share(
    request: SourceRequest, engine: Engine, count: int, number: int, *, store: Store | None = None
) -> int:
    """Do and keep every count-th block from `number` on, of each search; return how many were missing.

    Raises `RequestError` if there is no such share, and what a build raises.
    """
    if not 0 <= number < count:
        raise RequestError(f"There is no task {number} of {count}; expected 0 to {count - 1}.")
    use_allowed_cores()
    done = 0
    for search in _searches(request, engine, store or Store()):
        search.agree()
        done += search.do_share(number, count)
    return done


def _searches(
    request: SourceRequest, engine: Engine, store: Store, progress: Progress = no_progress
) -> Iterator[BlockSearch]:
    """Yield the searches for neighbors that the cache lacks."""
    keys = plan_keys(open_source(request, progress=progress), request, store)
    machine = replace(CPU, choices=store.root / "products")
    with store.lock(keys.examples):
        inputs = Inputs(Entries(keys, store), machine, progress, engine)
        class_count = len(next(iter(inputs.examples.values())).class_names)
    for spec in keys.all_specs(class_count):
        similarity = keys.offered[spec.similarity]
        if similarity.kind == "given" or store.has("neighbors", keys.key(spec)):
            continue
        query, database = inputs.rows(spec, similarity, inputs.features(similarity))
        k = neighbors_kept(spec, len(database))
        yield block_search(inputs, spec, (query, database), k)


@click.command()
@click.argument("source")
@click.option("--runs", "run_count", type=int, metavar="N", help="Use only the first N runs.")
@click.option(
    "--similarity", "similarities", multiple=True, metavar="S", help="Of build; repeat for several."
)
@click.option("--query", type=click.Choice(["test", "train"]), default="test", show_default=True)
@click.option("--database", type=click.Choice(["test", "train"]))
@click.option("--block-seconds", type=float, default=BLOCK_SECONDS, show_default=True, metavar="S")
@click.option(
    "--tasks", "count", type=click.IntRange(1), metavar="N", help="How many tasks share the blocks."
)
@click.option("--plan", "only_plan", is_flag=True, help="Make the plan, and no block.")
@click.option("--task", "number", type=int, metavar="I", help="Do the share of task I, from 0, and end.")
@click.option(
    "--cluster", type=click.Choice(["slurm", "local", "debug"]), default="slurm", show_default=True,
    help="Where submitit runs the tasks: on SLURM, in processes here, or in this one.",
)  # fmt: skip
@click.option("--minutes", type=int, default=60, show_default=True, help="Time limit of a task.")
@click.option("--gigabytes", type=int, default=4, show_default=True, help="Memory of a task.")
@click.option("--partition", help="Of SLURM.")
@click.option("--logs", default="array-job", show_default=True, help="Folder of submitit's files.")
def main(
    source: str, count: int | None, only_plan: bool, number: int | None, block_seconds: float, cluster: str,
    minutes: int, gigabytes: int, partition: str | None, logs: str, **of_request: Any,
) -> None:  # fmt: skip
    """Find the neighbors of SOURCE in blocks, as an array job; `kernel-explorer build` then merges them."""
    of_request["similarities"] = of_request["similarities"] or None
    request, engine = SourceRequest(source, **of_request), Engine(workers=1, block_seconds=block_seconds)
    if only_plan:
        click.echo(f"{plan(request, engine):,} blocks; share them among tasks with --tasks N --task I")
        return
    if count is None:
        raise RequestError("How many tasks are there? Add --tasks N, or --plan to make the plan alone.")
    if number is not None:
        click.echo(f"task {number} of {count}: {do_share(request, engine, count, number):,} blocks done")
        return
    limits: dict[str, Any] = {"timeout_min": minutes, "mem_gb": gigabytes, "cpus_per_task": 1}
    if cluster == "slurm" and partition:
        limits["slurm_partition"] = partition
    executor = _executor(cluster, logs, limits)
    blocks = plan(request, engine)
    shares = [functools.partial(do_share, request, engine, count, i) for i in range(min(count, blocks))]
    with executor.batch():
        jobs = [executor.submit(share) for share in shares]
    done = sum(job.result() for job in jobs)
    click.echo(f"{done:,} blocks done by {len(jobs):,} tasks; now: kernel-explorer build {source}")


def _executor(cluster: str, logs: str, limits: dict[str, Any]) -> Any:
    try:
        import submitit
    except ImportError:
        raise Unavailable(
            "An array job is submitted by submitit, which is not installed here: pip install submitit. Or "
            "submit one of your own, whose tasks call this with --task."
        ) from None
    executor = submitit.AutoExecutor(folder=logs, cluster=cluster)
    executor.update_parameters(**limits)
    return executor


if __name__ == "__main__":
    try:
        main()
    except KernelExplorerError as error:
        raise SystemExit(f"error: {error}") from None
