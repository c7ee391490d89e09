"""What is said of a table of labels to check: who is left out, and what is approximate."""

from types import SimpleNamespace

import numpy as np

from kernel_core.results.label_check import TEST, judging, said_of_left_out, said_of_unlikely
from tests.support.predicted import predictions_of


def results_of(C):
    mean = np.random.default_rng(C).dirichlet(np.ones(C), 50).astype(np.float32)
    of_split = {"test": predictions_of(mean, np.arange(50) % C)}
    return mean, SimpleNamespace(query="test", predictions_of=of_split)


def test_nothing_is_said_where_all_classes_are_kept():
    _mean, results = results_of(12)
    assert judging(results)[0] == TEST
    assert said_of_left_out(results) == said_of_unlikely(results) == ""


def test_what_is_approximate_is_said_with_its_bound():
    mean, results = results_of(30)
    tenth = float(np.sort(mean, axis=1)[:, -10].max())
    said = said_of_unlikely(results)
    assert said.startswith("Approximate here: which labels are flagged")
    assert "example's 30 classes, the 10 likeliest are kept" in said
    assert f"a probability of at most {tenth:.2g}, count as equally likely." in said
