"""The twin score against loops, on tables in which the answer is known."""

import numpy as np
import pytest

from kernel_core.errors import RequestError
from kernel_core.findings.pairs import nearest_pairs
from kernel_core.findings.twins import COLUMNS, Aligned, refuse_twin_score, twin_pairs, with_aligned
from kernel_core.records import Neighbors
from kernel_core.similarities import KERNEL, PIXELS, of_features, of_given
from kernel_core.spec import KernelSpec


def tables(indices, values, aligned, **spec):
    spec = KernelSpec("kernel", **spec)
    neighbors = Neighbors(spec, np.array(indices, np.int32), np.array(values, np.float32))
    return neighbors, Aligned(spec, np.array(aligned, np.float32))


def labels(count):
    return np.arange(count) % 3


@pytest.mark.parametrize(("whitened", "count"), [(False, 5), (True, 50)])
def test_twin_score_agrees_with_loops(whitened, count):
    rng = np.random.default_rng(0)
    values = -np.sort(-rng.uniform(-1, 1, (40, 60)))
    indices = np.array([rng.permutation(99)[:60] for _ in range(40)])
    neighbors, aligned = tables(indices, values, rng.uniform(-1, 1, (40, 10)), whitened=whitened)
    pairs = twin_pairs(neighbors, aligned, labels(40), labels(99))
    expected = []
    for i in range(40):
        r = np.mean([float(value) for value in neighbors.values[i, :count]])
        of_i = [
            (float(neighbors.values[i, j]) - r / 2 + float(aligned.values[i, j]) / 2, -j) for j in range(10)
        ]
        score, j = max(of_i)
        expected.append((-score, i, indices[i, -j], neighbors.values[i, -j], aligned.values[i, -j], r))
    expected.sort()
    assert pairs["rank"].tolist() == list(range(1, 41))
    assert pairs["query_index"].tolist() == [row[1] for row in expected]
    assert pairs["database_index"].tolist() == [row[2] for row in expected]
    assert pairs["database_label"].tolist() == [row[2] % 3 for row in expected]
    np.testing.assert_allclose(pairs["twin"], [-row[0] for row in expected], atol=1e-6)
    for place, column in ((3, "similarity"), (4, "aligned"), (5, "background")):
        np.testing.assert_allclose(pairs[column], [row[place] for row in expected], atol=1e-6)


def test_equal_scores_go_to_the_nearer_candidate_and_the_lower_query():
    neighbors, aligned = tables([[4, 7], [6, 2]], [[0.5, 0.25]] * 2, [[0.25, 0.75]] * 2)
    pairs = twin_pairs(neighbors, aligned, labels(2), labels(8))
    assert pairs[["query_index", "database_index"]].to_numpy().tolist() == [[0, 4], [1, 6]]


def test_a_pair_within_one_split_stands_once_where_its_score_is_larger():
    neighbors, aligned = tables(
        [[1, 2], [0, 2], [0, 1]], [[0.8, 0.1], [0.8, 0.5], [0.1, 0.1]], [[0.9, 0], [0.7, 0], [0, 0.4]],
        query="train", database="train",
    )  # fmt: skip
    pairs = twin_pairs(neighbors, aligned, labels(3), labels(3))
    assert pairs[["query_index", "database_index"]].to_numpy().tolist() == [[0, 1], [2, 1]]
    equal = Aligned(aligned.spec, np.full((3, 2), 0.5, np.float32))
    values = np.array([[0.8, 0.5], [0.8, 0.5], [0.1, 0.1]], np.float32)
    pairs = twin_pairs(Neighbors(neighbors.spec, neighbors.indices, values), equal, labels(3), labels(3))
    assert pairs["query_index"].tolist() == [0, 2]


def test_bands_ask_for_a_score_and_for_pixels_that_fit_better_than_others():
    values = [[0.7] + [0.2] * 5] * 4 + [[0.3] + [0.2] * 5]
    firsts, others = (0.95, 0.95, 0.95, 0.5, 0.95), (0.3, 0.7, 0.9, 0.1, 0.3)
    aligned = [[first, *[other] * 5] for first, other in zip(firsts, others, strict=True)]
    neighbors, pixels = tables([[0, 1, 2, 3, 4, 5]] * 5, values, aligned)
    pairs = twin_pairs(neighbors, pixels, labels(5), labels(6)).sort_values("query_index")
    assert pairs["band"].tolist() == ["same picture", "likely", "look-alike", "same picture", "same picture"]
    pixels = Aligned(pixels.spec, pixels.values - np.float32(0.5))
    pairs = twin_pairs(neighbors, pixels, labels(5), labels(6)).sort_values("query_index")
    assert pairs["band"].tolist() == ["same picture", "likely", "look-alike", "look-alike", "look-alike"]


def test_columns_join_a_table_in_the_order_of_the_kernel():
    neighbors, aligned = tables([[3, 1], [2, 3]], [[0.4, 0.2], [0.6, 0.1]], [[0.1, 0.9], [0.8, 0.3]])
    pairs = nearest_pairs(neighbors, labels(2), labels(4))
    joined = with_aligned(pairs, neighbors, aligned)
    assert joined["query_index"].tolist() == [1, 0]
    np.testing.assert_allclose(joined["aligned"], [0.8, 0.1])
    np.testing.assert_allclose(joined["twin"], [0.6 - 0.35 / 2 + 0.4, 0.4 - 0.3 / 2 + 0.05], atol=1e-6)
    assert list(joined.columns) == [*pairs.columns, *COLUMNS]
    alone = with_aligned(pairs.assign(database_index=[2, 0]), neighbors, aligned, scored=False)
    assert list(alone.columns) == [*pairs.columns, "aligned"]
    np.testing.assert_array_equal(alone["aligned"].isna(), [False, True])


def test_only_correlations_and_cosines_have_a_twin_score():
    cosine, distance, product = of_features("clip", "CLIP", ("cosine", "euclidean", "dot"))
    for similarity in (KERNEL, PIXELS, cosine):
        refuse_twin_score(similarity)
    for similarity in (distance, product, of_given("theirs", "Theirs")):
        with pytest.raises(RequestError, match=f"no twin score by {similarity.name}"):
            refuse_twin_score(similarity)
