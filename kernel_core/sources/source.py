"""Where the parts of a source come from: descriptions only; nothing is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from kernel_core.errors import DataError, RequestError
from kernel_core.recipes import Training
from kernel_core.similarities import (
    KERNEL,
    NNGP,
    PATCHES,
    PENULTIMATE,
    PIXELS,
    By,
    Similarity,
    of_features,
    of_given,
)  # fmt: skip
from kernel_core.sources.logit_form import LogitForm
from kernel_core.spec import SPLITS, KernelSpec, Split

BUILT_IN_NAMES = (
    "digits", "cifar10", "cifar100", "fashion-mnist", "mnist", "svhn", "cifar10-multirun",
    "cifar10-multirun-60k",
)  # fmt: skip
"""The names of the sources that need no file of the user's; `catalog.BUILT_IN` opens each."""


@dataclass(frozen=True)
class ImagesFrom:
    """Where labeled images come from, or labels alone.

    reader: a key of `images.READERS`.
    paths: the file or folder that the reader needs, by the names that it knows them by.
    dataset: the name of a torchvision dataset; empty for other readers.
    size: side in pixels of the square that every image is cropped and resized to; None if they have one size
    already.
    splits: the splits of the source, both or `test` alone.
    shards: by split, the Parquet files that hold it, in order.
    split_names: by split, what the data call it where that differs, as in {"test": "val"}.
    columns: what the data call the columns `image` and `label`, where that was said.
    classes: the names of the classes in the order of the logits' columns, `numeric` for the order of their
    numbers, or empty for the order that the data have.
    hub: of a dataset of the Hub, its repository under the key `hub`, and config and revision where named.
    held_out: the share of the images that is the test split, where the data have training images alone; 0
    where they have a test split. `held_out` the module says which images these are.
    choose_size: whether `size` is chosen from the images' own sizes, as `image_sizes` says; only without one.
    """

    reader: str
    paths: Mapping[str, Path] = field(default_factory=dict)
    dataset: str = ""
    size: int | None = None
    splits: tuple[Split, ...] = SPLITS
    shards: Mapping[Split, tuple[Path, ...]] = field(default_factory=dict)
    split_names: Mapping[Split, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] | Literal["numeric"] = ()
    hub: Mapping[str, str] = field(default_factory=dict)
    held_out: float = 0.0
    choose_size: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        """Every path that is named, folders too."""
        return (*self.paths.values(), *(path for paths in self.shards.values() for path in paths))

    @property
    def said(self) -> dict[str, str | float | list[str]]:
        """What else the images depend on, as plain values under the keys of [images]; often empty."""
        said: dict[str, str | float | list[str]] = {**self.columns}
        if self.classes:
            said["classes"] = self.classes if isinstance(self.classes, str) else list(self.classes)
        if self.held_out:
            said["held_out"] = self.held_out
        if self.choose_size and self.size is None:
            said["size"] = "auto"
        return said

    @property
    def has_images(self) -> bool:
        """Whether there are images, and not labels alone."""
        return self.reader != "labels"


@dataclass(frozen=True)
class FeatureSet:
    """Features of every example by some network, and how they are compared.

    name: in the `source.toml`; `similarities.PENULTIMATE` for those of one run. title: the name that people
    see. files: one per split, or one alone under an empty name. ways: keys of `similarities.WAYS`.
    """

    name: str
    title: str
    files: Mapping[str, Path]
    ways: tuple[By, ...]

    @property
    def similarities(self) -> list[Similarity]:
        """The similarities that these features offer."""
        return of_features(self.name, self.title, self.ways)


@dataclass(frozen=True)
class Given:
    """Neighbors that the source's owner found by other means: a matrix of scores, or a table of neighbors.

    name, title: as of `FeatureSet`. file: what holds them. query, database: the splits that they are between.
    """

    name: str
    title: str
    file: Path
    query: Split
    database: Split

    @property
    def similarity(self) -> Similarity:
        """The similarity that they stand for."""
        return of_given(self.name, self.title)


@dataclass(frozen=True)
class Source:
    """Images, the logits of an ensemble, and optionally features and given neighbors.

    logits: the files to read, or a recipe to train the ensemble by. logit_form: how these files are read.
    root: the folder that file names in cache keys are relative to.
    """

    name: str
    images: ImagesFrom
    logits: tuple[Path, ...] | Training
    feature_sets: tuple[FeatureSet, ...] = ()
    given: tuple[Given, ...] = ()
    root: Path | None = None
    logit_form: LogitForm = field(default_factory=LogitForm)

    @property
    def features(self) -> Path | None:
        """The file of penultimate features, or the first of them, if there are any."""
        own = [of.files for of in self.feature_sets if of.name == PENULTIMATE]
        return next((path for files in own for path in files.values()), None)

    @property
    def about(self) -> str:
        """What people should know of an ensemble or a test set that they did not bring; often empty."""
        about = []
        if isinstance(self.logits, Training) and self.logits.of_heads:
            about.append(
                f"These images came without an ensemble, so {self.logits.run_count:,} small networks (heads) "
                "were trained on this machine, each on its own random part of features that take no training "
                "(patches). One head is a weak classifier; how they all move together still finds twins."
            )
        if self.images.held_out:
            share = f"{self.images.held_out:.0%}"
            about.append(f"There was no test set: {share} of the images of each class are held out as one.")
        return " ".join(about)

    @property
    def similarities(self) -> tuple[Similarity, ...]:
        """Every similarity that the source offers, the kernel first."""
        sets = self.feature_sets
        if isinstance(self.logits, Training):
            sets = (penultimate(None), *((patches(None),) if self.logits.of_heads else ()), *sets)
        features = (similarity for features in sets for similarity in features.similarities)
        given = (given.similarity for given in self.given)
        return KERNEL, *features, *given, *((PIXELS, NNGP) if self.images.has_images else ())


