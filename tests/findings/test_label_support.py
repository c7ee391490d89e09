"""The support of labels, against sums written out, and planted wrong labels."""

import numpy as np
import pytest

from kernel_core.findings.label_support import label_support
from kernel_core.records import Neighbors
from kernel_core.spec import KernelSpec
from tests.support.predicted import predictions_of


@pytest.mark.parametrize("C", [4, 50])
@pytest.mark.parametrize("sign", [1, -1])
def test_support_is_probability_plus_share(sign, C):
    rng = np.random.default_rng(0)
    n, N, k = 40, 60, 30
    indices = np.array([rng.permutation(N)[:k] for _ in range(n)], np.int32)
    values = np.sort(rng.normal(0.2, 0.4, (n, k)).astype(np.float32))[:, ::-1]
    values = values if sign == 1 else -np.sort(np.abs(values))
    labels, others = rng.integers(0, C, n), rng.integers(0, C, N)
    mean = rng.dirichlet(np.ones(C), n)
    table = label_support(
        Neighbors(KernelSpec("kernel"), indices, values), labels, others, predictions_of(mean, labels)
    )
    assert table["rank"].tolist() == list(range(1, n + 1))
    assert (np.diff(table["support"]) >= 0).all()
    for row in table.itertuples():
        i, weight = row.query_index, [0.0] * C
        for j in range(20):
            one = max(float(values[i, j]), 0.0) ** 4 if sign == 1 else 1.0
            weight[others[indices[i, j]]] += one
        assert row.query_label == labels[i]
        assert row.share == pytest.approx(weight[labels[i]] / sum(weight) if sum(weight) else 0)
        assert row.support == pytest.approx(float(np.float32(mean[i, labels[i]])) + row.share)
        assert row.voted == int(np.argmax(weight))
        assert row.predicted == int(np.argmax(mean[i]))


def test_wrong_labels_that_were_planted_come_first():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 5, 200)
    indices = np.array([rng.permutation(np.flatnonzero(truth == c))[:20] for c in truth], np.int32)
    values = np.full((200, 20), 0.4, np.float32)
    mean = 0.05 + 0.75 * np.eye(5)[truth]
    labels = truth.copy()
    wrong = rng.permutation(200)[:7]
    labels[wrong] = (labels[wrong] + 1) % 5
    table = label_support(
        Neighbors(KernelSpec("kernel"), indices, values), labels, truth, predictions_of(mean, labels)
    )
    assert set(table["query_index"].head(7)) == set(wrong)
    assert (table["voted"].head(7) == truth[table["query_index"].head(7)]).all()
