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
Places = dict[Split, npt.NDArray[np.int64]]  # indices of examples, rising


def places_drawn(setting: Setting, most: Most) -> Places:
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
    return examples_at(setting, places_drawn(setting, most))


def examples_at(setting: Setting, places: Places) -> dict[Split, ExampleSet]:
    """Return examples by their indices, with images of at most 96 pixels; all of a split are not copied."""
    found = {}
    for split, kept in places.items():
        of_split = setting.results.examples[split]
        images, labels = of_split.small, of_split.labels
        if len(kept) < len(of_split):
            images, labels = images[kept], labels[kept]
        found[split] = replace(of_split, images=images, labels=labels, thumbnails=None, sha256=None)
    return found