def penultimate(file: Path | None) -> FeatureSet:
    """Return the penultimate features of one run. file: None where they come with a training."""
    return FeatureSet(PENULTIMATE, "Features", {"": file} if file else {}, ("cosine", "euclidean"))


def patches(file: Path | None) -> FeatureSet:
    """Return the fixed features that heads are trained on here. file: None where a build computes them."""
    return FeatureSet(PATCHES, "Patches", {"": file} if file else {}, ("cosine",))


@dataclass(frozen=True)
class SourceRequest:
    """Which source to open, how much of its ensemble to use, and which neighbors to find.

    name: the name of a built-in source, or a path.
    run_count: use only the first N runs; None for all of them.
    files: number of files of a published configuration; None for as many as `run_count` needs.
    query, transform, whitened: as in `KernelSpec`.
    database: as in `KernelSpec`; None for the training set, or for the only split that the source has.
    classes: as in `KernelSpec`; "each" for the kernel of all classes and the kernel of each class alone.
    similarities: names, variants of the kernel among them; None for the kernel and, if only run_count and
    files are given, for every similarity but those on request.
    precision: one of `PRECISIONS`.
    Raises `RequestError` if these do not fit together.
    """

    name: str = "digits"
    run_count: int | None = None
    files: int | None = None
    query: Split = "test"
    database: Split | None = None
    transform: str = "log_softmax"
    classes: tuple[int, ...] | Literal["each"] | None = None
    similarities: tuple[str, ...] | None = None
    precision: str = "auto"
    whitened: bool = False

    def __post_init__(self) -> None:
        if self.run_count is not None and self.run_count < 2:
            raise RequestError(
                f"Asked for {self.run_count} run(s). The kernel correlates over runs, so ask for 2 or more."
            )
        if self.files is not None and self.files < 1:
            raise RequestError(f"Asked for {self.files} files; ask for 1 or more.")
        kernel = self.kernel()  # refuses an unknown split or transform, and wrong classes
        if self.similarities is None or "kernel" in self.similarities:
            return
        for similarity in self.similarities:
            self.spec(similarity)  # refuses what is no name
            if not similarity.startswith("kernel."):  # refuses a variant of the kernel alone
                replace(kernel, similarity=similarity, run_count=None)
        if self.classes == "each":
            raise RequestError(
                "Asked for the kernel of each class, but the similarities are "
                f"{', '.join(self.similarities) or 'none'}; expected the kernel among them. Add the kernel, "
                "or leave out the classes."
            )
        if not self.similarities:
            raise RequestError("Asked for no similarity; ask for at least one.")

    def spec(self, similarity: str, splits: tuple[Split, ...] = SPLITS) -> KernelSpec:
        """Return the neighbors that are asked for by a similarity, or by a variant of the kernel.

        splits: those that the source has. Raises `RequestError` if it is no name of one.
        """
        kernel = self.kernel(splits)
        if similarity == kernel.similarity:
            return kernel
        default = KernelSpec("kernel", kernel.query, kernel.database, run_count=self.run_count)
        return KernelSpec.named(similarity, default)

    def kernel(self, splits: tuple[Split, ...] = SPLITS) -> KernelSpec:
        """Return the kernel that is asked for; where each class is, the kernel over all classes.

        splits: those that the source has.
        """
        return KernelSpec(
            "kernel",
            self.query,
            self.database or splits[0],
            run_count=self.run_count,
            transform=self.transform,
            classes=None if self.classes == "each" else self.classes,
            whitened=self.whitened,
        )

    def is_variant(self, splits: tuple[Split, ...] = SPLITS) -> bool:
        """Return whether query, database, transform, classes or whitening differ from their defaults.

        splits: those that the source has.
        """
        default = SourceRequest(run_count=self.run_count).kernel(splits)
        return self.classes == "each" or self.kernel(splits) != default

    @property
    def whole(self) -> SourceRequest:
        """The request for all that a build finds of the same source and runs, in the default direction."""
        return SourceRequest(self.name, self.run_count, self.files, precision=self.precision)

    @property
    def map_by(self) -> str:
        """The similarity, or variant of the kernel, that a map is asked for by."""
        return self.similarities[0] if self.similarities else "kernel"

    @property
    def path(self) -> Path | None:
        """The file or folder that the name stands for; None for a source that has a name of its own.

        The name of a built-in source stands for a folder only if that holds a `source.toml`: many folders are
        called mnist. Write ./mnist for the folder.
        """
        path = Path(os.path.expanduser(self.name))  # `Path.expanduser` fails for an unknown user
        if self.name.endswith(".toml"):
            return path
        if self.name in BUILT_IN_NAMES:
            return path if os.path.isfile(path / "source.toml") else None
        return path if os.path.exists(path) else None


def existing(path: Path) -> Path:
    """Return a path that a source names. Raises `DataError` if nothing is there."""
    if not os.path.exists(path):  # unlike `Path.exists`, this is False for a name that is too long
        raise DataError(f"{path} does not exist; the source names it. Put it there, or correct the source.")
    return path
