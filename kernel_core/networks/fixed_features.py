"""What heads are trained on: fixed features of every example, computed here once or lying in files."""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from kernel_core.checks import Remarks, check_features
from kernel_core.ensembles.manifest import fingerprints
from kernel_core.ensembles.opening import SPLIT_IN_NAME
from kernel_core.errors import DataError, RequestError, StoreError, shown
from kernel_core.files import sha256_of
from kernel_core.networks import loading, timm_networks
from kernel_core.networks.features import network_features, write_features
from kernel_core.networks.loading import LoadedNetwork, last_linear, penultimate_layer
from kernel_core.networks.patches import compute_patches
from kernel_core.oddities import count_flat, unusable_features
from kernel_core.printable import NAME, printable
from kernel_core.progress import Progress
from kernel_core.recipes import PATCHES as RECIPE
from kernel_core.records import ExampleSet, Features
from kernel_core.similarities import PATCHES, PENULTIMATE
from kernel_core.sources.features import load_features
from kernel_core.sources.source import FeatureSet, patches
from kernel_core.spec import Split
from kernel_core.tensor_files import read_metadata

FIXED = "fixed"  # the name of features whose own name stands for others
OURS = ("kernel", "pixels", "nngp", "ensemble", PATCHES)  # and all that begins with penultimate
Examples = Mapping[Split, ExampleSet]
Compute = Callable[[Examples, torch.device, int | None, Progress], Features]
"""Function that computes features: (examples, device, number of processes or threads, progress)."""


@dataclass(frozen=True, eq=False)
class FixedFeatures:
    """Which fixed features heads are to be trained on.

    set: their name, and the files that they lie in; no file where they are to be computed.
    made_by: plain values that tell them from others.
    compute: computes them; None where they lie in files.
    prepare: gets what that needs, such as a network that is downloaded, and refuses what cannot be used.
    """

    set: FeatureSet
    made_by: Mapping[str, Any]
    compute: Compute | None = None
    prepare: Callable[[], object] = lambda: None

    @property
    def of_images(self) -> bool:
        """Whether it takes images to compute them."""
        return self.compute is not None

    def placed(self, folder: Path) -> FeatureSet:
        """Return the set with its files; those that are computed lie in this folder, that of the ensemble."""
        if self.compute is None:
            return self.set
        return replace(self.set, files={"": folder / f"{self.set.name}.safetensors"})

    def check(self, folder: Path, examples: Examples, remarks: Remarks) -> None:
        """Refuse, before anything is written to the ensemble's folder, features that cannot be used.

        Raises `DataError` if files do not fit the examples, or features would say nothing; for a network,
        `RequestError` or `DownloadError`.
        """
        if self.compute is None:
            features = load_features(self.set, tuple(examples))
            check_features(features, self.set.title, examples, remarks)
        elif why := _unusable_images(examples):
            raise DataError(f"The images {why}; expected images that differ. Were they written right?")
        elif not self.placed(folder).files[""].exists():
            self.prepare()

    def stored(
        self,
        folder: Path,
        examples: Examples,
        *,
        device: torch.device,
        workers: int | None,
        progress: Progress,
    ) -> FeatureSet:
        """Return the set with its files, computed and written into the folder unless they are there.

        Raises `DataError` if a file there is of something else, or what is computed cannot be used;
        `StoreError` if the disk refuses.
        """
        placed = self.placed(folder)
        if self.compute is None:
            return placed
        path, wanted = (
            placed.files[""],
            {"made_by": _as_json(self.made_by), "examples": _as_json(fingerprints(examples))},
        )
        if path.exists():
            _refuse_other(path, wanted)
            return placed
        features = self.compute(examples, device, workers, progress)
        check_features(features, self.set.title, examples)
        try:
            write_features(features, path, wanted)
        except OSError as error:
            raise StoreError(
                f"Cannot write the features to {path} ({error.strerror or error}). No partial file is left. "
                "Free some disk space or correct the folder's permissions, then try again."
            ) from None
        return placed


