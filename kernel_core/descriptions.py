"""Where the parts of a source come from: descriptions alone, nothing is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class TrainingRecipe:
    """How an ensemble of small fully connected networks is trained, all of it together; the seed fixes every run."""

    runs: int
    hidden: tuple[int, ...]  # widths of the hidden layers; the last one gives the penultimate features
    epochs: int
    batch: int
    learning_rate: float
    label_smoothing: float
    seed: int


@dataclass(frozen=True)
class ImagesFrom:
    """Where labelled images come from: a reader's name in `images.READERS` and what it needs."""

    reader: str
    paths: Mapping[str, Path] = field(default_factory=dict)
    dataset: str = ""


@dataclass(frozen=True)
class Source:
    """Images, an ensemble's logits, and perhaps penultimate features: files to read, or a recipe to train here.

    root: the folder that file names in cache keys are relative to.
    """

    name: str
    images: ImagesFrom
    logits: tuple[Path, ...] | TrainingRecipe
    features: Path | None
    root: Path | None = None
