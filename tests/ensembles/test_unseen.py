"""What runs that did not train on an example say of it, compared with a direct calculation in float64."""

import numpy as np
import pytest

from kernel_core.ensembles.unseen import find_unseen, label_probabilities
from kernel_core.records import Ensemble
from kernel_core.training_masks import TrainingMasks

M, N, C = 21, 43, 4  # neither a multiple of 8
RNG = np.random.default_rng(3)
LOGITS = RNG.normal(size=(M, N, C)).astype(np.float16)
LABELS = RNG.integers(0, C, N)
MASKS = RNG.random((M, N)) < 0.5
MASKS[:, 5], MASKS[:, 6] = True, False


@pytest.fixture
def ensemble():
    packed = TrainingMasks(np.packbits(MASKS, axis=1), N)
    halves = tuple({"train": LOGITS[part], "test": LOGITS[part]} for part in (slice(0, 8), slice(8, M)))
    return Ensemble(("a", "b"), halves, trained_on=packed)


def probabilities():
    exponentials = np.exp(LOGITS.astype(np.float64))
    return exponentials / exponentials.sum(-1, keepdims=True)


@pytest.mark.parametrize("block_bytes", [8_000_000, 4 * C * 16 * 7])
def test_each_example_is_judged_by_the_runs_that_did_not_train_on_it(ensemble, monkeypatch, block_bytes):
    monkeypatch.setattr("kernel_core.ensembles.unseen.BLOCK_BYTES", block_bytes)
    monkeypatch.setattr("kernel_core.training_masks.AT_A_TIME", 16)
    unseen, p = find_unseen(ensemble, LABELS), probabilities()
    for i in range(N):
        out = ~MASKS[:, i]
        right = LOGITS[:, i].argmax(-1) == LABELS[i]
        assert (unseen.runs[i], unseen.right[i]) == (out.sum(), (right & out).sum())
        assert unseen.seen_right[i] == (right & ~out).sum()
        if i == 5:  # every run saw it
            assert np.isnan(unseen.mean[i]).all()
            assert unseen.predicted[i] == -1
        else:
            mean = p[out, i].mean(0)
            np.testing.assert_allclose(unseen.mean[i], mean[unseen.classes[i]], atol=1e-6)
            np.testing.assert_array_equal(unseen.classes[i], np.argsort(-mean, kind="stable"))
            assert unseen.predicted[i] == LOGITS[out, i].astype(np.float64).mean(0).argmax()
    np.testing.assert_array_equal(unseen.seen_by(np.arange(N)), MASKS.T)
    np.testing.assert_array_equal(unseen.seen_by([[3, 9]])[0, 1], MASKS[:, 9])


def test_each_runs_probability_of_the_label_is_kept(ensemble):
    blocks = list(label_probabilities(ensemble, "train", LABELS))
    expected = probabilities()[:, np.arange(N), LABELS].T
    np.testing.assert_allclose(np.concatenate(blocks), expected, atol=5e-4)


def test_of_many_classes_the_likeliest_the_predicted_one_and_the_label_are_kept():
    rng, C = np.random.default_rng(0), 30
    logits, labels = rng.normal(size=(M, N, C)).astype(np.float16), rng.integers(0, C, N)
    packed = TrainingMasks(np.packbits(MASKS, axis=1), N)
    of = find_unseen(Ensemble(("a",), ({"train": logits, "test": logits},), trained_on=packed), labels)
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(-1, keepdims=True)
    assert (of.class_count, of.classes.shape) == (C, (N, 12))
    assert np.flatnonzero(~of.probabilities.known).tolist() == [5]
    for i in set(range(N)) - {5}:
        mean = p[~MASKS[:, i], i].mean(0)
        assert set(of.classes[i, :10].tolist()) == set(np.argsort(-mean)[:10].tolist())
        assert of.classes[i, 10:].tolist() == [of.predicted[i], labels[i]]
        np.testing.assert_allclose(of.mean[i], mean[of.classes[i]], atol=1e-6)
        assert of.rest[i] == pytest.approx(np.delete(mean, of.classes[i]).sum(), abs=1e-6)
