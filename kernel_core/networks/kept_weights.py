"""The trained weights of an ensemble's first runs, each in a file of its own in the ensemble's folder.

    checkpoints/digits-run-000007.safetensors   those of run 7 of the recipe digits

A file holds the state_dict of a module of `networks.modules`; its metadata say what made the run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernel_core.ensembles.folder import RunFiles
from kernel_core.errors import DataError, StoreError
from kernel_core.networks.modules import Weights
from kernel_core.recipes import Diverged, TrainedRun
from kernel_core.tensor_files import read_arrays, write_arrays

FOLDER = "checkpoints"
FILE_NAME = re.compile(r".+-run-(\d{6})\.safetensors")


@dataclass(frozen=True, eq=False)
class WeightFiles:
    """The files of weights in an ensemble's folder.

    name: of the recipe. made_by: what the folder's manifest says of how the runs were made.
    features: name in the `source.toml` of those that heads are trained on; empty for other recipes.
    """

    folder: Path
    name: str
    made_by: Mapping[str, Any]
    features: str = ""

    def path(self, run: int) -> Path:
        """Return the file of a run's weights."""
        return self.folder / FOLDER / f"{self.name}-run-{run:06d}.safetensors"

    def lacking(self, runs: set[int], count: int) -> set[int]:
        """Return which of these runs are among the first `count` and have no file of weights."""
        return {run for run in runs if run < count and not self.path(run).exists()}

    def write(self, run: TrainedRun) -> None:
        """Write a run's weights, if it brings some. Raises `StoreError` if the disk refuses."""
        if not run.weights:
            return
        path = self.path(run.run)
        made_by = json.dumps(self.made_by, sort_keys=True)
        metadata = {"made_by": made_by, "features": self.features, "run": str(run.run)}
        try:
            write_arrays(path, run.weights, metadata)
        except OSError as error:
            raise StoreError(
                f"Cannot write the weights of run {run.run} to {path} ({error.strerror or error}). No "
                "partial file is left. Free some disk space or correct the folder's permissions, then run "
                "the same command again."
            ) from None

    def refuse_other(self, run: TrainedRun | Diverged) -> None:
        """Raise `DataError` unless a run that was trained again has the logits that the folder has of it."""
        if isinstance(run, Diverged):
            found = run.reason
        else:
            logits = RunFiles(self.folder).logits(run.run)
            if all(np.array_equal(logits[split], run.logits[split]) for split in run.logits):
                return
            apart = max(float(np.abs(run.logits[s] - logits[s].astype(np.float32)).max()) for s in logits)
            found = f"its logits differ by up to {apart:.2g}"
        raise DataError(
            f"Run {run.run} was trained again for its weights, and {found}: another processor or version "
            f"rounds otherwise. The runs are as they were. Train with --checkpoints into a new folder."
        )


def find_weights(folder: Path) -> dict[int, Path]:
    """Return the files of weights in an ensemble's folder by run number, ascending; empty if it has none."""
    found = {}
    for path in sorted((folder / FOLDER).glob("*.safetensors")):
        if match := FILE_NAME.fullmatch(path.name):
            found[int(match[1])] = path
    return found


def read_weights(path: Path) -> tuple[Weights, dict[str, Any], str]:
    """Return a file's weights by name, what made the run, and the name of the features of heads.

    Raises `DataError` if it is not such a file.
    """
    weights, metadata = read_arrays(path)
    try:
        made_by: dict[str, Any] = json.loads(metadata["made_by"])
        features = metadata["features"]
    except (KeyError, ValueError):
        raise DataError(
            f"{path} does not say what made it; expected weights that train --checkpoints wrote. Move it out "
            f"of {path.parent}."
        ) from None
    return weights, made_by, features
