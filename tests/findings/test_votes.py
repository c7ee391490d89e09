"""Predictions and votes, against torch and scikit-learn."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from kernel_core.ensembles import predictions
from kernel_core.ensembles.predictions import RUNS_AT_A_TIME, predict, predict_range
from kernel_core.findings.disagreement import label_agreement, mean_overlap
from kernel_core.findings.pairs import random_queries
from kernel_core.findings.votes import knn_accuracy, knn_vote, weighted_knn_accuracy
from kernel_core.records import Ensemble, Neighbors
from kernel_core.spec import KernelSpec


def neighbors_of(similarity, k):
    indices = np.argsort(-similarity, axis=1, kind="stable")[:, :k].astype(np.int32)
    values = np.take_along_axis(similarity, indices.astype(int), 1).astype(np.float32)
    return Neighbors(KernelSpec("kernel", k=k), indices, values)


def test_majority_vote_is_torch_mode():
    labels = np.random.default_rng(0).integers(0, 4, (500, 3))
    expected = torch.from_numpy(labels).mode(1).values.numpy()
    np.testing.assert_array_equal(knn_vote(labels, 4), expected)


def test_knn_accuracy_is_scikit_learns():
    from sklearn.neighbors import KNeighborsClassifier  # seconds, for this test alone

    rng = np.random.default_rng(1)
    train, test = rng.normal(size=(200, 3)), rng.normal(size=(60, 3))
    train_labels, test_labels = rng.integers(0, 4, 200), rng.integers(0, 4, 60)
    distance = np.linalg.norm(test[:, None] - train[None], axis=2)
    ours = knn_accuracy(neighbors_of(-distance, 5), test_labels, train_labels, k=5)
    model = KNeighborsClassifier(5, algorithm="brute").fit(train, train_labels)
    assert ours == model.score(test, test_labels)


def test_weighted_vote_counts_the_fourth_power_and_ignores_negatives():
    values = np.array([[0.5, 0.4, 0.4, -0.9], [0.9, 0.8, 0.8, 0.1]])
    labels = np.array([0, 1, 1, 2])
    neighbors = Neighbors(
        KernelSpec("kernel", k=4), np.tile(np.arange(4, dtype=np.int32), (2, 1)), values.astype(np.float32)
    )
    # 0.5^4 = 0.0625 beats 2 * 0.4^4 = 0.0512; 0.9^4 = 0.656 loses to 2 * 0.8^4 = 0.819; -0.9 weighs nothing
    accuracy = weighted_knn_accuracy(neighbors, np.array([0, 1]), labels, k=4)
    assert accuracy == 1.0
    assert weighted_knn_accuracy(neighbors, np.array([2, 2]), labels, k=4) == 0.0


def test_predictions_are_the_plain_definition(planted):
    ensemble = Ensemble(("a", "b"), ({"test": planted.test[:5]}, {"test": planted.test[5:]}))
    result = predict(ensemble, "test", planted.test_labels)
    logits = torch.from_numpy(planted.test).double()
    predicted = logits.mean(0).argmax(-1)
    confidence = logits.softmax(-1).mean(0).gather(1, predicted[:, None])[:, 0]
    np.testing.assert_array_equal(result.predicted, predicted)
    np.testing.assert_allclose(result.confidence, confidence, atol=1e-5)
    expected = (logits.argmax(-1) == torch.from_numpy(planted.test_labels)).double().mean(1)
    np.testing.assert_allclose(result.single, expected)
    probabilities = logits.softmax(-1)
    mean, kept = probabilities.mean(0).numpy(), result.classes.astype(int)
    np.testing.assert_array_equal(kept, np.argsort(-mean, axis=1, kind="stable"))
    np.testing.assert_allclose(result.mean, np.take_along_axis(mean, kept, 1), atol=1e-6)
    spread = np.take_along_axis(probabilities.std(0).numpy(), kept, 1)
    np.testing.assert_allclose(result.spread, spread, atol=1e-6)
    votes = torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).sum(0)
    np.testing.assert_array_equal(result.votes, np.take_along_axis(votes.numpy(), kept, 1))
    assert result.votes.dtype == np.uint8
    np.testing.assert_array_equal(result.run_votes, logits.argmax(-1).T)


def test_votes_run_by_run_are_kept_of_the_first_runs_alone(planted, monkeypatch):
    ensemble = Ensemble(("a", "b"), ({"test": planted.test[:5]}, {"test": planted.test[5:]}))
    whole = predict(ensemble, "test", planted.test_labels).run_votes
    monkeypatch.setattr(predictions, "RUN_VOTES", 9)
    few = predict(ensemble, "test", planted.test_labels).run_votes
    np.testing.assert_array_equal(few, whole[:, :9])


def test_predictions_do_not_depend_on_blocks(planted, monkeypatch):
    ensemble = Ensemble(("a", "b"), ({"test": planted.test[:5]}, {"test": planted.test[5:]}))
    whole = predict(ensemble, "test", planted.test_labels)
    monkeypatch.setattr(predictions, "BLOCK_BYTES", 4 * 5 * RUNS_AT_A_TIME * 7)  # 7 examples, 5 classes
    for name, values in asdict(predict(ensemble, "test", planted.test_labels)).items():
        np.testing.assert_allclose(values, getattr(whole, name), rtol=1e-6)


@pytest.mark.parametrize("size", [1, 17, 40])
def test_predictions_of_ranges_make_up_the_whole(planted, size):
    ensemble = Ensemble(("a", "b"), ({"test": planted.test[:5]}, {"test": planted.test[5:]}))
    whole, N = predict(ensemble, "test", planted.test_labels), len(planted.test_labels)
    parts = [
        predict_range(ensemble, "test", planted.test_labels, slice(start, min(start + size, N)))
        for start in range(0, N, size)
    ]
    np.testing.assert_array_equal(sum(part.right for part in parts) / N, whole.single)
    for name in parts[0].arrays:
        joined, expected = np.concatenate([part.arrays[name] for part in parts]), getattr(whole, name)
        assert joined.dtype == expected.dtype
        np.testing.assert_allclose(joined, expected, rtol=1e-6, atol=1e-9)


def test_spread_of_runs_that_agree_is_zero():
    logits = np.tile(np.array([[3.0, 1.0, -2.0]], np.float16), (300, 2, 1))
    result = predict(Ensemble(("a",), ({"test": logits},)), "test", np.zeros(2, np.int64))
    assert result.spread.max() < 1e-6
    assert result.votes.tolist() == [[300, 0, 0]] * 2


def test_overlap_and_label_agreement():
    spec = KernelSpec("kernel", k=2)
    a = Neighbors(spec, np.array([[0, 1], [2, 3]], np.int32), np.zeros((2, 2), np.float32))
    b = Neighbors(spec, np.array([[1, 0], [3, 4]], np.int32), np.zeros((2, 2), np.float32))
    assert mean_overlap(a, b, 2) == pytest.approx(3 / 4)
    assert mean_overlap(a, b, 1) == 0.0
    labels = np.array([5, 5, 6, 5, 6])
    assert label_agreement(a, np.array([5, 6]), labels, 2) == pytest.approx(3 / 4)
    assert label_agreement(a, np.array([5, 6]), labels, 2, np.array([1])) == pytest.approx(1 / 2)


def test_random_queries_depend_on_the_seed_alone():
    first = random_queries(1_000, 7)
    np.testing.assert_array_equal(first, random_queries(1_000, 7))
    assert len(set(first.tolist())) == 10
    assert set(first.tolist()) != set(random_queries(1_000, 8).tolist())
    assert sorted(random_queries(4, 0)) == [0, 1, 2, 3]
