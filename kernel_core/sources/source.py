"""Where the parts of a source come from: descriptions alone, nothing is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kernel_core.recipes import Training
from kernel_core.records import SPLITS, Split


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
