"""What looks wrong with logits is said before anything is computed from them, in one line each."""

import logging

import numpy as np
import pytest
import torch

from kernel_core.checks import check_alignment
from kernel_core.ensembles.logit_findings import logit_findings
from kernel_core.ensembles.opening import open_ensemble
from kernel_core.ensembles.predictions import predict
from kernel_core.errors import DataError
from kernel_core.pipeline import build
from kernel_core.records import Ensemble, ExampleSet
from kernel_core.sources.logit_form import LogitForm
from kernel_core.sources.source import SourceRequest
from tests.support.planted import write_log

NAMES = ("0", "1", "10", "11", "2", "3", "4", "5", "6", "7", "8", "9")
LABELS = {"test": np.arange(60) % 12, "train": np.arange(96) % 12}


def ensemble(**changes):
    """Runs that are right nine times of ten."""
    rng = np.random.default_rng(0)
    logits = {s: rng.normal(size=(6, len(of), 12)) + 5 * np.eye(12)[of] for s, of in LABELS.items()}
    for split, change in changes.items():
        logits[split] = change(logits[split])
    return Ensemble(("log.pt",), (logits,))


def findings(of, kind="logits", labels=LABELS):
    return logit_findings(of, labels, NAMES, kind)


def test_sound_logits_need_no_word():
    assert findings(ensemble()) == []


def test_runs_that_are_all_equal_are_refused():
    def first_only(logits):
        return np.repeat(logits[:1], 6, 0)

    with pytest.raises(DataError, match=r"log\.pt: all 6 runs have the same logits.*another seed"):
        findings(ensemble(test=first_only, train=first_only))


def test_repeated_runs_are_counted():
    def repeated(logits):
        return logits[[0, 1, 2, 0, 4, 2]]

    (line,) = findings(ensemble(test=repeated, train=repeated))
    assert line.startswith("2 of 6 runs repeat another one, number for number (run 3 is run 0)")


def test_runs_that_differ_beyond_the_sample_are_not_equal():
    def nearly(logits):
        logits = np.repeat(logits[:1], 6, 0)
        logits[:, -1, 0] = np.arange(6)
        return logits

    (line,) = findings(ensemble(train=nearly, test=lambda z: np.repeat(z[:1], 6, 0)))
    assert line.startswith("the test logits are the same in all 6 runs")
    assert findings(ensemble(train=nearly)) == []


def test_split_without_variance_is_named():
    (line,) = findings(ensemble(test=lambda logits: np.repeat(logits[:1], 6, 0)))
    assert line == "the test logits are the same in all 6 runs, so that their kernel is 0"


def softmax(logits):
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def test_undeclared_probabilities_are_named():
    (line,) = findings(ensemble(test=softmax, train=softmax))
    assert line.startswith("log.pt: the test logits are not negative and sum to 1 in every row")
    assert 'Write kind = "probabilities" under [ensemble]' in line


def test_probabilities_that_do_not_sum_to_one_are_named():
    lines = findings(
        ensemble(test=lambda z: np.log(2 * softmax(z))), "probabilities", {"test": LABELS["test"]}
    )
    assert "sum to 2; expected 1. They are scaled to 1" in lines[0]


def test_sigmoid_that_was_applied_already_is_named():
    z = np.stack([np.zeros((4, 20)), np.random.default_rng(0).random((4, 20))], -1)
    of = Ensemble(("z.npy",), ({"test": z},))
    (line,) = logit_findings(of, {"test": np.arange(20) % 2}, ("no", "yes"), "sigmoid")
    assert "z.npy: the test logits are from 0 to 1, as after a sigmoid" in line


def test_columns_in_number_order_are_noticed():
    """The classes are sorted as text, the columns as numbers."""
    order = [NAMES.index(str(n)) for n in range(12)]
    (line,) = findings(ensemble(test=lambda z: z[..., order], train=lambda z: z[..., order]))
    assert 'write classes = "numeric" under [images]' in line
    assert "right on 17% of the labels, but would be on 9" in line or "right on 1" in line


def test_columns_in_any_other_order_are_spelled_out():
    order = [*range(1, 12), 0]
    (line,) = findings(ensemble(test=lambda z: z[..., order], train=lambda z: z[..., order]))
    assert 'write classes = ["1", "10", "11", "2", "3", "4", "5", "6", "7", "8", "9", "0"]' in line


