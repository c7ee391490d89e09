"""A source's own runs on parts of its training set: some to find weights from, others held out at random."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernel_core.lab.attributions.asked import SubsetRuns, Values
from kernel_core.lab.attributions.datamodels import margins_of
from kernel_core.lab.run_sets import logits_of
from kernel_core.lab.setting import Setting
from kernel_core.training_masks import TrainingMasks

LEAST, MOST = 96, 2_048  # runs that are used; of more, so many are drawn
HELD_SHARE, LEAST_HELD = 0.2, 32
RUNS_AT_A_TIME = 64  # whose logits are held


def has_own_runs(setting: Setting) -> bool:
    """Return whether a source has enough runs that were each trained on a known part of its training set."""
    masks = setting.ensemble.trained_on
    return (
        masks is not None
        and masks.run_count >= LEAST
        and bool((masks.example_counts < masks.example_count).all())
        and setting.results.spec.splits == ("test", "train")
    )


def own_runs(setting: Setting, queries: npt.NDArray[np.int64]) -> SubsetRuns:
    """Return them, with margins on some examples of the split test; a fifth of them is held out at random."""
    masks = setting.ensemble.trained_on
    assert masks is not None
    order = np.random.default_rng(setting.seed).permutation(masks.run_count)[:MOST]
    held_count = max(LEAST_HELD, round(HELD_SHARE * len(order)))
    held, fitted = np.sort(order[:held_count]), np.sort(order[held_count:])
    content = {
        "of": "own runs on subsets", "logits": setting.keys.inputs["kernel"], "seed": setting.seed,
        "queries": len(queries), "held": held_count, "runs": len(order), "all": masks.run_count,
    }  # fmt: skip
    return SubsetRuns(
        _masks_of(masks, fitted),
        _margins(setting, fitted, queries),
        _masks_of(masks, held),
        _margins(setting, held, queries),
        each=1,
        content=content,
        numbers=tuple(fitted.tolist()),
    )


def _masks_of(masks: TrainingMasks, runs: npt.NDArray[np.int64]) -> TrainingMasks:
    return TrainingMasks(masks.packed[runs], masks.example_count)


def _margins(setting: Setting, runs: npt.NDArray[np.int64], queries: npt.NDArray[np.int64]) -> Values:
    """Return the margins of some runs on some examples of the split test, (m, n)."""
    labels = setting.results.examples["test"].labels[queries]
    found = []
    for start in range(0, len(runs), RUNS_AT_A_TIME):
        setting.progress("reading what each run says", start, len(runs))
        some = runs[start : start + RUNS_AT_A_TIME].tolist()
        found.append(margins_of(logits_of(setting.ensemble, "test", some, queries), labels))
    return np.concatenate(found)
