"""Planted copies are found, all of them and nothing else; compared with rows that NumPy finds equal."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kernel_core.findings.exact_copies import count_copies, exact_copies, shared_pairs
from kernel_core.records import ExampleSet, no_images
from kernel_core.review.verdicts import pixel_hash

CLASSES = ("a", "b", "c")


def example_set(split, images, labels):
    return ExampleSet(split, np.asarray(images, np.uint8), np.asarray(labels, np.int64), CLASSES)


def planted(seed=0):
    """Ten test and thirty training images; training 3, 7 and 20 equal test 2; test 5 and 6 are the same."""
    rng = np.random.default_rng(seed)
    test, train = (rng.integers(0, 256, (n, 4, 5, 3), np.uint8) for n in (10, 30))
    train[[3, 7, 20]] = test[2]
    test[6] = test[5]
    train[8] = test[8]
    labels = {"test": np.zeros(10), "train": np.zeros(30)}
    labels["train"][7] = 1
    return {
        "train": example_set("train", train, labels["train"]),
        "test": example_set("test", test, labels["test"]),
    }


def by_numpy(examples):
    """The groups of equal images as sets of examples, from the unique rows of all images."""
    names = [(split, i) for split, of in examples.items() for i in range(len(of))]
    rows = np.concatenate([of.images.reshape(len(of), -1) for of in examples.values()])
    _, inverse = np.unique(rows, axis=0, return_inverse=True)
    groups = {}
    for name, group in zip(names, inverse.ravel().tolist(), strict=True):
        groups.setdefault(group, set()).add(name)
    return {frozenset(members) for members in groups.values() if len(members) > 1}


def as_sets(copies):
    return {
        frozenset(zip(of["split"], of["index"].tolist(), strict=True)) for _, of in copies.groupby("group")
    }


def test_planted_copies_are_found():
    copies = exact_copies(planted())
    assert copies.to_dict("list") == {
        "group": [0, 0, 0, 0, 1, 1, 2, 2],
        "split": ["test", "train", "train", "train", "test", "test", "test", "train"],
        "index": [2, 3, 7, 20, 5, 6, 8, 8],
        "label": [0, 0, 1, 0, 0, 0, 0, 0],
    }
    counts = count_copies(copies, ("train", "test"))
    assert (counts.shared, counts.conflicting, counts.repeated) == (2, 1, {"train": 2, "test": 1})
    assert counts.sentence == (
        "2 test images are also in the training set, pixel for pixel; 1 of these with another label. "
        "2 training images repeat an earlier one, pixel for pixel. "
        "1 test image repeats an earlier one, pixel for pixel."
    )
    pairs = shared_pairs(copies)
    assert pairs[["test_index", "train_index"]].to_numpy().tolist() == [[2, 3], [2, 7], [8, 8]]


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_those_of_numpy_where_many_images_are_equal(seed):
    rng = np.random.default_rng(seed)
    examples = {
        split: example_set(split, rng.integers(0, 2, (n, 2, 1, 3)), rng.integers(0, 3, n))
        for split, n in (("train", 70), ("test", 40))
    }
    copies = exact_copies(examples)
    assert as_sets(copies) == by_numpy(examples)
    own = [examples[split].labels[i] for split, i in zip(copies["split"], copies["index"], strict=True)]
    assert copies["label"].tolist() == own


def test_known_hashes_take_the_place_of_the_pixels():
    with_hashes = {}
    for split, of in planted().items():
        hashes = [np.frombuffer(bytes.fromhex(pixel_hash(image)), np.uint8) for image in of.images]
        blank = np.zeros((len(of), 4, 5, 3), np.uint8)  # all alike, if anybody looked
        with_hashes[split] = replace(of, images=blank, sha256=np.stack(hashes))
    assert as_sets(exact_copies(with_hashes)) == by_numpy(planted())


def test_one_byte_apart_is_no_copy():
    images = np.zeros((2, 3, 3, 3), np.uint8)
    images[1, 2, 2, 2] = 1
    copies = exact_copies({"test": example_set("test", images, [0, 0])})
    assert not len(copies)
    assert count_copies(copies, ["test"]).sentence == "No image is there twice, pixel for pixel."


def test_all_alike_is_counted_without_all_pairs():
    sizes = {"train": 3000, "test": 2000}
    examples = {s: example_set(s, np.zeros((n, 1, 1, 3)), np.arange(n) % 3) for s, n in sizes.items()}
    copies = exact_copies(examples)
    assert len(shared_pairs(copies)) == 2000 * 3
    counts = count_copies(copies, sizes)
    assert (counts.shared, counts.conflicting, counts.repeated) == (2000, 2000, {"train": 2999, "test": 1999})


def test_no_copies_and_no_images():
    rng = np.random.default_rng(0)
    different = {
        s: example_set(s, rng.integers(0, 256, (5, 9, 9, 3)), np.zeros(5)) for s in ("train", "test")
    }
    none = {s: example_set(s, no_images(5), np.zeros(5)) for s in ("train", "test")}
    for examples in (different, none):
        copies = exact_copies(examples)
        assert isinstance(copies, pd.DataFrame)
        assert not len(copies)
        assert list(copies.columns) == ["group", "split", "index", "label"]
        sentence = count_copies(copies, examples).sentence
        assert sentence == "No test image is also in the training set, pixel for pixel."
