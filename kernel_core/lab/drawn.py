"""The examples on which small networks are trained for a question, and their recipe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from kernel_core.errors import RequestError
from kernel_core.lab.setting import Setting
from kernel_core.recipes import DIGITS
from kernel_core.records import ExampleSet
from kernel_core.spec import Split

RECIPE = DIGITS
Most = dict[Split, int]


def places_drawn(setting: Setting, most: Most) -> dict[Split, npt.NDArray[np.int64]]:
    """Return the indices of the examples of each split that are drawn, rising, the same for a seed.

    most: how many, by split. Raises `RequestError` if the source has no images, or no training examples.
    """
    source = setting.results.examples
    if not setting.results.has_images or set(source) < set(most):
        raise RequestError(
            f"{setting.results.name} has no images of a training and a test set; networks are trained on "
            "them to answer this. Choose a source that has both."
        )
    random = np.random.default_rng(setting.seed)
    return {split: np.sort(random.permutation(len(source[split]))[:count]) for split, count in most.items()}


def examples_drawn(setting: Setting, most: Most) -> dict[Split, ExampleSet]:
    """Return the examples of `places_drawn`, with images of at most 96 pixels."""
    source = setting.results.examples
    return {
        split: replace(source[split], images=source[split].small[kept], labels=source[split].labels[kept])
        for split, kept in places_drawn(setting, most).items()
    }
