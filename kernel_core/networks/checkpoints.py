"""An ensemble from networks that are trained already: their weights, and a function that makes such a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kernel_core.ensembles.inputs import InputImages
from kernel_core.ensembles.writer import EnsembleWriter
from kernel_core.errors import DataError, RequestError, StoreError
from kernel_core.files import sha256_of, write_json
from kernel_core.networks.outputs import outputs
from kernel_core.networks.weights import load_weights
from kernel_core.progress import Progress, no_progress
from kernel_core.records import ExampleSet
from kernel_core.sources.source import ImagesFrom
from kernel_core.spec import Split

KNOWN = "checkpoints.json"  # which file each run is of


def write_checkpoints(
    folder: str | Path,
    checkpoints: Sequence[str | Path],
    model_factory: Callable[[], nn.Module],
    *,
    images: Mapping[Split, Any] | ImagesFrom | str | Path,
    class_names: Sequence[str] | None = None,
    name: str | None = None,
    transform: Callable[[Tensor], Tensor] | None = None,
    layer: str | None = None,
    batch: int = 500,
    device: torch.device | str = "cpu",
    progress: Progress = no_progress,
) -> Path:
    """Run each checkpoint's network on the images and add it as a run; the path of the `source.toml`.

    model_factory: makes a network into which the weights fit. images, class_names and name as in `EnsembleWriter`:
    those that the networks were trained on and are tested with; transform, layer, batch and device as in
    `inference.outputs`, features being kept of the first run. A checkpoint is known by its content: one that is a
    run already is skipped, so that a call that broke off goes on, and a longer list adds to what is there. Raises
    what these two raise, `RequestError` for the same checkpoint twice, `DataError`, naming the file, for one that
    is missing or does not fit.
    """
    paths = [Path(path).expanduser() for path in checkpoints]
    hashes = _hashes(paths)
    given = InputImages.of(images, class_names)
    if given is None:
        raise RequestError("There are no images; give those that the networks were trained on as images=….")
    writer = EnsembleWriter(
        folder, images=given.reference or given.examples, class_names=class_names, name=name, layer=layer or "",
        made_by={"by": "write_checkpoints", "layer": layer or ""},
    )  # fmt: skip
    numbers = _numbers(writer.folder / KNOWN, paths, hashes)
    done = writer.runs
    todo = [(path, run) for path, run in zip(paths, numbers, strict=True) if run not in done]
    if todo:
        examples = given.load()
        for path, run in todo:
            model = _network(model_factory, path)
            logits, features = _outputs(
                model, path, examples, transform=transform, layer=None if run else layer, batch=batch, device=device,
                progress=lambda _step, done, total, name=path.name: progress(f"running {name}", done, total),
            )  # fmt: skip
            writer.add(run, logits=logits, features=features)
    return writer.finish(progress)


def _hashes(paths: Sequence[Path]) -> list[str]:
    """The SHA-256 of each file, of which no two are the same."""
    seen: dict[str, Path] = {}
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path} does not exist or is no file; expected a checkpoint. Correct the list.")
        twin = seen.setdefault(sha256_of(path), path)
        if twin is not path:
            raise RequestError(f"{path} and {twin} are the same checkpoint twice; a run counts once.")
    return list(seen)


def _numbers(known_at: Path, paths: Sequence[Path], hashes: Sequence[str]) -> list[int]:
    """The number of each checkpoint's run: the one it was given before, else the next one free; remembered."""
    try:
        known = json.loads(known_at.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = {}
    numbers = {entry["sha256"]: int(run) for run, entry in known.items()}
    for path, sha256 in zip(paths, hashes, strict=True):
        if sha256 not in numbers:
            run = numbers[sha256] = len(numbers)
            known[str(run)] = {"file": path.name, "sha256": sha256}
    try:
        write_json(known_at, known)
    except OSError as error:
        raise StoreError(f"{known_at} could not be written ({error.strerror}); free some space.") from None
    return [numbers[sha256] for sha256 in hashes]


def _network(model_factory: Callable[[], nn.Module], path: Path) -> nn.Module:
    model = model_factory()
    if not isinstance(model, nn.Module):
        raise RequestError(f"model_factory returned a {type(model).__name__}; expected a torch.nn.Module.")
    load_weights(model, path)
    return model


def _outputs(
    model: nn.Module, path: Path, examples: Mapping[Split, ExampleSet], **how: Any
) -> tuple[dict[Split, Any], dict[Split, Any] | None]:
    """Logits and features a split; a message about them begins with the checkpoint's name."""
    logits, features = {}, {}
    for split in examples:
        try:
            logits[split], features[split] = outputs(model, examples[split].images, **how)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
    return logits, None if features["test"] is None else features
