"""Small networks trained for a question: on random halves of the training examples, and without some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.lab.attributions.asked import SubsetRuns, Values
from kernel_core.lab.attributions.datamodels import margins_of
from kernel_core.lab.attributions.intervals import Estimate
from kernel_core.lab.drawn import RECIPE, Most
from kernel_core.lab.setting import Setting
from kernel_core.machine import one_thread
from kernel_core.networks.mlp import GROUP, Layers, inputs_of, layers_trained_on, logits_of
from kernel_core.recipes import as_json
from kernel_core.records import ExampleSet
from kernel_core.spec import Split
from kernel_core.training_masks import TrainingMasks

MOST: Most = {"test": 500, "train": 1_500}  # examples that are looked at; of more, so many are drawn
FITTED, HELD = 512, 64  # sets whose networks weights are found from, and held-out sets
EACH = 4  # networks per held-out set, whose margins are averaged
REMOVED_FOR = 24  # query examples for which training examples are taken away
WITHOUT = 16  # networks for each of them, a divisor of GROUP: examples differ more than networks do
WITHOUT_GROUP = 2_000  # number of the first group of networks that are trained without some
FORMAT = 1  # of an entry of margins
Examples = dict[Split, ExampleSet]


def runs_on_halves(setting: Setting, examples: Examples) -> SubsetRuns:
    """Return networks on random halves of the training examples, from the cache if they are known."""
    content = {
        "format": FORMAT, "of": "margins of runs on halves", "seed": setting.seed,
        "images": setting.keys.examples, "recipe": as_json(RECIPE), "sizes": [FITTED, HELD, EACH],
        "drawn": [len(of_split) for of_split in examples.values()],
    }  # fmt: skip
    about = f"margins of {FITTED + HELD * EACH} networks on halves"
    arrays = setting.kept(content, lambda: _on_halves(setting, examples), about)
    packed, N = np.packbits(arrays["masks"], axis=1), len(examples["train"])
    fitted, held = TrainingMasks(packed[:FITTED], N), TrainingMasks(packed[FITTED:], N)
    return SubsetRuns(fitted, arrays["fitted"], held, arrays["held"], EACH, content)


def networks(setting: Setting, examples: Examples, subsets: npt.NDArray[np.int64], group: int) -> Layers:
    """Return the layers of a group of networks. subsets: (GROUP, k), what each is trained on."""
    with one_thread():
        return layers_trained_on(RECIPE, examples, subsets, group, setting.seed)


def _on_halves(setting: Setting, examples: Examples) -> dict[str, npt.NDArray[Any]]:
    """Train networks on random halves; return the masks of the halves, and margins as in `SubsetRuns`."""
    N, random = len(examples["train"]), np.random.default_rng(setting.seed)
    halves = np.stack([np.sort(random.permutation(N)[: N // 2]) for _ in range(FITTED + HELD)])
    order = np.concatenate([np.arange(FITTED), np.repeat(np.arange(FITTED, FITTED + HELD), EACH)])
    margins = _margins(setting, examples, halves[order])
    masks = np.zeros((len(halves), N), bool)
    np.put_along_axis(masks, halves, values=True, axis=1)
    held = margins[FITTED:].reshape(HELD, EACH, -1).mean(1)
    return {"masks": masks, "fitted": margins[:FITTED], "held": held}


def _margins(
    setting: Setting, examples: Examples, subsets: npt.NDArray[np.int64], first_group: int = 0
) -> Values:
    """Return the margins on the query examples of a network per subset, (M, n), in groups of `GROUP`."""
    query, found, groups = examples["test"], [], len(subsets) // GROUP
    inputs = inputs_of(query, examples["train"])
    for group in range(groups):
        setting.progress("training networks on parts of the training set", group, groups)
        chosen = subsets[group * GROUP : (group + 1) * GROUP]
        layers = networks(setting, examples, chosen, first_group + group)
        found.append(margins_of(logits_of(layers, inputs).numpy(), query.labels))
    setting.progress("training networks on parts of the training set", groups, groups)
    return np.concatenate(found)


def margins_lost(
    setting: Setting, examples: Examples, first: Mapping[str, npt.NDArray[np.int64]]
) -> dict[str, Estimate]:
    """Return how much the margin falls without the examples that each method names first.

    first: by method, the training examples named for each query example, (n, k). Of some query examples each:
    the mean of `WITHOUT` networks trained without these k, below that of `GROUP` without k random ones.
    Margins that are known are read from the cache.
    """
    random = np.random.default_rng(setting.seed)
    queries = np.sort(random.permutation(len(examples["test"]))[:REMOVED_FOR])
    k = next(iter(first.values())).shape[1]
    some = random.permutation(len(examples["train"]))[:k]
    at_random = _margins_without(setting, examples, np.tile(some, (GROUP // WITHOUT, 1))).mean(0)
    lost = {}
    for name, of_method in first.items():
        without = _margins_without(setting, examples, of_method[queries])
        lost[name] = Estimate.of_mean(at_random[queries] - without[np.arange(len(queries)), queries])
    return lost


def _margins_without(setting: Setting, examples: Examples, taken: npt.NDArray[np.int64]) -> Values:
    """Return the mean margins of `WITHOUT` networks without each set of training examples, (sets, n).

    taken: (sets, k). The networks of the same place among the sets start alike, whatever is taken.
    """
    whole = GROUP // WITHOUT  # sets that fill a group of networks
    content = {
        "format": FORMAT, "of": "margins without some examples", "seed": setting.seed,
        "images": setting.keys.examples, "recipe": as_json(RECIPE), "networks": WITHOUT,
        "drawn": [len(of_split) for of_split in examples.values()], "taken": taken.tolist(),
    }  # fmt: skip

    def compute() -> dict[str, npt.NDArray[Any]]:
        every = np.arange(len(examples["train"]))
        kept = [np.setdiff1d(every, of) for of in taken]
        kept += kept[:1] * (-len(kept) % whole)
        margins = _margins(setting, examples, np.repeat(np.stack(kept), WITHOUT, axis=0), WITHOUT_GROUP)
        return {"margins": margins.reshape(len(kept), WITHOUT, -1).mean(1)[: len(taken)]}

    found: Values = setting.kept(content, compute, f"margins without {taken.shape[1]} examples")["margins"]
    return found
