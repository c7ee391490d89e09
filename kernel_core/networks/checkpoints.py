"""An ensemble from trained networks: their weights, and a function that creates the network."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from kernel_core.ensembles.inputs import InputImages, LabeledImages
from kernel_core.ensembles.writer import EnsembleWriter
from kernel_core.errors import DataError, RequestError, StoreError
from kernel_core.files import read_json, regular_file, sha256_of, write_json
from kernel_core.networks.loading import load_weights
from kernel_core.networks.outputs import outputs
from kernel_core.progress import Progress, no_progress, renamed
from kernel_core.records import ExampleSet
from kernel_core.sources.source import ImagesFrom
from kernel_core.spec import Split

KNOWN = "checkpoints.json"  # the file of each run's checkpoint, by run number


def write_checkpoints(
    folder: str | Path,
    checkpoints: Sequence[str | Path],
    model_factory: Callable[[], nn.Module],
    *,
    images: Mapping[Split, LabeledImages] | ImagesFrom | str | Path,
    class_names: Sequence[str] | None = None,
    name: str | None = None,
    transform: Callable[[Tensor], Tensor] | None = None,
    layer: str | None = None,
    batch: int = 500,
    device: torch.device | str = "cpu",
    progress: Progress = no_progress,
) -> Path:
    """Run each checkpoint's network on the images and add its outputs as a run; return the `source.toml`.

    model_factory: creates a network that the weights fit.
    images, class_names, name: as in `EnsembleWriter`; images are those of training and test.
    transform, layer, batch, device: as in `outputs`; features are kept of the first run.

    Checkpoints that are runs already, by their content, are skipped: an interrupted call can be repeated,
    and a longer list adds what is new. Raises `RequestError` if one is listed twice, `DataError` if one is
    missing or does not fit, and what `EnsembleWriter` and `outputs` raise.
    """
    by_hash = _by_hash([Path(os.path.expanduser(path)) for path in checkpoints])
    inputs = InputImages.of(images, class_names)
    if inputs is None or (inputs.examples and not inputs.examples["test"].has_images):
        raise RequestError("There are no images; pass those that the networks were trained on as images=….")
    writer = _writer(folder, inputs, class_names, name, layer or "")
    paths, done = _run_paths(writer.folder / KNOWN, by_hash), writer.runs
    missing = {run: path for run, path in paths.items() if run not in done}
    examples = inputs.load() if missing else {}
    for run, path in missing.items():
        logits, features = _outputs(
            _network(model_factory, path), path, examples, transform=transform, layer=None if run else layer,
            batch=batch, device=device, progress=renamed(progress, f"running {path.name}"),
        )  # fmt: skip
        writer.add(run, logits=logits, features=features)
    return writer.finish(progress)


def _writer(
    folder: str | Path, inputs: InputImages, class_names: Sequence[str] | None, name: str | None, layer: str
) -> EnsembleWriter:
    images = inputs.reference or inputs.examples
    made_by = {"by": "write_checkpoints", "layer": layer}
    return EnsembleWriter(
        folder, images=images, class_names=class_names, name=name, layer=layer, made_by=made_by
    )


def _by_hash(paths: Sequence[Path]) -> dict[str, Path]:
    """Compute each file's SHA-256. Raises `DataError` or `RequestError` if one is missing or repeated."""
    by_hash: dict[str, Path] = {}
    for path in paths:
        twin = by_hash.setdefault(sha256_of(regular_file(path)), path)
        if twin is not path:
            raise RequestError(f"{path} and {twin} are the same checkpoint. List it once.")
    return by_hash


def _run_paths(known_path: Path, by_hash: Mapping[str, Path]) -> dict[int, Path]:
    """Return run number → checkpoint. A new one gets the next free number, which is saved.

    Raises `DataError` if the file that keeps the numbers is damaged.
    """
    try:
        known = read_json(known_path)
        numbers = {str(entry["sha256"]): int(run) for run, entry in known.items()}
    except FileNotFoundError:
        known, numbers = {}, {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"{known_path} is damaged ({error}); expected the run number of each checkpoint. Restore it, or "
            "begin a new folder."
        ) from None
    for sha256, path in by_hash.items():
        if sha256 not in numbers:
            run = numbers[sha256] = len(numbers)
            known[str(run)] = {"file": path.name, "sha256": sha256}
    try:
        write_json(known_path, known)
    except OSError as error:
        raise StoreError(
            f"{known_path} could not be written ({error.strerror}). Free some disk space."
        ) from None
    return {numbers[sha256]: path for sha256, path in by_hash.items()}


def _network(model_factory: Callable[[], nn.Module], path: Path) -> nn.Module:
    model = model_factory()
    if not isinstance(model, nn.Module):
        raise RequestError(f"model_factory returned a {type(model).__name__}; expected a torch.nn.Module.")
    load_weights(model, path)
    return model


def _outputs(
    model: nn.Module, path: Path, examples: Mapping[Split, ExampleSet], **options: Any
) -> tuple[dict[Split, npt.NDArray[np.float32]], dict[Split, npt.NDArray[np.float32]] | None]:
    """Compute logits and features per split. Messages of a `DataError` begin with the checkpoint's path."""
    logits: dict[Split, npt.NDArray[np.float32]] = {}
    features: dict[Split, npt.NDArray[np.float32]] = {}
    for split in examples:
        try:
            logits[split], of_layer = outputs(model, examples[split].images, **options)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        if of_layer is not None:
            features[split] = of_layer
    return logits, features or None
