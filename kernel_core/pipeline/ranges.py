"""The steps of a build that a cluster does by ranges of examples; each result equals that of this machine."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from kernel_core.engines.engine import Engine
from kernel_core.engines.ranges import Size, do_ranges, grouped
from kernel_core.engines.rows import RunsFrom
from kernel_core.ensembles.predictions import (
    PredictedRange,
    forms,
    predict_range,
    predicted_ranges,
    write_predictions,
)
from kernel_core.machine import CPU
from kernel_core.pipeline.inputs import Inputs
from kernel_core.progress import Progress
from kernel_core.records import Ensemble
from kernel_core.similarity.kernel_rows import trace_blocks, trace_ranges, traces_of_range
from kernel_core.similarity.split_moments import Kept, moment_ranges, moments_of_range
from kernel_core.spec import KernelSpec, Split

T = TypeVar("T")


def keep_predictions(inputs: Inputs, split: Split, engine: Engine) -> npt.NDArray[np.float64]:
    """Write what the ensemble predicts for a split, as it is computed; return the accuracy of each run."""
    ensemble, labels = inputs.ensemble, inputs.examples[split].labels
    N, C, M = ensemble.example_count(split), ensemble.class_count, ensemble.run_count
    arrays = forms(N, C, M)
    sent = sum(form.row_bytes for name, form in arrays.items() if name != "single")
    task = functools.partial(_predicted, split, labels)
    with inputs.entries.writing_predictions(split, arrays, C) as writer:
        found = _elsewhere(
            task, inputs, ensemble, predicted_ranges(ensemble, split), Size(M * C, sent), engine
        )
        single = write_predictions(ensemble, split, labels, writer.write, inputs.progress, found)
        ensemble.check_unchanged()
    return single


def keep_moments(inputs: Inputs, spec: KernelSpec, engine: Engine) -> None:
    """Write mean and spread over the runs of each file that the rows of a spec need, for all to read."""
    if inputs.moments(spec) is None:
        return
    ensemble = inputs.ensemble_of(spec)
    # Files are done one after the other, so that the tasks of many files are smaller ones.
    seconds = min(engine.block_seconds, max(1.0, engine.block_seconds / len(ensemble.parts)))
    smaller = replace(engine, block_seconds=seconds)
    for split in dict.fromkeys(spec.splits):
        for file, part in enumerate(ensemble.parts):
            m, _, C = part[split].shape
            task = functools.partial(_moments, file, split, spec.transform)
            ranges = moment_ranges(ensemble, file, split)
            found = _elsewhere(task, inputs, ensemble, ranges, Size(m * C, 8 * C), smaller)
            inputs.moments_of_file(ensemble, split, spec.transform, file, found)


def keep_traces(inputs: Inputs, ensemble: Ensemble, split: Split, engine: Engine, progress: Progress) -> None:
    """Write what explains a value, for the runs of an ensemble, as it is computed."""
    N, C, M = ensemble.example_count(split), ensemble.class_count, ensemble.run_count
    ranges = trace_ranges(ensemble, split)
    task = functools.partial(_traces, split)
    found = _elsewhere(task, inputs, ensemble, ranges, Size(M * C, 2 * C * M), engine)

    def counted() -> Iterator[tuple[slice, npt.NDArray[np.float16]]]:
        done = 0
        for examples, traces in trace_blocks(ensemble, split) if found is None else found:
            yield examples, traces
            done += examples.stop - examples.start
            progress("keeping what explains a value", done, N)

    inputs.entries.write_traces(split, (N, C, M), counted())
    ensemble.check_unchanged()


def _moments(file: int, split: Split, transform: str, ensemble: Ensemble, examples: slice) -> Kept:
    return moments_of_range(ensemble, file, split, transform, examples, CPU.device)


def _traces(split: Split, ensemble: Ensemble, examples: slice) -> npt.NDArray[np.float16]:
    return traces_of_range(ensemble, split, examples)


def _predicted(
    split: Split, labels: npt.NDArray[np.int64], ensemble: Ensemble, examples: slice
) -> PredictedRange:
    return predict_range(ensemble, split, labels, examples)


def _elsewhere(
    task: Callable[[Ensemble, slice], T],
    inputs: Inputs,
    ensemble: Ensemble,
    ranges: Sequence[slice],
    size: Size,
    engine: Engine,
) -> Iterator[tuple[slice, T]] | None:
    """Return what a cluster does; None without one, and for a single task."""
    groups = grouped(ranges, size, engine.block_seconds)
    if not engine.is_ray or len(groups) < 2:
        return None
    names = next(iter(inputs.examples.values())).class_names
    runs_from = RunsFrom.of(inputs.keys, inputs.store, names, ensemble.run_count)
    return do_ranges(task, runs_from, groups, engine)
