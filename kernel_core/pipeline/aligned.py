"""The step of a build that compares the pixels of each example with those of its nearest."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from functools import partial

import torch

from kernel_core.errors import StoreError
from kernel_core.explain.aligned_pixels import Library, aligned_pixels
from kernel_core.findings.twins import CANDIDATES
from kernel_core.machine import Machine
from kernel_core.progress import Progress
from kernel_core.results.aligned import AlignedTables
from kernel_core.results.results import Results

CUDA_PIECE = 2**28  # bytes; a CPU wants no more than its caches hold
log = logging.getLogger("kernel_core")


def keep_aligned(results: Results, machine: Machine, progress: Progress) -> None:
    """Write the aligned pixels of the kernel's neighbors; results can do without them."""
    try:
        write_aligned(results, "kernel", machine, progress)
    except StoreError as error:
        log.warning("aligned pixels could not be kept; all but the twin score works without. %s", error)


def write_aligned(results: Results, by: str, machine: Machine, progress: Progress) -> None:
    """Compute and write the aligned pixels of the neighbors by a similarity."""
    tables, examples = results.aligned, results.examples
    assert isinstance(tables, AlignedTables)
    candidates = results.neighbors_by(by).indices[:, :CANDIDATES]
    with _library(machine.device) as library:
        values = aligned_pixels(
            examples[results.query].images,
            examples[results.database].images,
            candidates,
            library=library,
            progress=progress,
        )
    tables.write(by, values)


@contextlib.contextmanager
def _library(device: torch.device) -> Iterator[Library]:
    """Yield torch on a device. On a CPU it uses one core: the products are too small to be shared."""
    if device.type != "cpu":
        yield Library(torch, partial(torch.tensor, device=device), lambda it: it.cpu().numpy(), CUDA_PIECE)
        return
    cores = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield Library(torch, torch.from_numpy, lambda tensor: tensor.numpy())
    finally:
        torch.set_num_threads(cores)
