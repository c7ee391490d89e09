"""Checks before anything is computed: images, labels, logits and features fit together; logits are finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from kernel_core.block_array import Logits
from kernel_core.errors import DataError, RequestError
from kernel_core.oddities import unusable_features
from kernel_core.records import Ensemble, ExampleSet, Features
from kernel_core.spec import KernelSpec, Split

Remarks = Callable[[Split], Sequence[str]]
"""What a message on lengths says of a split's images, such as what was passed over."""


LEAST_TRAINED = 10  # examples; of fewer, a network learns nothing that would show in a neighbor


def no_remarks(_split: Split) -> Sequence[str]:
    """Say nothing."""
    return ()


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
    return {split: replace(of_split, class_names=names) for split, of_split in examples.items()}


def refuse_untrainable(classes: Mapping[str, int], noun: str = "image") -> None:
    """Raise `DataError` for too few training examples, fewer than two classes, or a class without any.

    classes: class name → number of training examples. noun: of `ExampleSet`.
    """
    names, total = list(classes), sum(classes.values())
    if len(names) < 2:
        raise DataError(
            f"There is only one class, {', '.join(names)}; a classifier needs 2 or more. Add {noun}s of "
            "another one."
        )
    empty = [name for name, count in classes.items() if not count]
    if empty:
        more = ", …" if len(empty) > 5 else ""
        raise DataError(
            f"{len(empty)} of {len(names)} classes have no training examples ({', '.join(empty[:5])}{more}); "
            "expected at least one per class. Add some, or remove the class."
        )
    if total < LEAST_TRAINED:
        raise DataError(
            f"There are {total} training {noun}s of {len(names)} classes; expected {LEAST_TRAINED} or more "
            "to train a network on. Add some."
        )


def refuse_single_example(specs: Sequence[KernelSpec], examples: Mapping[Split, ExampleSet]) -> None:
    """Raise `RequestError` if neighbors are searched within a split that has only one example."""
    for spec in specs:
        if spec.excludes_self and len(examples[spec.query]) < 2:
            raise RequestError(
                f"The {spec.query} split has {len(examples[spec.query])} example, and an example is never "
                "its own neighbor; expected at least 2. Ask for neighbors from another split."
            )


def check_alignment(
    ensemble: Ensemble, examples: Mapping[Split, ExampleSet], remarks: Remarks = no_remarks
) -> None:
    """Raise `DataError` unless the logits have one row per image and one column per class.

    remarks: what an error says of a split's images, as what was passed over.
    """
    name = ensemble.name_of(0)
    class_count = len(next(iter(examples.values())).class_names)
    for split, example_set in examples.items():
        refuse(_misfit_of_axes(name, ensemble.parts[0][split].shape, len(example_set), class_count))
        rows, what = ensemble.example_count(split), f"{name}: its {split} logits are"
        refuse(misfit_of_rows(what, split, rows, len(example_set), remarks, noun=example_set.noun))
    first = next(iter(examples.values()))
    said = remarks(first.split)
    refuse(misfit_of_classes(name, ensemble.class_count, first.class_names, said, noun=first.noun))


def refuse(misfit: str) -> None:
    """Raise `DataError` with this message, unless it is empty."""
    if misfit:
        raise DataError(misfit)


def misfit_of_rows(
    what: str, split: Split, rows: int, count: int, remarks: Remarks = no_remarks, *, noun: str = "image"
) -> str:
    """Return what is wrong if there is not one row per image, else an empty text.

    what: the rows, as in "log.pt: its test logits are". count: of the split's images. noun: of `ExampleSet`.
    """
    if rows == count:
        return ""
    said = _in_brackets(remarks(split))
    return (
        f"{what} of {rows:,} examples, but there are {count:,} {split} {noun}s{said}; "
        f"expected one row per {noun}, in the same order. Correct the rows or the {noun}s."
    )


def misfit_of_classes(
    name: str, class_count: int, names: Sequence[str], remarks: Sequence[str] = (), *, noun: str = "image"
) -> str:
    """Return what is wrong if the logits in `name` are not of as many classes as there are names, else ""."""
    if class_count == len(names):
        return ""
    unseen = " If some classes have no example, list all in classes." if class_count > len(names) else ""
    return (
        f"{name}: its logits have {class_count} classes, but the {noun}s have {len(names)} class names "
        f"({', '.join(names[:12])}{', …' if len(names) > 12 else ''}){_in_brackets(remarks)}; expected one "
        f"logit per class. Correct the logits or the class names.{unseen}"
    )


def _misfit_of_axes(name: str, shape: tuple[int, ...], count: int, class_count: int) -> str:
    """Return what is wrong if the axes of logits fit the images in another order, else an empty text.

    shape: (runs, examples, classes), as the file has it. count: of images.
    """
    if shape[1:] == (count, class_count):
        return ""
    if shape[2] == 1 and shape[1] == count and class_count == 2:
        return (
            f"{name}: its logits are {shape}, one output for the 2 classes of the images; expected one logit "
            'per class. If it is the output of a sigmoid, write kind = "sigmoid" under [ensemble].'
        )
    for order, axes in (
        ((1, 0, 2), "examples, runs, classes"),
        ((0, 2, 1), "runs, classes, examples"),
        ((2, 1, 0), "classes, examples, runs"),
        ((1, 2, 0), "classes, runs, examples"),
        ((2, 0, 1), "examples, classes, runs"),
    ):
        if (shape[order[1]], shape[order[2]]) == (count, class_count):
            return (
                f"{name}: its logits are {shape}, which fits the images as ({axes}); expected (runs, "
                f"examples, classes). Save logits.transpose{order}, or .permute{order} of a tensor."
            )
    return ""


def _in_brackets(remarks: Sequence[str]) -> str:
    return f" ({'; '.join(remarks)})" if remarks else ""


def check_features(
    features: Features, name: str, examples: Mapping[Split, ExampleSet], remarks: Remarks = no_remarks
) -> None:
    """Raise `DataError` unless the features have one row per image, and are not all the same.

    name: what to call them. remarks: as for `check_alignment`.
    """
    for split, values in features.values.items():
        count, what = len(examples[split]), f"{name}: its {split} features are"
        refuse(misfit_of_rows(what, split, len(values), count, remarks, noun=examples[split].noun))
    refuse_unusable(features, name)


def refuse_unusable(features: Features, name: str) -> None:
    """Raise `DataError` for features that tell no example from another; name: what to call them."""
    if why := unusable_features(features):
        raise DataError(
            f"{name}: its features {why}; expected features that tell examples apart. Save them again, or "
            "leave them out of the source."
        )


def refuse_non_finite(
    logits: Logits, ensemble: Ensemble, file: int, split: Split, *, first_run: int = 0, first_example: int = 0
) -> None:
    """Raise `DataError` if a logit is not finite, saying which.

    logits: floating (runs, examples, classes), some of those of a split in the ensemble's part `file`.
    first_run, first_example: the numbers of the first run and the first example in the part.
    """
    logits = np.asarray(logits)
    if np.isfinite(logits).all():
        return
    run, example, c = (int(i) for i in np.argwhere(~np.isfinite(logits))[0])
    name = ensemble.name_of(file, first_run + run)
    raise DataError(
        f"{name}: the {split} logit of run {first_run + run}, example {first_example + example}, class {c} "
        f"is {logits[run, example, c]}; expected finite numbers. Leave that run out, or save its logits "
        "again."
    )
