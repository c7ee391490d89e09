"""Where the parts of a source come from: descriptions alone, nothing is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from kernel_core.errors import RequestError
from kernel_core.recipes import Training
from kernel_core.spec import SPLITS, KernelSpec, Split

BUILT_IN_NAMES = ("digits", "cifar10-multirun")  # `catalog.BUILT_IN` opens each


@dataclass(frozen=True)
class ImagesFrom:
    """Where labelled images come from: a reader's name in `images.READERS` and what it needs.

    size: pixels a side that every image is cropped and resized to; None where they are of one size already. splits:
    those that the source has: both, or test alone where the runs' outputs for the training set were not saved.
    """

    reader: str
    paths: Mapping[str, Path] = field(default_factory=dict)
    dataset: str = ""
    size: int | None = None
    splits: tuple[Split, ...] = SPLITS


@dataclass(frozen=True)
class Source:
    """Images, an ensemble's logits, and perhaps penultimate features: files to read, or a recipe to train here.

    root: the folder that file names in cache keys are relative to.
    """

    name: str
    images: ImagesFrom
    logits: tuple[Path, ...] | Training
    features: Path | None
    root: Path | None = None


@dataclass(frozen=True)
class SourceRequest:
    """What a person asked for: a source's name or path, how much of its ensemble, and which neighbors.

    runs: the first so many runs, None for all. files: so many files of a published configuration, None for as
    many as `runs` needs. query, database, transform and classes are as in `KernelSpec`; database None asks for
    neighbors in the train split, or in the only split there is; classes "each" asks for the kernel of all classes and
    for that of each alone. similarities: None for the kernel, and for all that the source
    gives where nothing but runs and files is given. precision: one of `PRECISIONS`. Raises `RequestError` where these do not fit together.
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

    def kernel(self, splits: tuple[Split, ...] = SPLITS) -> KernelSpec:
        """The kernel that was asked for of a source with these splits; where each class was, that of all of them."""
        return KernelSpec(
            "kernel",
            self.query,
            self.database or splits[0],
            run_count=self.run_count,
            transform=self.transform,
            classes=None if self.classes == "each" else self.classes,
        )

    def is_variant(self, splits: tuple[Split, ...] = SPLITS) -> bool:
        """Whether the direction or the kernel is another than the default one of a source with these splits."""
        return self.classes == "each" or self.kernel(splits) != SourceRequest(
            run_count=self.run_count
        ).kernel(splits)

    @property
    def path(self) -> Path | None:
        """The file or folder that the name names, if it is no name of a built-in source."""
        path = Path(self.name).expanduser()
        is_path = (
            self.name.endswith(".toml") or path.is_dir() or self.name.partition("/")[0] not in BUILT_IN_NAMES
        )
        return path if is_path else None

    def __post_init__(self) -> None:
        if self.run_count is not None and self.run_count < 2:
            raise RequestError(
                f"{self.run_count} run(s) were asked for; the kernel correlates over runs, so ask for 2 or more."
            )
        if self.files is not None and self.files < 1:
            raise RequestError(f"{self.files} files were asked for; ask for 1 or more.")
        kernel = self.kernel()  # refuses what is no split, transform or classes
        if self.similarities is None or "kernel" in self.similarities:
            return
        for similarity in self.similarities:
            replace(
                kernel, similarity=similarity, run_count=None
            )  # refuses a variant that only the kernel has
        if self.classes == "each" or not self.similarities:
            raise RequestError(
                f"The similarities asked for are {list(self.similarities)}, the classes {self.classes}; expected at "
                "least one similarity, and the kernel among them for the kernel of each class."
            )
