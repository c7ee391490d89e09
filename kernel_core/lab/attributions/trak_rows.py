"""TRAK as a method, ours or its authors': into how many numbers gradients are brought is chosen by runs."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from kernel_core.lab.attributions.asked import Asked, Rows
from kernel_core.lab.attributions.datamodels import linear_datamodeling_scores
from kernel_core.lab.attributions.trak import Labels, Step, Values, trak_scores_by
from kernel_core.lab.attributions.trak_networks import networks_for, own_runs
from kernel_core.networks.kept_networks import Networks

NUMBERS = (16, 32, 64, 128, 256, 512)
CHOOSING = 2  # networks by which the number is chosen
CHOOSING_FOR = 100  # query examples, the first ones
FORMAT = 1  # of an entry of the number


class TrakScores(Protocol):
    """A function such as `trak.trak_scores`."""

    def __call__(
        self, networks: Networks, labels: Labels, seed: int, *, numbers: int | None, step: Step
    ) -> Values: ...


def trak_rows(asked: Asked, scores: TrakScores) -> Rows:
    """Return what gives the weights of TRAK; scores: what computes them from networks."""
    networks, setting = networks_for(asked), asked.setting
    labels: Labels = {split: of_split.labels for split, of_split in asked.examples.items()}
    numbers = chosen_numbers(asked, networks)
    step = setting.counter("looking into networks for TRAK", len(networks.states))
    found = scores(networks, labels, setting.seed, numbers=numbers, step=step)
    return found.__getitem__


def chosen_numbers(asked: Asked, networks: Networks) -> int:
    """Return the number, of `NUMBERS`, by which a few networks predict best the runs that are not held out.

    It is taken from the cache if it is known.
    """
    content = {
        "format": FORMAT, "of": "numbers of TRAK", "runs": asked.runs.content, "networks": own_runs(asked),
        "logits": asked.setting.keys.inputs["kernel"], "choices": [*NUMBERS, CHOOSING, CHOOSING_FOR],
    }  # fmt: skip
    arrays = asked.setting.kept(
        content, lambda: {"number": np.array([_best_number(asked, networks)])}, "numbers of TRAK"
    )
    return int(arrays["number"][0])


def _best_number(asked: Asked, networks: Networks) -> int:
    """Choose the number. A small one is a ridge of sorts: a large one fits the noise of each network."""
    few = Networks(networks.module, dict(list(networks.states.items())[:CHOOSING]), networks.inputs)
    labels: Labels = {
        "test": asked.examples["test"].labels[:CHOOSING_FOR],
        "train": asked.examples["train"].labels,
    }
    masks, margins = asked.runs.fitted_masks, asked.runs.fitted[:, :CHOOSING_FOR]
    step = asked.setting.counter("choosing how far TRAK reduces gradients", len(few.states))
    by_number = trak_scores_by(few, labels, asked.setting.seed, NUMBERS, step=step)
    means = [float(linear_datamodeling_scores(of, masks, margins).mean()) for of in by_number]
    return NUMBERS[int(np.argmax(means))]
