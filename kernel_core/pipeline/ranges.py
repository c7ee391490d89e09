"""The steps of a build that a cluster does by ranges of examples; each result equals that of this machine."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
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
from kernel_core.pipeline.inputs import Inputs
from kernel_core.recipes import Training
from kernel_core.records import Ensemble
from kernel_core.spec import Split

T = TypeVar("T")


def keep_predictions(inputs: Inputs, split: Split, engine: Engine) -> npt.NDArray[np.float64]:
    """Write what the ensemble predicts for a split, as it is computed; return the accuracy of each run."""
    ensemble, labels = inputs.ensemble, inputs.examples[split].labels
    N, C, M = ensemble.example_count(split), ensemble.class_count, ensemble.run_count
    arrays = forms(N, C, M)
    sent = sum(form.row_bytes for name, form in arrays.items() if name != "single")
    task = functools.partial(_predicted, split, labels)
    with inputs.entries.writing_predictions(split, arrays) as writer:
        found = _elsewhere(
            task, inputs, ensemble, predicted_ranges(ensemble, split), Size(M * C, sent), engine
        )
        single = write_predictions(ensemble, split, labels, writer.write, inputs.progress, found)
        ensemble.check_unchanged()
    return single


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
    """Return what a cluster does; None without one, for a single task, and for runs that are in memory."""
    groups = grouped(ranges, size, engine.block_seconds)
    if not engine.is_ray or len(groups) < 2 or isinstance(inputs.keys.source.logits, Training):
        return None
    names = next(iter(inputs.examples.values())).class_names
    runs_from = RunsFrom.of(inputs.keys, inputs.store, names, ensemble.run_count)
    return do_ranges(task, runs_from, groups, engine)
