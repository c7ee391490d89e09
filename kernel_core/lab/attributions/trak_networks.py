"""The networks that TRAK looks into: a source's own, where its folder keeps some, else small ones."""

from __future__ import annotations

import numpy as np

from kernel_core.ensembles.folder import RunFiles
from kernel_core.lab.attributions.asked import Asked
from kernel_core.lab.attributions.halves import networks
from kernel_core.lab.drawn import RECIPE
from kernel_core.networks.kept_networks import Networks, kept_networks, mlp_inputs
from kernel_core.networks.kept_weights import find_weights
from kernel_core.networks.mlp import GROUP, gray, weights_of
from kernel_core.networks.modules import module_of, state_of

MOST = 16
GROUP_NUMBER = 1_000  # of the small networks
LIMIT = 16_000_000_000  # bytes of all gradients by one network, which take half a minute of a core


def own_runs(asked: Asked) -> list[int]:
    """Return the runs of a source whose weights its folder keeps, up to `MOST`; none that is held out."""
    root = asked.setting.keys.source.root
    files = find_weights(root) if root is not None else {}
    if root is None or not files:
        return []
    every = RunFiles(root).run_numbers
    used = every[: asked.setting.ensemble.run_count]
    if asked.runs.numbers is not None:
        used = tuple(used[number] for number in asked.runs.numbers)
    return [run for run in used if run in files][:MOST]


def can_look_into(asked: Asked) -> bool:
    """Return whether there are networks, and their gradients take minutes at most."""
    runs, root = own_runs(asked), asked.setting.keys.source.root
    if not runs or root is None:
        return not asked.runs.are_own
    of_one = find_weights(root)[runs[0]].stat().st_size
    return of_one * len(asked.examples["train"]) <= LIMIT


def networks_for(asked: Asked) -> Networks:
    """Return the source's own networks, or small ones that are trained now on all the examples."""
    runs = own_runs(asked)
    if runs:
        return kept_networks(asked.setting.keys.source, runs, asked.examples, asked.places)
    train = asked.examples["train"]
    everyone = np.tile(np.arange(len(train)), (GROUP, 1))
    layers = networks(asked.setting, asked.examples, everyone, GROUP_NUMBER)
    mean = gray(train).mean(0)
    weights = [weights_of(layers, m, mean) for m in range(MOST)]
    states = {m: state_of(of_run) for m, of_run in enumerate(weights)}
    return Networks(module_of(RECIPE, weights[0], 0), states, mlp_inputs(asked.examples))
