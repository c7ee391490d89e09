"""The methods that say how much each training example helps a prediction: a line each in `METHODS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kernel_core.lab.attributions.asked import Asked, Rows, Weights
from kernel_core.lab.attributions.blocks_of_train import feature_cosine_of, kernel_of, pixel_cosine_of
from kernel_core.lab.attributions.datamodels import datamodels, effects
from kernel_core.lab.attributions.trak import trak_scores
from kernel_core.lab.attributions.trak_library import is_installed, traker_scores
from kernel_core.lab.attributions.trak_networks import can_look_into, own_runs
from kernel_core.lab.attributions.trak_rows import trak_rows
from kernel_core.lab.drawn import RECIPE
from kernel_core.networks.mlp import inputs_of
from kernel_core.nngp import nngp_correlation
from kernel_core.similarities import PENULTIMATE
from kernel_core.sources.features import load_features
from kernel_core.sources.source import FeatureSet

KERNEL, SIGNED = "kernel", "signed kernel²"


def _always(_asked: Asked) -> bool:
    return True


def _first(_asked: Asked) -> int:
    return 1


@dataclass(frozen=True)
class Method:
    """A way to find weights.

    name: for files and options. title: for people. prepare: does what is done once, such as training, and
    returns what gives the weights of any range of the query examples. fits: whether it can be asked.
    version: how weights are computed, or what they are read from, as plain JSON values; what was kept by
    another version is not used.
    knows_label: whether it is told which training examples have the query's label: a vote says nothing then.
    """

    name: str
    title: str
    prepare: Callable[[Asked], Rows]
    fits: Callable[[Asked], bool] = _always
    version: Callable[[Asked], object] = _first
    knows_label: bool = False


def methods_for(asked: Asked) -> tuple[Method, ...]:
    """Return the methods that can be asked."""
    named = [features for features in asked.setting.keys.source.feature_sets if features.name != PENULTIMATE]
    of_features = [_of_features(features, asked) for features in named]
    return (*(method for method in METHODS if method.fits(asked)), *of_features)


def kernel_runs(asked: Asked) -> Sequence[int]:
    """Return the runs whose kernel it is: not those held out."""
    return asked.runs.numbers or range(asked.setting.ensemble.run_count)


def _kernel(asked: Asked) -> Rows:
    return kernel_of(asked, kernel_runs(asked))


def signed(asked: Asked, rows: Rows, power: int) -> Rows:
    """Return what gives an even power of weights, negative where labels differ."""

    def of_range(queries: slice) -> Weights:
        weights = rows(queries)
        weights **= power
        weights *= asked.signs(queries)
        return weights

    return of_range


def _of_features(features: FeatureSet, asked: Asked) -> Method:
    """Return the method that compares features; those of one run say too little to stand for all."""

    def cosine(asked: Asked) -> Rows:
        values = load_features(features, ("train", "test")).values
        return feature_cosine_of(values["test"][asked.places["test"]], values["train"], asked.places["train"])

    return Method(
        f"{features.name}-signed",
        f"signed {features.title} cosine²",
        lambda asked: signed(asked, cosine(asked), 2),
        version=lambda asked: asked.setting.keys.inputs[features.similarities[0].name],
        knows_label=True,
    )


def _closed_form(asked: Asked) -> Rows:
    train = asked.examples["train"]
    query, database = (
        inputs_of(of, train).numpy().astype(np.float64) for of in (asked.examples["test"], train)
    )
    return lambda queries: nngp_correlation(query[queries], database, len(RECIPE.hidden))


def _has_images(asked: Asked) -> bool:
    return asked.examples["train"].has_images and asked.examples["test"].has_images


def _trained_here(asked: Asked) -> bool:
    return not asked.runs.are_own


def _looked_into(asked: Asked) -> object:
    """Return the version of TRAK, and the networks that it looks into."""
    return [3, own_runs(asked)]


METHODS = (
    Method(KERNEL, "kernel", _kernel),
    Method(
        "kernel-signed",
        SIGNED,
        lambda asked: signed(asked, _kernel(asked), 2),
        knows_label=True,
    ),
    Method("label", "label alone", lambda asked: asked.signs, knows_label=True),
    Method(
        "pixels-signed",
        "signed pixel cosine²",
        lambda asked: signed(asked, pixel_cosine_of(asked), 2),
        _has_images,
        knows_label=True,
    ),
    Method(
        "closed-form-signed",
        "signed closed form⁴",
        lambda asked: signed(asked, _closed_form(asked), 4),
        _trained_here,
        knows_label=True,
    ),
    Method("effects", "effects", lambda asked: effects(asked.runs.fitted_masks, asked.runs.fitted)),
    Method("datamodels", "datamodels", lambda asked: datamodels(asked.runs.fitted_masks, asked.runs.fitted)),
    Method("trak", "TRAK", lambda asked: trak_rows(asked, trak_scores), can_look_into, version=_looked_into),
    Method(
        "traker",
        "TRAK (traker)",
        lambda asked: trak_rows(asked, traker_scores),
        lambda asked: is_installed() and can_look_into(asked),
        version=_looked_into,
    ),
)
