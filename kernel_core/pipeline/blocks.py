"""The step of a build that searches in blocks, here or on a cluster, and goes on where one stopped."""

from __future__ import annotations

from collections.abc import Callable

import torch

from kernel_core.engines.engine import Engine
from kernel_core.engines.ray_cluster import refuse_missing
from kernel_core.engines.rows import RowsFrom, must_be_local
from kernel_core.engines.search import BlockSearch, Wanted
from kernel_core.errors import RequestError
from kernel_core.machine import choose_device
from kernel_core.pipeline.inputs import Inputs
from kernel_core.pipeline.ranges import keep_moments
from kernel_core.progress import renamed
from kernel_core.search import topk
from kernel_core.search.topk import TopK
from kernel_core.similarity.rows import SimilarityRows
from kernel_core.spec import KernelSpec


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
    *,
    parts: int = 1,
) -> BlockSearch:
    """Return the search of a spec in blocks, by the engine of the inputs.

    rows: query rows and database rows, as this process has them. k: neighbors per query row. parts: of a row,
    each of which has neighbors of its own. Rows that other machines could not open are searched on this one.
    """
    keys, engine = inputs.keys, inputs.engine
    if engine.is_ray and must_be_local(spec):
        engine = Engine(block_seconds=engine.block_seconds)
    step = f"nearest neighbors by {spec.title if parts == 1 else 'each class'}"
    progress = renamed(inputs.progress, f"blocks of {step}" if engine.is_ray else step)
    names = next(iter(inputs.examples.values())).class_names
    rows_from = RowsFrom.of(keys, spec, inputs.store, names)
    wanted = Wanted(*rows, k, spec.excludes_self, keys.key(spec), rows_from, parts)
    search = BlockSearch(wanted, engine, inputs.machine, inputs.store, progress)
    if engine.is_ray and search.job.slice_runs < search.job.run_count:
        keep_moments(inputs, spec, engine)
    return search


def search_by_class(
    inputs: Inputs,
    spec: KernelSpec,
    rows: tuple[SimilarityRows, SimilarityRows],
    k: int,
    class_count: int,
) -> tuple[list[TopK], Callable[[], None]]:
    """Return the nearest by the kernel, then by each class alone, and what removes the blocks of the search.

    Parameters as of `block_search`. On CUDA, the search is one piece.
    """
    machine = inputs.machine
    if machine.device.type == "cpu":
        search = block_search(inputs, spec, rows, k, parts=class_count)
        return search.compute(), search.forget
    progress = renamed(inputs.progress, "nearest neighbors by each class")
    is_own = spec.excludes_self
    return topk.top_k_by_class(
        *rows, k, exclude_self=is_own, machine=machine, progress=progress
    ), lambda: None
