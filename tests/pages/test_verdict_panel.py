"""The classes that the page of an example shows, of few classes and of many, against whole tables."""

import numpy as np
import pytest
from scipy.special import softmax

from kernel_core.ensembles.predictions import predict
from kernel_core.records import Ensemble
from pages.ui.panels.verdict import CLASSES, shown_classes

N, M = 30, 21


@pytest.mark.parametrize("scale", [0.2, 3])
@pytest.mark.parametrize("C", [3, 10, 100])
def test_shown_classes_are_those_of_a_whole_table(C, scale):
    """Of many classes that are all but alike, votes go to classes that are not among the likeliest."""
    rng = np.random.default_rng(C)
    logits = (rng.normal(size=(M, N, C)) + scale * rng.normal(size=(N, C))).astype(np.float16)
    labels = rng.integers(0, C, N)
    of = predict(Ensemble(("a",), ({"test": logits},)), "test", labels)
    p = softmax(logits.astype(np.float64), -1)
    mean, spread = p.mean(0), p.std(0, ddof=1)
    votes = (logits.argmax(-1)[..., None] == np.arange(C)).sum(0)
    for i, label in enumerate(labels.tolist()):
        expected = np.lexsort((-mean[i], -votes[i]))[:CLASSES].tolist()
        if label not in expected:
            expected[-1] = label
        classes, facts, (rest, votes_of_rest) = shown_classes(of, i, label)
        assert classes.tolist() == expected
        np.testing.assert_allclose(facts, [t[i, expected] for t in (mean, spread, votes)], atol=1e-6)
        assert rest == pytest.approx(np.delete(mean[i], expected).sum(), abs=1e-6)
        assert votes_of_rest == np.delete(votes[i], expected).sum()
