"""Penultimate features of one network, computed for a source that has none and stored beside it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from kernel_core.checks import with_common_classes
from kernel_core.errors import DataError, KernelExplorerError, RequestError, Unavailable
from kernel_core.files import writing
from kernel_core.networks.loading import LoadedNetwork
from kernel_core.networks.outputs import outputs
from kernel_core.progress import Progress, no_progress, renamed
from kernel_core.recipes import Training
from kernel_core.records import ExampleSet, Features
from kernel_core.sources import images
from kernel_core.sources.catalog import downloaded_features, open_source
from kernel_core.sources.source import Source, SourceRequest
from kernel_core.sources.source_toml import FEATURES
from kernel_core.sources.toml_edits import with_features
from kernel_core.spec import Split
from kernel_core.tensor_files import write_arrays

BATCH = 100  # images per call: a ResNet on 224 × 224 pixels then takes about half a gigabyte
HALF = (1e-2, 65_504.0)  # range of the largest absolute value in which float16 is precise enough
log = logging.getLogger("kernel_core")


@dataclass(frozen=True)
class Destination:
    """The destination of a source's features.

    file: the file of features.
    toml: the source.toml that is to name it, if there is one.
    """

    source: Source
    file: Path
    toml: Path | None

    @property
    def names_file(self) -> bool:
        """Whether the source already names this file."""
        return self.source.features is not None and self.source.features.resolve() == self.file.resolve()


def find_destination(
    request: SourceRequest, *, replace: bool, progress: Progress = no_progress
) -> Destination:
    """Return where the features of a source are to be stored.

    Raises `RequestError` if the source has no images, has features (unless `replace`), is trained with
    features of its own, or if its folder is read-only; `SourceError` as `open_source`.
    """
    source = open_source(request, progress=progress)
    if isinstance(source.logits, Training):
        raise RequestError(
            f"{source.name} has penultimate features already: they are trained here, with the ensemble."
        )
    if not source.images.has_images:
        raise RequestError(
            f"{source.name} has labels alone, and a network needs images. Compute the features where the "
            "images are, and name their file under [features] in source.toml."
        )
    if request.path is None:
        destination = Destination(source, downloaded_features(source.name), None)
    else:
        path = request.path / "source.toml" if request.path.is_dir() else request.path
        destination = Destination(source, path.resolve().with_name(FEATURES), path.resolve())
    if not replace and (source.features is not None or destination.file.exists()):
        existing = source.features or destination.file
        raise RequestError(
            f"{source.name} has penultimate features already, {existing}. Use --replace to replace them."
        )
    _refuse_unwritable(destination)
    return destination


def _refuse_unwritable(destination: Destination) -> None:
    """Raise `RequestError` for a read-only folder, before a network runs for minutes."""
    folder = next(path for path in destination.file.parents if path.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Unavailable(_unwritable(destination, "it is read-only"))


def _unwritable(destination: Destination, reason: str) -> str:
    problem = f"Cannot write features to {destination.file.parent} ({reason}); nothing there was changed."
    if destination.toml is None:
        return f"{problem} Free some space, or set KERNEL_EXPLORER_CACHE to a folder that can be written."
    return (
        f"{problem} Free some space, or copy source.toml into a folder that can be written, correct the "
        "paths in the copy, and run the command on it."
    )


def load_images(source: Source, progress: Progress = no_progress) -> dict[Split, ExampleSet]:
    """Load the splits of a source's images. Raises `DataError` as their reader."""
    return with_common_classes(images.load_splits(source.images, progress))


def network_features(
    network: LoadedNetwork,
    examples: Mapping[Split, ExampleSet],
    layer: str,
    *,
    device: torch.device | str = "cpu",
    progress: Progress = no_progress,
) -> tuple[Features, float | None]:
    """Compute a network's features of all images, and its accuracy on the test labels.

    layer: as in `outputs`. The accuracy is None if the network has another number of classes.
    Raises `RequestError` or `DataError` as `outputs`.
    """
    values: dict[Split, npt.NDArray[np.float32]] = {}
    accuracy = None
    for split in sorted(examples):  # test before train: the smaller split shows problems sooner
        example_set = examples[split]
        logits, values[split] = _outputs(
            network, example_set, layer, device, renamed(progress, f"running the network, {split}")
        )
        if split == "test" and logits.shape[1] == len(example_set.class_names):
            accuracy = float((logits.argmax(1) == example_set.labels).mean())
            if accuracy < 1.5 / logits.shape[1]:
                log.warning(
                    "the network is right on only %.1f%% of the test labels, about as often as chance; "
                    "check that its weights are trained, and whether it needs a --transform", 100 * accuracy,
                )  # fmt: skip
    return Features(values, layer=layer, run=network.run), accuracy


def _outputs(
    network: LoadedNetwork, examples: ExampleSet, layer: str, device: torch.device | str, progress: Progress
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Compute logits and features; an exception of the network itself becomes a `DataError`."""
    try:
        logits, features = outputs(
            network.model, examples.images, transform=network.transform, layer=layer, batch=BATCH,
            device=device, progress=progress,
        )  # fmt: skip
    except KernelExplorerError:
        raise
    except Exception as error:  # the network and its transform are the user's
        height, width = examples.images.shape[1:3]
        raise DataError(
            f"{network.run} failed on images (b, 3, {height}, {width}), {network.seen} "
            f"({type(error).__name__}: {str(error).strip()}). If it needs another input, name a --transform "
            "that produces it."
        ) from error
    assert features is not None
    return logits, features


def store_features(features: Features, destination: Destination) -> None:
    """Write the features, and name their file in the source.toml if there is one.

    If anything fails, source.toml and the features that it names stay as they were. Raises `RequestError` if
    the files cannot be written, `SourceError` if source.toml can no longer be read.
    """
    toml = None if destination.names_file else destination.toml
    text = with_features(toml, destination.file.name) if toml else b""
    is_new = not destination.file.exists()
    try:
        with contextlib.ExitStack() as stack:
            if toml:
                stack.enter_context(writing(toml)).write(text)
            write_features(features, destination.file)
            # Leaving the stack puts the new source.toml in place, after the features that it names.
    except OSError as error:
        if is_new:
            with contextlib.suppress(OSError):
                destination.file.unlink(missing_ok=True)
        raise Unavailable(_unwritable(destination, str(error.strerror or error))) from None


def write_features(
    features: Features, path: Path, metadata: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Write one tensor per split, float16 if that is precise enough, else float32; and run and layer.

    metadata: what else the file is to say. Raises `OSError` if the disk refuses.
    """
    largest = max(float(np.abs(values).max(initial=0)) for values in features.values.values())
    kind = np.float16 if HALF[0] <= largest <= HALF[1] or largest == 0 else np.float32
    arrays: dict[str, npt.NDArray[Any]] = {s: values.astype(kind) for s, values in features.values.items()}
    write_arrays(path, arrays, {**metadata, "layer": features.layer, "run": features.run})
