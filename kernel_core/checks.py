"""What must hold before anything is computed: images, labels, logits, features of the same examples; finite logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.errors import DataError, RequestError
from kernel_core.records import Ensemble, ExampleSet, Features
from kernel_core.spec import KernelSpec, Split


def alike(examples: Mapping[Split, ExampleSet]) -> dict[Split, ExampleSet]:
    """The splits with the same class names. Raises `DataError` if these or the sizes of the images differ."""
    if len(examples) == 1:
        return dict(examples)
    train, test = examples["train"], examples["test"]
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(
            f"Train images are {train.images.shape[1:3]} pixels, test images {test.images.shape[1:3]}; "
            "expected one size. Resize the images first."
        )
    if train.class_names == test.class_names:
        return dict(examples)
    # Without names in the files, classes are counted from the labels: the longer list covers both.
    names = max(train.class_names, test.class_names, key=len)
    if not all(name.isdigit() for name in names):
        raise DataError(
            f"Train classes are {train.class_names}, test classes {test.class_names}; expected the same."
        )
    return {s: ExampleSet(s, e.images, e.labels, names) for s, e in examples.items()}


def refuse_lonely(specs: Sequence[KernelSpec], examples: Mapping[Split, ExampleSet]) -> None:
    """Raise `RequestError` if an example would have no neighbor, since it is the only one there is."""
    for spec in specs:
        if spec.excludes_self and len(examples[spec.query]) < 2:
            raise RequestError(
                f"The {spec.query} split has {len(examples[spec.query])} example, which is not its own neighbor; "
                "expected at least 2. Ask for neighbors from another split."
            )


def check_alignment(ensemble: Ensemble, examples: Mapping[Split, ExampleSet]) -> None:
    """Raise `DataError` unless the logits have one row an image and one column a class."""
    for split, example_set in examples.items():
        if ensemble.example_count(split) != len(example_set):
            raise DataError(
                f"{ensemble.names[0]}: its {split} logits are of {ensemble.example_count(split):,} examples, but there are "
                f"{len(example_set):,} {split} images and labels; expected one each, in the same order."
            )
    names = next(iter(examples.values())).class_names
    if ensemble.class_count != len(names):
        raise DataError(
            f"{ensemble.names[0]}: its logits have {ensemble.class_count} classes, but the images have {len(names)} class "
            f"names ({', '.join(names[:12])}{', …' if len(names) > 12 else ''}); expected as many."
        )


def check_features(features: Features, name: str, examples: Mapping[Split, ExampleSet]) -> None:
    """Raise `DataError` unless the features have one row an image; name: what to call them."""
    for split, values in features.values.items():
        if len(values) != len(examples[split]):
            raise DataError(
                f"{name} has features of {len(values):,} {split} examples, but there are "
                f"{len(examples[split]):,} {split} images; expected one row an image, in the same order."
            )


def refuse_non_finite(
    logits: npt.NDArray[Any], name: str, split: Split, *, first_run: int = 0, first_example: int = 0
) -> None:
    """Raise `DataError`, naming file, run, example and class, if a logit of (runs, examples, classes) is not finite."""
    if np.isfinite(logits).all():
        return
    run, example, c = (int(i) for i in np.argwhere(~np.isfinite(logits))[0])
    raise DataError(
        f"{name}: the {split} logit of run {first_run + run}, example {first_example + example}, class {c} is "
        f"{logits[run, example, c]}; expected finite numbers. Leave that run out, or save its logits again."
    )