def find_features(text: str, offered: Sequence[FeatureSet], weights: Path | None = None) -> FixedFeatures:
    """Return the features that a text stands for.

    text: `patches`, the name of one of the offered sets, `torchvision:NAME` or `timm:NAME`, or a file.
    offered: those of the source. weights: a file of weights for a network; None for pretrained ones.
    Raises `RequestError` if it stands for none; `DataError` if a file cannot be read.
    """
    kind, colon, name = text.partition(":")
    if colon and kind in NETWORKS:
        return _of_network(kind, name, weights)
    if weights is not None:
        raise RequestError("--weights is for --features torchvision:NAME or timm:NAME; leave it out.")
    if text == PATCHES:
        return FixedFeatures(patches(None), {"name": PATCHES, **asdict(RECIPE)}, _patches_of)
    for features in offered:
        if features.name == text:
            title = "Fixed features" if text == PENULTIMATE else features.title
            return _given(replace(features, name=_free_name(text), title=title), text)
    path = Path(os.path.expanduser(text))
    if path.is_file():
        title = printable(path.stem, NAME)
        return _given(FeatureSet(_free_name(path.stem), title, _files(path), ("cosine",)), path.name)
    known = ", ".join(features.name for features in offered)
    raise RequestError(
        f"No features are called {shown(text)}: the source has {known or 'none of its own'}, and there is no "
        f"such file. Expected {PATCHES}, a name that the source has, a file, torchvision:NAME or timm:NAME."
    )


def _given(features: FeatureSet, name: str) -> FixedFeatures:
    """Return features that lie in files. name: what tells them from others, beside their content."""
    found = {split or "sha256": _sha256(path) for split, path in features.files.items()}
    return FixedFeatures(features, {"name": name, **found})


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}). Correct the path.") from None


def _files(path: Path) -> dict[str, Path]:
    """Return the files of a set: one per split if a second lies beside this one, with the other split's name.

    So are features_train.npy and features_test.npy, of which either may be named.
    """
    found = list(SPLIT_IN_NAME.finditer(path.stem))
    if found:
        start, stop = found[-1].span()
        names = {s: f"{path.stem[:start]}{s}{path.stem[stop:]}{path.suffix}" for s in ("train", "test")}
        if all(path.with_name(name).is_file() for name in names.values()):
            return {split: path.with_name(name) for split, name in names.items()}
    return {"": path}


def _free_name(text: str) -> str:
    """Return a name for a section of [features], after a text, that stands for nothing else there.

    >>> _free_name("CLIP ViT-B/32"), _free_name("penultimate")
    ('clip-vit-b-32', 'fixed')
    """
    name = re.sub(r"[^a-z0-9_]+", "-", text.lower()).lstrip("-_0123456789")[:40].rstrip("-")
    return FIXED if not name or name in OURS or name.startswith(PENULTIMATE) else name


def _patches_of(examples: Examples, device: torch.device, workers: int | None, step: Progress) -> Features:
    values = compute_patches(RECIPE, examples, device=device, workers=workers, progress=step)
    return Features(values, layer=PATCHES, run="not trained")


NETWORKS = {
    "torchvision": (loading.torchvision_network, loading.pretrained_weights),
    "timm": (timm_networks.timm_network, timm_networks.pretrained_weights),
}
"""Library → function that creates a network, and one that names the weights that it would download."""


def _of_network(kind: str, name: str, weights: Path | None) -> FixedFeatures:
    make, named = NETWORKS[kind]
    pretrained = str(named(name))  # refuses an unknown name
    used = {"weights": pretrained} if weights is None else {"weights_sha256": _sha256(weights)}

    @functools.cache
    def network() -> LoadedNetwork:
        loaded: LoadedNetwork = make(name, weights, None)
        if not last_linear(loaded.model):
            raise RequestError(
                f"{name} has no linear layer, whose input would be its features. Choose another network, or "
                "compute features with kernel-explorer features and name their file."
            )
        return loaded

    def compute(examples: Examples, device: torch.device, _: int | None, progress: Progress) -> Features:
        layer = penultimate_layer(network().model)
        return network_features(network(), examples, layer, device=device, progress=progress)[0]

    of_network = FeatureSet(_free_name(name), printable(name, NAME), {}, ("cosine",))
    return FixedFeatures(of_network, {"name": f"{kind}:{name}", **used}, compute, network)


def _unusable_images(examples: Examples) -> str:
    """Return why features of images tell no example from another, as in "are all zero"; mostly empty."""
    pixels = {split: of_split.images.reshape(len(of_split), -1) for split, of_split in examples.items()}
    flat = all(count_flat(of_split.images) == len(of_split) for of_split in examples.values())
    return unusable_features(Features(pixels, "", "")) or ("have one color each" if flat else "")


def _as_json(values: Any) -> str:
    return json.dumps(values, sort_keys=True)


def _refuse_other(path: Path, wanted: Mapping[str, str]) -> None:
    """Raise `DataError` if a file in the ensemble's folder is not what is to be computed there."""
    found = read_metadata(path)
    if any(found.get(name) != value for name, value in wanted.items()):
        raise DataError(
            f"{path} holds other features than those that were computed for this ensemble. Move it away, and "
            "they are computed again."
        )
