"""The record of a verdict: what is written comes back, and what makes no sense is refused with the reason."""

import json

import numpy as np
import pytest

from kernel_core.review.verdicts import Item, Shown, Verdict, pixel_hash

GOOD = Verdict(
    "label", Item("train", 7, "c" * 64), None, "guessed", "ann", note="é\u2028", proposed_label="dog",
    shown=Shown("kernel", 0.25, 3, "labels:kernel", "digits", "abc"), design="sample", stratum="1-100",
    inclusion_probability=0.1, blind=True, milliseconds=900, browser="x",
)  # fmt: skip


def test_what_is_written_comes_back():
    assert Verdict.from_json(json.loads(json.dumps(GOOD.to_json()))) == GOOD


def test_fields_of_other_versions():
    content = {**GOOD.to_json(), "mood": "good", "shown": {"rank": 3, "weather": 1}}
    del content["blind"], content["note"]
    read = Verdict.from_json(content)
    assert (read.note, read.blind, read.shown) == ("", False, Shown(rank=3))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "triple"}, "its kind is 'triple'; expected pair or label"),
        ({"verdict": "exact"}, "its verdict is 'exact'; expected one of given, "),
        ({"b": {"split": "train", "index": 1}}, "a pair has two examples, a label one"),
        ({"a": {"split": "val", "index": 1}}, "the split of an example is 'val'; expected "),
        ({"a": {"split": "test", "index": True}}, "the index of an example is True"),
        ({"a": {"split": "test", "index": 1, "sha256": "12"}}, "the sha256 of an example is '12'"),
        ({"a": 3}, "it is 3; expected an example"),
        ({"reviewer": ""}, "its id or its reviewer is empty"),
        ({"reviewer": ["ann"]}, r"its reviewer is \['ann'\]; expected a short text"),
        ({"note": "x" * 10_001}, "its note is 'xxx"),
        ({"design": "whim"}, "its design is 'whim'; expected one of queue, sample, gold"),
        ({"milliseconds": "1"}, "its milliseconds is '1'; expected a number"),
        ({"shown": {"rank": "first"}}, "its rank is 'first'; expected a number"),
        ({"shown": []}, None),
        ({"shown": 4}, "it is 4; expected what was shown"),
        ({"blind": "yes"}, "blind is not true or false"),
    ],
)
def test_refuse_nonsense(change, reason):
    content = {**GOOD.to_json(), **change}
    if reason is None:
        assert Verdict.from_json(content).shown == Shown()
        return
    with pytest.raises(ValueError, match=reason):
        Verdict.from_json(content)


def test_hash_depends_on_shape_and_pixels():
    image = np.zeros((2, 4, 3), np.uint8)
    other = image.copy()
    other[1, 2, 0] = 1
    hashes = {pixel_hash(of) for of in (image, image.reshape(4, 2, 3), other)}
    assert len(hashes) == 3
    assert pixel_hash(image.copy()) in hashes
