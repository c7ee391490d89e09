"""Checks before anything is computed: images, labels, logits and features fit together; logits are finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.errors import DataError, RequestError
from kernel_core.records import Ensemble, ExampleSet, Features
from kernel_core.spec import KernelSpec, Split


def with_common_classes(examples: Mapping[Split, ExampleSet]) -> dict[Split, ExampleSet]:
    """Return the splits with one list of class names.

    Raises `DataError` if the class names or the sizes of the images differ between the splits.
    """
    if len(examples) == 1:
        return dict(examples)
    train, test = examples["train"], examples["test"]
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(
            f"The training images are {train.images.shape[1:3]} pixels, the test images "
            f"{test.images.shape[1:3]}; expected one size. Resize the images first."
        )
    if train.class_names == test.class_names:
        return dict(examples)
    # If the files name no classes, each split counts them by its labels: the longer list covers both.
    names = max(train.class_names, test.class_names, key=len)
    if not all(name.isdigit() for name in names):
        raise DataError(
            f"The training set has the classes {train.class_names}, the test set {test.class_names}; "
            "expected the same classes in the same order. Correct the class names."
        )
    return {s: ExampleSet(s, e.images, e.labels, names) for s, e in examples.items()}


def refuse_single_example(specs: Sequence[KernelSpec], examples: Mapping[Split, ExampleSet]) -> None:
    """Raise `RequestError` if neighbors are searched within a split that has only one example."""
    for spec in specs:
        if spec.excludes_self and len(examples[spec.query]) < 2:
            raise RequestError(
                f"The {spec.query} split has {len(examples[spec.query])} example, and an example is never "
                "its own neighbor; expected at least 2. Ask for neighbors from another split."
            )


def check_alignment(ensemble: Ensemble, examples: Mapping[Split, ExampleSet]) -> None:
    """Raise `DataError` unless the logits have one row per image and one column per class."""
    name = ensemble.names[0]
    for split, example_set in examples.items():
        count = ensemble.example_count(split)
        if count != len(example_set):
            raise DataError(
                f"{name}: its {split} logits are of {count:,} examples, but there are {len(example_set):,} "
                f"{split} images; expected one row per image, in the same order. Correct the logits or the "
                "images."
            )
    classes = next(iter(examples.values())).class_names
    if ensemble.class_count != len(classes):
        raise DataError(
            f"{name}: its logits have {ensemble.class_count} classes, but the images have {len(classes)} "
            f"class names ({', '.join(classes[:12])}{', …' if len(classes) > 12 else ''}); expected one "
            "logit per class. Correct the logits or the class names."
        )


def check_features(features: Features, name: str, examples: Mapping[Split, ExampleSet]) -> None:
    """Raise `DataError` unless the features have one row per image; name: what to call them."""
    for split, values in features.values.items():
        if len(values) != len(examples[split]):
            raise DataError(
                f"{name} has features of {len(values):,} {split} examples, but there are "
                f"{len(examples[split]):,} {split} images; expected one row per image, in the same order. "
                "Correct the features or the images."
            )


def refuse_non_finite(
    logits: npt.NDArray[Any], name: str, split: Split, *, first_run: int = 0, first_example: int = 0
) -> None:
    """Raise `DataError` if a logit is not finite, saying which.

    logits: floating (runs, examples, classes), a part of those of a split. name: what to call their file.
    first_run, first_example: the numbers of the first run and the first example in the part.
    """
    if np.isfinite(logits).all():
        return
    run, example, c = (int(i) for i in np.argwhere(~np.isfinite(logits))[0])
    raise DataError(
        f"{name}: the {split} logit of run {first_run + run}, example {first_example + example}, class {c} "
        f"is {logits[run, example, c]}; expected finite numbers. Leave that run out, or save its logits "
        "again."
    )
