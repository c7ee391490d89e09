"""scikit-learn's handwritten digits as images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kernel_core.progress import Progress
from kernel_core.records import ExampleSet
from kernel_core.sources.source import ImagesFrom
from kernel_core.spec import Split

SPLIT_SEED = 0
TEST = 500  # examples


def digits_units(_source: ImagesFrom) -> dict[str, list[Path]]:
    """Return no files: scikit-learn brings them."""
    return {}


def load_digits(_source: ImagesFrom, split: Split, progress: Progress) -> ExampleSet:
    """Read scikit-learn's 1,797 handwritten digits, 8×8 pixels.

    The split is fixed and stratified: both splits have the same share of each class.
    """
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    progress(f"reading {split} images", 0, 1)
    digits = datasets.load_digits()
    train, test = train_test_split(
        np.arange(len(digits.target)),
        test_size=TEST,
        stratify=digits.target,
        random_state=SPLIT_SEED,
    )
    chosen = {"train": train, "test": test}[split]
    gray = np.round(digits.images[chosen] * (255 / 16)).astype(np.uint8)  # (N, 8, 8); 0 … 16 in the original
    images = np.repeat(gray[..., None], 3, axis=3)
    progress(f"reading {split} images", 1, 1)
    return ExampleSet(split, images, digits.target[chosen].astype(np.int64), tuple("0123456789"))
