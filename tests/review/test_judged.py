"""Which verdicts stand: the last of each reviewer, undone ones not, and on the pixels, wherever they are."""

import numpy as np

from kernel_core.records import ExampleSet, no_images
from kernel_core.review.judged import Judged, PixelHashes
from kernel_core.review.verdicts import WITHDRAWN, Item, Verdict

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 4, 4, 3), np.uint8)


def example_sets(test, train):
    names = "cat", "dog"
    return {
        split: ExampleSet(split, images, np.zeros(len(images), np.int64), names)
        for split, images in (("train", train), ("test", test))
    }


EXAMPLES = example_sets(IMAGES[:3], IMAGES[3:])


def on(a, b=None, verdict="different", reviewer="ann", **options):
    hashes = PixelHashes(EXAMPLES)
    kind = "label" if b is None else "pair"
    return Verdict(kind, hashes.item(a), b and hashes.item(b), verdict, reviewer, **options)


def judged_of(verdicts, examples=EXAMPLES):
    judged = Judged(PixelHashes(examples))
    judged.take(verdicts)
    return judged


def test_last_verdict_of_each_reviewer_stands():
    a, b = ("test", 0), ("train", 1)
    first, other = on(a, b), on(a, b, "exact", "bob")
    last = on(b, a, "unsure", supersedes=first.id)
    judged = judged_of([first, other, last])
    assert judged.of_pair(b, a) == {"ann": last, "bob": other}
    assert judged.reviewers == ["ann", "bob"]
    table = judged.table("pair")
    assert table[["a_split", "a_index", "b_split", "b_index", "reviewer", "verdict"]].to_numpy().tolist() == [
        ["test", 0, "train", 1, "ann", "unsure"],
        ["test", 0, "train", 1, "bob", "exact"],
    ]


def test_older_verdict_of_a_merged_file_does_not_replace_a_newer_one():
    a, b = ("test", 0), ("train", 1)
    newer, older = on(a, b, at="2026-02-02"), on(a, b, "exact", at="2026-02-01")
    assert judged_of([newer, older]).of_pair(a, b) == {"ann": newer}
    replaces = on(a, b, "unsure", at="2026-01-01", supersedes=newer.id)  # of a computer whose clock is late
    assert judged_of([newer, older, replaces]).of_pair(a, b) == {"ann": replaces}


def test_undo_brings_back_what_stood_before():
    example = ("test", 2)
    first = on(example, verdict="guessed", proposed_label="dog")
    second = on(example, verdict="given", supersedes=first.id)
    undo = on(example, verdict=WITHDRAWN, supersedes=second.id)
    assert judged_of([first, second, undo]).of_label(example) == {"ann": first}
    both = [first, second, undo, on(example, verdict=WITHDRAWN, supersedes=first.id)]
    assert judged_of(both).labels == {}
    elsewhere = on(example, verdict=WITHDRAWN, supersedes=first.id, reviewer="bob")
    assert judged_of([first, elsewhere]).of_label(example) == {"ann": first}  # not bob's to take back


def test_verdicts_follow_the_pixels():
    verdicts = [on(("test", 0), ("train", 1)), on(("test", 1), verdict="given"), on(("test", 2))]
    grown = example_sets(IMAGES[[5, 1, 0]], IMAGES[[4, 3]])  # test 2 is gone, train 2 is a test example now
    judged = judged_of(verdicts, grown)
    assert list(judged.pairs) == [(("test", 2), ("train", 0))]
    assert list(judged.labels) == [("test", 1)]
    assert judged.unmatched == [verdicts[2]]


def test_equal_images_stay_apart():
    twice = example_sets(IMAGES[[0, 0]], IMAGES[[0, 1]])
    hashes = PixelHashes(twice)
    assert [hashes.find(hashes.item(of)) for of in (("test", 1), ("train", 0))] == [("test", 1), ("train", 0)]
    assert hashes.find(Item("train", 9, hashes.item(("test", 0)).sha256)) == ("train", 0)


def test_examples_without_images_are_known_by_index():
    labels = np.zeros(3, np.int64)
    alone = {"test": ExampleSet("test", no_images(3), labels, ("cat", "dog"))}
    hashes = PixelHashes(alone)
    assert hashes.find(hashes.item(("test", 2))) == ("test", 2)
    assert hashes.find(Item("test", 7)) is None


def test_an_image_with_itself_is_no_pair():
    verdict = on(("test", 0), ("train", 1))
    same = example_sets(IMAGES[:1], IMAGES[:0])
    pair = Verdict("pair", verdict.a, verdict.a, "exact", "ann")
    assert judged_of([pair], same).unmatched == [pair]
