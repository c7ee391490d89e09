"""Records refuse what does not fit together, saying what was found and what was expected."""

import numpy as np
import pytest

from kernel_core.errors import DataError, RequestError
from kernel_core.records import Ensemble, ExampleSet, Features
from kernel_core.spec import KernelSpec

IMAGES = np.zeros((4, 8, 8, 3), np.uint8)


def part(runs=3, test=5, train=7, classes=4):
    return {
        "test": np.zeros((runs, test, classes), np.float16),
        "train": np.zeros((runs, train, classes), np.float16),
    }


@pytest.mark.parametrize("label", [-1, 3])
def test_label_out_of_range_is_named(label):
    labels = np.array([0, 1, label, 2])
    with pytest.raises(DataError, match=rf"example 2 has label {label}.*expected 0 … 2"):
        ExampleSet("train", IMAGES, labels, ("a", "b", "c"))


def test_labels_and_images_of_different_length_are_refused():
    with pytest.raises(DataError, match="4 images"):
        ExampleSet("train", IMAGES, np.zeros(5, np.int64), ("a",))


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (part(test=6), "6 examples × 4 classes, but a has 5 examples × 4 classes"),
        (part(train=9), "9 examples × 4 classes, but a has 7"),
        (part(classes=3), "3 classes, but a has"),
    ],
)
def test_files_that_disagree_are_named(second, message):
    with pytest.raises(DataError, match=f"b: .*{message}"):
        Ensemble(("a", "b"), (part(), second))


def test_splits_with_different_runs_are_refused():
    wrong = part()
    wrong["train"] = wrong["train"][:2]
    with pytest.raises(DataError, match="the same runs in every split"):
        Ensemble(("a",), (wrong,))


def test_first_runs_cross_files_in_order():
    a, b = part(runs=3), part(runs=4)
    b["test"][:] = np.arange(4)[:, None, None]
    first = Ensemble(("a", "b"), (a, b)).first(5)
    assert first.run_count == 5
    assert first.parts[1]["test"][:, 0, 0].tolist() == [0, 1]


def test_more_runs_than_there_are_is_refused():
    with pytest.raises(RequestError, match="hold 3: ask for 2 to 3"):
        Ensemble(("a",), (part(),)).first(4)


def test_non_finite_features_are_refused():
    values = np.zeros((3, 2), np.float32)
    values[1, 0] = np.nan
    with pytest.raises(DataError, match="features of example 1"):
        Features({"train": values, "test": values}, "layer", "0")


def test_spec_survives_json_and_refuses_what_is_no_name():
    spec = KernelSpec("kernel", query="test", database="test", k=7, run_count=20)
    assert KernelSpec.from_json(spec.to_json()) == spec
    assert spec.excludes_self
    assert not KernelSpec("pixels").excludes_self
    for name in ("kernel.soft", "Kernel", "kernel.first-0", "kernel.raw.", ""):
        with pytest.raises(RequestError, match=r"kernel"):
            KernelSpec.named(name, spec)


def test_variant_survives_json_as_the_same_key_of_a_table():
    spec = KernelSpec("kernel", transform="none", classes=(0, 3))
    again = KernelSpec.from_json(spec.to_json())
    assert again == spec
    assert isinstance(again.classes, tuple)
    assert {spec: 1}[again] == 1


@pytest.mark.parametrize(
    ("spec", "title"),
    [
        (KernelSpec("kernel", run_count=9), "kernel"),
        (KernelSpec("kernel", transform="none"), "kernel (raw logits)"),
        (KernelSpec("kernel", classes=(3,)), "kernel (class 3)"),
        (KernelSpec("kernel", transform="none", classes=(0, 3)), "kernel (raw logits, classes 0, 3)"),
        (KernelSpec("pixels"), "pixels"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_variant_has_a_name(spec, title):
    assert spec.title == title


@pytest.mark.parametrize("classes", [(), (3, 3), (3, 0), (-1, 2)])
def test_classes_out_of_order_repeated_or_negative_are_refused(classes):
    with pytest.raises(RequestError, match="each once and in rising order"):
        KernelSpec("kernel", classes=classes)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"transform": "foo"}, "known: log_softmax, none"),
        ({"query": "valid"}, "No split is called 'valid'; known: train, test"),
        ({"database": "valid"}, "No split is called 'valid'"),
        ({"similarity": "pixels", "transform": "none"}, "raw logits: pixels does not depend"),
        ({"similarity": "pixels", "classes": (1,)}, "class 1: pixels does not depend"),
        ({"similarity": "penultimate", "run_count": 5}, "5 runs: penultimate does not depend"),
    ],
    ids=str,
)
def test_what_is_no_variant_is_refused(fields, message):
    with pytest.raises(RequestError, match=message):
        KernelSpec(**{"similarity": "kernel", **fields})
