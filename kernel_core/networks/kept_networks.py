"""An ensemble's own trained networks, from the weights in its folder, with what they take as inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from kernel_core.ensembles.folder import RunFiles
from kernel_core.errors import DataError
from kernel_core.networks import mlp
from kernel_core.networks.kept_weights import find_weights, read_weights
from kernel_core.networks.modules import module_of, state_of
from kernel_core.recipes import HeadsRecipe, MlpRecipe, Recipe, recipe_of
from kernel_core.records import ExampleSet
from kernel_core.sources.features import load_features
from kernel_core.sources.source import Source
from kernel_core.spec import Split

COMPARED = 64  # examples whose logits are compared with the run's
APART = 0.1  # largest difference that rounding to float16 may make, in training on a GPU too

Places = Mapping[Split, npt.NDArray[np.int64]]
Inputs = Callable[[Split, slice], Tensor]
"""What a module takes of some of the examples of a split, floating (b, …)."""


@dataclass(frozen=True, eq=False)
class Networks:
    """Trained networks of one form.

    module: one of them; `states` are those that it can be given, by number of the run.
    inputs: what it takes of the examples that are asked about, by split.
    """

    module: nn.Module
    states: Mapping[int, Mapping[str, Tensor]]
    inputs: Inputs


def kept_networks(
    source: Source, runs: Sequence[int], examples: Mapping[Split, ExampleSet], places: Places
) -> Networks:
    """Return the networks of some runs of a source, all of which its folder keeps.

    places: the indices of examples of both splits. examples: these examples, in the order of `places`.
    Raises `DataError` if a file is damaged, or its network is not that of the run.
    """
    assert source.root is not None
    files, states, made = find_weights(source.root), {}, []
    for run in runs:
        weights, recipe, features = _read(files[run])
        states[run] = state_of(weights)
        made.append((weights, recipe, features))
    weights, recipe, features = made[0]
    if any(of[1:] != (recipe, features) for of in made):
        raise DataError(f"{files[runs[0]].parent} holds runs of several recipes. Keep those of one.")
    try:
        module = module_of(recipe, weights, max(examples["train"].images.shape[1:3]))
        inputs = _inputs(recipe, source, examples, places, features)
        networks = Networks(module, states, inputs)
        for run in runs:
            _refuse_other(networks, run, source.root, places["test"][:COMPARED])
    except (KeyError, RuntimeError) as error:
        raise DataError(f"{files[runs[0]]} does not fit its recipe ({error}). Train it again.") from None
    return networks


def _read(path: Path) -> tuple[Mapping[str, npt.NDArray[np.generic]], Recipe, str]:
    """Return a file's weights, the recipe, and the name of the features that heads were trained on."""
    weights, made_by, features = read_weights(path)
    try:
        recipe = recipe_of({key: value for key, value in made_by["recipe"].items() if key != "name"})
    except (KeyError, AttributeError, ValueError) as error:
        raise DataError(f"{path} is of no recipe of this version ({error}). Train it again.") from None
    return weights, recipe, features


def _inputs(
    recipe: Recipe, source: Source, examples: Mapping[Split, ExampleSet], places: Places, features: str
) -> Inputs:
    if isinstance(recipe, HeadsRecipe):
        of = next((of for of in source.feature_sets if of.name == features), None)
        if of is None:
            raise DataError(
                f"{source.name} has no features called {features}, on which its heads were trained. Name "
                f"their file in its source.toml, under [features.{features}]."
            )
        values = load_features(of).values
        return lambda split, rows: torch.from_numpy(values[split][places[split][rows]]).float()
    if isinstance(recipe, MlpRecipe):
        return mlp_inputs(examples)
    return lambda split, rows: (
        torch.from_numpy(np.ascontiguousarray(examples[split].images[rows])).permute(0, 3, 1, 2).float()
    )


def mlp_inputs(examples: Mapping[Split, ExampleSet]) -> Inputs:
    """Return what gives the inputs of `modules.Mlp`: gray levels (b, D)."""
    levels = {split: mlp.gray(of_split) for split, of_split in examples.items()}
    return lambda split, rows: levels[split][rows]


def _refuse_other(networks: Networks, run: int, folder: Path, places: npt.NDArray[np.int64]) -> None:
    """Raise `DataError` if a network's logits of some test examples are not those that the folder has."""
    with torch.no_grad():
        found = torch.func.functional_call(
            networks.module, dict(networks.states[run]), networks.inputs("test", slice(len(places)))
        )
    logits = RunFiles(folder).logits(run)["test"][places].astype(np.float32)
    apart = float(np.abs(found.numpy() - logits).max())
    if not apart <= APART * max(1.0, float(np.abs(logits).max()) / 10):
        raise DataError(
            f"{find_weights(folder)[run]} is not of run {run}: its logits differ by up to {apart:.2g}. "
            "Delete it, and train again with --checkpoints."
        )
