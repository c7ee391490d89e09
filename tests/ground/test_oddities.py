"""Planted oddities of images, labels and features are said; good data are passed over in silence."""

import numpy as np
import pytest

from kernel_core.checks import check_features
from kernel_core.errors import DataError
from kernel_core.oddities import count_flat, odd_examples, odd_features, unusable_features
from kernel_core.records import ExampleSet, Features, no_images

NAMES = ("ant", "bee", "cat")


def examples(*, train=None, test=None, train_labels=None, test_labels=None, names=NAMES):
    """Sixty training and forty test images of noise, unless others are given."""
    rng = np.random.default_rng(0)
    made = {}
    for split, n, images, labels in (("train", 60, train, train_labels), ("test", 40, test, test_labels)):
        images = rng.integers(0, 256, (n, 6, 5, 3), np.uint8) if images is None else images
        labels = np.arange(n) % len(names) if labels is None else labels
        made[split] = ExampleSet(split, images, np.asarray(labels, np.int64), names)
    return made


def noise(n, flat):
    """n images of noise, the first of which are flat, each in its own color."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (n, 6, 5, 3), np.uint8)
    images[:flat] = images[:flat, :1, :1]
    return images


def test_good_examples_are_passed_over():
    assert odd_examples(examples()) == []
    assert odd_examples(examples(test=noise(40, 1))) == []
    labels_alone = {s: ExampleSet(s, no_images(6), np.arange(6) % 3, NAMES) for s in ("train", "test")}
    assert odd_examples(labels_alone) == []


@pytest.mark.parametrize("flat", [0, 1, 7, 2500])
def test_flat_images_are_counted_as_by_the_spread_of_each_channel(flat):
    images = noise(2500, flat)
    images[-1, 3, :, :] = images[-1, 0, 0]  # the middle line is flat, the rest is not
    by_spread = int((np.ptp(images.reshape(2500, 30, 3), axis=1) == 0).all(axis=1).sum())
    assert count_flat(images) == by_spread == flat


@pytest.mark.parametrize(
    ("spoiled", "line"),
    [
        ({"test": noise(40, 33)}, "33 of 40 test images are one flat color each. Were they written right?"),
        ({"test": noise(40, 40)}, "40 of 40 test images are one flat color each. Were they written right?"),
        (
            {"train": np.repeat(noise(1, 0), 60, 0)},
            "all 60 training images are the same; expected different ones. Were they written right?",
        ),
        ({"train": np.zeros((60, 6, 5, 3), np.uint8)}, "all 60 training images are the same; expected"),
        ({"test_labels": np.full(40, 1)}, "all 40 test labels are bee; expected several classes."),
        ({"names": ("ant", "bee", "cat", "dog"), "train_labels": np.arange(60) % 3,
          "test_labels": np.arange(40) % 3}, "1 of 4 classes have no example in any split: dog."),
        ({"names": tuple("01234567"), "train_labels": np.arange(60) % 2 * 7, "test_labels": np.zeros(40)},
         "the labels skip 6 of the numbers 0 to 7: 1, 2, 3, 4, 5, …. Are they the numbers"),
    ],
)  # fmt: skip
def test_odd_examples_are_said(spoiled, line):
    assert any(said.startswith(line) for said in odd_examples(examples(**spoiled)))


def features(train, test):
    return Features({"train": np.asarray(train, float), "test": np.asarray(test, float)}, "layer", "0")


RANDOM = np.random.default_rng(2).normal(size=(60, 4))
TEST = np.random.default_rng(3).normal(size=(40, 4))


@pytest.mark.parametrize(
    ("spoiled", "why"),
    [
        (features(RANDOM * 0, TEST * 0), "are all zero"),
        (features(RANDOM[:1].repeat(60, 0), TEST), "are the same for every training example"),
        (features(RANDOM, TEST[:1].repeat(40, 0)), "are the same for every test example"),
    ],
)
def test_features_that_say_nothing_are_refused(spoiled, why):
    assert unusable_features(spoiled) == why
    with pytest.raises(DataError, match=f"CLIP: its features {why}; expected features that tell"):
        check_features(spoiled, "CLIP", examples())


def test_usable_features_may_have_rows_of_zeros():
    some = TEST.copy()
    some[:9] = 0
    found = features(RANDOM, some)
    check_features(found, "CLIP", examples())
    assert odd_features(found) == ["9 of 40 test rows are all zero."]
    assert odd_features(features(RANDOM, TEST)) == []
