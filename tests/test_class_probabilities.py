"""Which classes are kept of an example, and what is said of the others, against sorts of whole rows."""

import numpy as np
import pytest

from kernel_core.class_probabilities import LIKELIEST, ClassProbabilities, likeliest_classes
from tests.support.predicted import likeliest_by_hand


def made_up(C, n=40):
    """Probabilities (n, C) in float32 with ties and zeros, and two named classes of each row."""
    rng = np.random.default_rng(C)
    values = rng.dirichlet(np.full(C, 0.3), n).astype(np.float32)
    values[: n // 2] = np.round(values[: n // 2], 2)  # ties, also at the last place that is kept
    values[0], values[1] = 1 / C, np.eye(C)[C - 1]
    return values, rng.integers(0, C, (n, 2))


@pytest.mark.parametrize("C", [2, 10, 11, 100, 1000])
def test_likeliest_classes_are_those_of_a_sort_of_the_row(C):
    values, _named = made_up(C)
    for count in {1, min(LIKELIEST, C), C}:
        expected = [likeliest_by_hand(row.tolist(), count) for row in values]
        assert likeliest_classes(values, count).tolist() == expected


@pytest.mark.parametrize("C", [2, 10, 12, 13, 100])
def test_kept_classes_are_exact_and_the_others_bounded(C):
    values, named = made_up(C)
    of = ClassProbabilities.of(values, named)
    assert of.is_complete == (C <= 12)
    assert (len(of), of.classes.shape[1]) == (40, min(C, 12))
    for i, row in enumerate(values):
        likeliest = likeliest_by_hand(row.tolist(), min(LIKELIEST, C))
        assert of.classes[i, : len(likeliest)].tolist() == likeliest
        kept = set(of.classes[i].tolist())
        assert kept >= {*likeliest, *named[i].tolist()}
        assert (of.likeliest()[0][i], of.likeliest()[1][i]) == (row.argmax(), row.max())
        for c in range(C):
            found = of.rows(np.array([i])).of_classes(np.array([c]))[0]
            assert found == row[c] if c in kept else np.isnan(found)
        others = [float(row[c]) for c in range(C) if c not in kept]
        assert of.rest[i] == pytest.approx(sum(others), abs=1e-7)
        assert max(others, default=0) <= of.most()[i] <= 1 / LIKELIEST
        dense = of.dense()[i]
        assert all(dense[c] == row[c] for c in kept)
        assert dense.argmax() == row.argmax()
        assert all(0 <= dense[c] <= of.most()[i] for c in set(range(C)) - kept)
    np.testing.assert_array_equal(of.of_classes(named[:, 1]), values[np.arange(40), named[:, 1]])


@pytest.mark.parametrize("C", [4, 40])
def test_examples_without_probabilities_are_known_to_have_none(C):
    values, named = made_up(C)
    values[[3, 11]] = np.nan
    of = ClassProbabilities.of(values, named)
    assert np.flatnonzero(~of.known).tolist() == [3, 11]
    assert np.isnan(of.of_classes(named[:, 0])[[3, 11]]).all()
    assert of.rows(of.known).known.all()