def test_runs_that_guess_are_not_taken_for_another_order():
    rng = np.random.default_rng(3)
    for _ in range(20):
        of = ensemble(test=lambda z: rng.normal(size=z.shape), train=lambda z: rng.normal(size=z.shape))
        assert findings(of) == []


def images(count, classes, split="test"):
    names = tuple(map(str, range(classes)))
    return ExampleSet(split, np.zeros((count, 2, 2, 3), np.uint8), np.arange(count) % classes, names)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((15, 8, 3), r"fits the images as \(examples, runs, classes\).*Save logits\.transpose\(1, 0, 2\)"),
        ((8, 3, 15), r"as \(runs, classes, examples\).*transpose\(0, 2, 1\)"),
        ((3, 15, 8), r"as \(classes, examples, runs\).*transpose\(2, 1, 0\)"),
        ((3, 8, 15), r"as \(classes, runs, examples\).*transpose\(1, 2, 0\)"),
        ((15, 3, 8), r"as \(examples, classes, runs\).*transpose\(2, 0, 1\)"),
        ((8, 14, 3), "are of 14 examples, but there are 15 test images"),
        ((8, 15, 1), "have 1 classes, but the images have 3"),
    ],
)
def test_axes_in_another_order_are_guessed(shape, message):
    """The transposition that is named leads to (runs, examples, classes)."""
    of = Ensemble(("log.pt",), ({"test": np.zeros(shape)},))
    with pytest.raises(DataError, match=message) as refused:
        check_alignment(of, {"test": images(15, 3)})
    if "transpose" in str(refused.value):
        order = [int(n) for n in str(refused.value).partition("transpose(")[2].partition(")")[0].split(",")]
        assert np.zeros(shape).transpose(order).shape == (8, 15, 3)


def test_one_output_for_two_classes_names_the_sigmoid():
    of = Ensemble(("log.pt",), ({"test": np.zeros((8, 15, 1))},))
    with pytest.raises(DataError, match='write kind = "sigmoid" under'):
        check_alignment(of, {"test": images(15, 2)})


def test_examples_before_runs_are_guessed_from_both_splits():
    with pytest.raises(DataError, match=r"Are the axes \(examples, runs, classes\), which would fit"):
        Ensemble(("log.pt",), ({"test": np.zeros((5, 8, 3)), "train": np.zeros((9, 8, 3))},))


def test_lost_probabilities_are_counted(tmp_path, caplog):
    p = np.full((3, 4, 2), 0.5, np.float16)
    p[0, 0], p[1, 1], p[2, 2] = (0, 1), (1, 0), (1e-6, 1)
    np.save(tmp_path / "p.npy", p)
    of = open_ensemble((tmp_path / "p.npy",), tmp_path, ("test",), LogitForm("probabilities"))
    predict(of, "test", np.zeros(4, np.int64))
    assert "p.npy: 2 of 24 test probabilities are 0 and count as 3.0e-08 (a logit of -17.3)" in caplog.text
    assert "1 others are so small" in caplog.text


def test_build_warns_before_it_searches(source_folder, cache, planted, caplog):
    order = [1, 2, 3, 4, 0]
    write_log(source_folder / "runs/a/log.pt", planted.test[:14, :, order], planted.train[:14, :, order])
    write_log(source_folder / "runs/b/log.pt", planted.test[10:14, :, order], planted.train[10:14, :, order])
    with caplog.at_level(logging.WARNING):
        build(SourceRequest(str(source_folder)))
        assert "planted: 4 of 18 runs repeat another one" in caplog.text
        assert 'write classes = ["bee", "cat", "dog", "elk", "ant"] under [images]' in caplog.text
        caplog.clear()
        build(SourceRequest(str(source_folder), query="test", database="test"))
        assert not caplog.text, "it was said already"


def test_build_refuses_runs_that_are_all_equal(source_folder, cache, planted):
    for name in "ab":
        test, train = (np.repeat(of[:1], n, 0) for of, n in ((planted.test, 3), (planted.train, 3)))
        write_log(source_folder / f"runs/{name}/log.pt", test, train)
    torch.save({**torch.load(source_folder / "runs/b/log.pt"), "code": "x"}, source_folder / "runs/b/log.pt")
    with pytest.raises(DataError, match="all 6 runs have the same logits"):
        build(SourceRequest(str(source_folder)))


def test_one_run_is_no_lack_of_variance():
    assert findings(ensemble(test=lambda z: z[:1], train=lambda z: z[:1])) == []
