"""The methods that say how much each training example helps a prediction: a line each in `METHODS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kernel_core.lab.all_pairs import kernel_values
from kernel_core.lab.asked import Asked, Rows, Values
from kernel_core.lab.datamodels import datamodels, effects
from kernel_core.lab.drawn import RECIPE
from kernel_core.lab.run_sets import logits_of
from kernel_core.lab.trak import TrakScores, trak_scores
from kernel_core.lab.trak_library import is_installed, traker_scores
from kernel_core.lab.trak_networks import networks_for
from kernel_core.networks.mlp import inputs_of
from kernel_core.nngp import nngp_correlation

KERNEL = "kernel"


def _always(_asked: Asked) -> bool:
    return True


@dataclass(frozen=True)
class Method:
    """A way to find weights.

    name: for files and options. title: for people. prepare: does what is done once, such as training, and
    returns what gives the weights of any range of the query examples. fits: whether it can be asked.
    """

    name: str
    title: str
    prepare: Callable[[Asked], Rows]
    fits: Callable[[Asked], bool] = _always


def methods_for(asked: Asked) -> tuple[Method, ...]:
    """Return the methods that can be asked."""
    return tuple(method for method in METHODS if method.fits(asked))


def _kernel(asked: Asked) -> Rows:
    ensemble = asked.setting.ensemble
    every = range(ensemble.run_count)
    query, train = (logits_of(ensemble, split, every, asked.places[split]) for split in ("test", "train"))
    return kernel_values(query, train).__getitem__


def _kernel_signed(asked: Asked) -> Rows:
    kernel = _kernel(asked)
    return lambda queries: kernel(queries) ** 2 * asked.signs(queries)


def _closed_form(asked: Asked, hidden_layers: int, power: int) -> Rows:
    train = asked.examples["train"]
    query, database = (
        inputs_of(of, train).numpy().astype(np.float64) for of in (asked.examples["test"], train)
    )

    def rows(queries: slice) -> Values:
        correlation = nngp_correlation(query[queries], database, hidden_layers)
        found: Values = correlation**power * asked.signs(queries)
        return found

    return rows


def _effects(asked: Asked) -> Rows:
    return effects(asked.runs.fitted_masks.of_runs(slice(None)), asked.runs.fitted).__getitem__


def _datamodels(asked: Asked) -> Rows:
    return datamodels(asked.runs.fitted_masks.of_runs(slice(None)), asked.runs.fitted).__getitem__


def _trak(asked: Asked, scores: TrakScores) -> Rows:
    networks = networks_for(asked)
    labels = {split: of_split.labels for split, of_split in asked.examples.items()}
    step = asked.setting.counter("looking into networks for TRAK", len(networks.states))
    found = scores(networks, labels, asked.setting.seed, step=step)
    return lambda queries: found[queries].astype(np.float64)


METHODS = (
    Method(KERNEL, "kernel", _kernel),
    Method("kernel-signed", "kernel², signed by label", _kernel_signed),
    Method("pixels-signed", "pixel cosine², signed", lambda asked: _closed_form(asked, 0, 2)),
    Method(
        "closed-form-signed",
        "closed form⁴, signed",
        lambda asked: _closed_form(asked, len(RECIPE.hidden), 4),
    ),
    Method("effects", "effects", _effects),
    Method("datamodels", "datamodels", _datamodels),
    Method("trak", "TRAK", lambda asked: _trak(asked, trak_scores)),
    Method(
        "traker",
        "TRAK (traker)",
        lambda asked: _trak(asked, traker_scores),
        lambda _asked: is_installed(),
    ),
)
