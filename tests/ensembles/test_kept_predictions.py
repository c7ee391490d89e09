"""What predictions keep of many classes, against whole tables in float64."""

import numpy as np
import pytest
from scipy.special import softmax

from kernel_core.ensembles import predictions
from kernel_core.ensembles.predictions import predict
from kernel_core.records import Ensemble

N, M = 37, 29


def made_up(C, scale, runs=M):
    """Logits (runs, N, C), in two files, and labels. Some rows are all but even, some vanish in float32."""
    rng = np.random.default_rng(C)
    logits = rng.normal(size=(runs, N, C)) + scale * rng.normal(size=(N, C))
    logits[:, 0] = 0
    logits[:, 1, 3:] -= 200
    logits = logits.astype(np.float16)
    return Ensemble(("a", "b"), ({"test": logits[:5]}, {"test": logits[5:]})), rng.integers(0, C, N)


def tables_of(ensemble):
    """Mean, spread and votes of every class, (N, C) each."""
    logits = np.concatenate([part["test"] for part in ensemble.parts]).astype(np.float64)
    p, C = softmax(logits, -1), logits.shape[2]
    return p.mean(0), p.std(0, ddof=1), (logits.argmax(-1)[..., None] == np.arange(C)).sum(0), logits


@pytest.mark.parametrize("scale", [0.3, 4])
@pytest.mark.parametrize("C", [5, 10, 17, 18, 100])
def test_what_is_kept_is_that_of_whole_tables(C, scale, monkeypatch):
    monkeypatch.setattr(predictions, "BLOCK_BYTES", 4 * C * predictions.RUNS_AT_A_TIME * 7)
    ensemble, labels = made_up(C, scale)
    (mean, spread, votes, logits), of = tables_of(ensemble), predict(ensemble, "test", labels)
    predicted = logits.mean(0).argmax(-1)
    np.testing.assert_array_equal(of.predicted, predicted)
    np.testing.assert_allclose(of.confidence, mean[np.arange(N), predicted], atol=1e-6)
    assert (of.class_count, of.classes.shape) == (C, (N, min(C, 17)))
    assert of.probabilities.is_complete == (C <= 17)
    index = np.arange(N)[:, None]
    np.testing.assert_allclose(of.mean, mean[index, of.classes], atol=1e-6)
    np.testing.assert_allclose(of.spread, spread[index, of.classes], atol=1e-6)
    np.testing.assert_array_equal(of.votes, votes[index, of.classes])
    for i in range(N):
        likeliest = of.classes[i, : min(10, C)]
        assert (np.diff(of.mean[i, : min(10, C)]) <= 0).all()
        assert mean[i, likeliest].min() >= np.delete(mean[i], likeliest).max(initial=0) - 1e-7
        classes, facts = of.of_example(i)
        assert classes.tolist() == sorted(set(of.classes[i].tolist()))
        assert {labels[i], predicted[i]} <= set(classes.tolist())
        np.testing.assert_allclose(facts, [table[i, classes] for table in (mean, spread, votes)], atol=1e-6)
        assert of.rest[i] == pytest.approx(np.delete(mean[i], classes).sum(), abs=1e-6)
        # The five with most votes, of equal ones the likelier: what the page of an example shows.
        shown = of.mean[0].dtype.type(mean[i])
        five = np.lexsort((-shown, -votes[i]))[:5]
        assert votes[i, five].tolist() == facts[2][np.lexsort((-facts[0], -facts[2]))[:5]].tolist()
        assert set(five[votes[i, five] > 0].tolist()) <= set(classes.tolist())
    assert of.has_all_votes
    for c in range(C):
        np.testing.assert_array_equal(of.votes_for(np.full(N, c)), votes[:, c])


def test_votes_of_classes_that_are_not_kept_are_scaled_beyond_the_runs_kept_one_by_one(monkeypatch):
    monkeypatch.setattr(predictions, "RUN_VOTES", 12)
    ensemble, labels = made_up(100, 0.3)
    (_, _, votes, logits), of = tables_of(ensemble), predict(ensemble, "test", labels)
    rows = np.arange(N)
    np.testing.assert_array_equal(of.votes_for(labels), votes[rows, labels])
    np.testing.assert_array_equal(of.votes_for(of.predicted), votes[rows, of.predicted])
    assert not of.has_all_votes
    of_first = (logits[:12].argmax(-1) == 7).sum(0)
    expected = np.where((of.classes == 7).any(1), votes[:, 7], np.rint(of_first * (M / 12)))
    np.testing.assert_array_equal(of.votes_for(np.full(N, 7)), expected)


def test_a_predicted_class_beyond_the_likeliest_keeps_its_facts():
    """One run is sure, the others spread over twelve classes: the largest mean logit is none of the ten."""
    logits = np.full((9, 1, 60), -30.0, np.float16)
    logits[1:, 0, 20:32] = 0
    logits[:, 0, 50] = -4
    logits[0, 0, 20:32] = -200
    ensemble, label = Ensemble(("a",), ({"test": logits},)), np.array([3])
    of = predict(ensemble, "test", label)
    assert of.predicted.tolist() == [50]
    likeliest = of.classes[0, :10].tolist()
    assert sorted(likeliest) == list(range(20, 30)) or 50 in likeliest
    assert of.votes_for(np.array([50])).tolist() == [1]
    assert of.probabilities.of_classes(np.array([3]))[0] == pytest.approx(0, abs=1e-9)
    assert of.confidence[0] == of.probabilities.of_classes(np.array([50]))[0]
