"""The step of a build that searches in blocks, here or on a cluster, and goes on where one stopped."""

from __future__ import annotations

import logging

import torch

from kernel_core.engines.engine import Engine
from kernel_core.engines.ray_cluster import refuse_missing
from kernel_core.engines.rows import RowsFrom, must_be_local
from kernel_core.engines.search import BlockSearch, Wanted
from kernel_core.errors import RequestError
from kernel_core.machine import choose_device
from kernel_core.pipeline.inputs import Inputs
from kernel_core.pipeline.ranges import keep_moments
from kernel_core.progress import Progress
from kernel_core.similarity.rows import SimilarityRows
from kernel_core.spec import KernelSpec

log = logging.getLogger("kernel_core")


def device_for(engine: Engine, name: str) -> torch.device:
    """Return the device that a name stands for.

    Raises `RequestError` if the engine cannot use it, `Unavailable` if there is no such engine here.
    """
    refuse_missing(engine)
    if not engine.is_ray:
        return choose_device(name)
    if name == "cuda":
        raise RequestError("--engine ray finds neighbors on CPUs; leave out --device cuda, or --engine ray.")
    return choose_device("cpu")


def block_search(
    inputs: Inputs,
    spec: KernelSpec,
    rows: tuple[SimilarityRows, SimilarityRows],
    k: int,
    engine: Engine,
    progress: Progress,
) -> BlockSearch:
    """Return the search of a spec in blocks.

    rows: query rows and database rows, as this process has them. k: neighbors per query row. Rows that other
    machines could not open are searched on this one, and a line says so.
    """
    keys = inputs.keys
    reason = must_be_local(keys, keys.offered[spec.similarity], spec)
    if engine.is_ray and reason:
        log.warning("neighbors by %s are found on this machine: %s", spec.title, reason)
        engine = Engine(block_seconds=engine.block_seconds)
    names = next(iter(inputs.examples.values())).class_names
    rows_from = RowsFrom.of(keys, spec, inputs.store, names)
    wanted = Wanted(*rows, k, spec.excludes_self, keys.key(spec), rows_from)
    search = BlockSearch(wanted, engine, inputs.machine, inputs.store, progress)
    if engine.is_ray and search.job.slice_runs < search.job.run_count:
        keep_moments(inputs, spec, engine)
    return search
