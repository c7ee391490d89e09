"""Near-duplicates and label mismatches of a planted ensemble: what was planted must be found."""

import numpy as np
import pytest

from kernel_core.errors import RequestError
from kernel_core.findings.pairs import (
    default_rank_window,
    default_window,
    expand_neighbors,
    label_mismatches,
    matching_pairs,
    nearest_pairs,
    rank_window,
)
from kernel_core.pipeline import build
from kernel_core.sources.source import SourceRequest


@pytest.fixture
def results(source_folder, cache):
    return build(SourceRequest(str(source_folder)))


def test_planted_duplicates_come_first(results, planted):
    pairs = nearest_pairs(results.neighbors_by("kernel"), *results.labels)
    assert list(pairs["rank"]) == list(range(1, 41))
    assert pairs["similarity"].is_monotonic_decreasing
    first_pairs = [
        dict(zip(p["query_index"], p["database_index"], strict=True)) for p in (pairs[:3], pairs[3:5])
    ]
    assert first_pairs == [planted.exact, planted.near]
    M = len(planted.test)
    np.testing.assert_allclose(pairs["similarity"][:3], (M - 1) / M, atol=1e-6)
    assert pairs["similarity"].iloc[3] < pairs["similarity"].iloc[2] - 0.01


def test_equal_similarities_are_ranked_by_query_index(results):
    pairs = nearest_pairs(results.neighbors_by("kernel"), *results.labels)
    for _, tied in pairs.groupby("similarity"):
        assert tied["query_index"].is_monotonic_increasing


def test_planted_mismatch_is_the_first_failure(results):
    mismatches = label_mismatches(results.neighbors_by("kernel"), *results.labels)
    assert mismatches.iloc[0][["query_index", "database_index"]].tolist() == [7, 53]
    assert (mismatches["query_label"] != mismatches["database_label"]).all()
    every = nearest_pairs(results.neighbors_by("kernel"), *results.labels)
    same = (every["query_label"] == every["database_label"]).sum()
    assert len(mismatches) + same == len(every)


def test_failures_list_each_neighbor_at_its_position(results):
    neighbors = results.neighbors_by("kernel")
    mismatches = label_mismatches(neighbors, *results.labels).head(2)
    table = expand_neighbors(mismatches, neighbors, results.labels[1], 9)
    assert table["position"].tolist() == [*range(1, 10), *range(1, 10)]
    for row in table.itertuples():
        assert row.database_index == neighbors.indices[row.query_index, row.position - 1]
        assert row.similarity == neighbors.values[row.query_index, row.position - 1]
        assert row.database_label == results.labels[1][row.database_index]
    with pytest.raises(RequestError, match="ask for 1 to 50"):
        expand_neighbors(mismatches, neighbors, results.labels[1], 51)


@pytest.mark.parametrize("window", [(0, 5), (5, 4), (1, 41), (41, 50)])
def test_ranks_beyond_the_end_are_refused(results, window):
    pairs = nearest_pairs(results.neighbors_by("kernel"), *results.labels)
    with pytest.raises(RequestError, match="there are 40 pairs"):
        rank_window(pairs, *window)


@pytest.mark.parametrize(
    ("count", "window"),
    [(10_000, (601, 648)), (648, (601, 648)), (647, (39, 86)), (500, (31, 78)), (48, (1, 48)), (3, (1, 3))],
)
def test_default_window_is_the_cards_or_scaled(count, window):
    assert default_rank_window(count) == window


@pytest.mark.parametrize("labels", ["all", "same", "different"])
@pytest.mark.parametrize("of_class", [None, 0, 3])
@pytest.mark.parametrize("threshold", [None, 0.3])
def test_pairs_that_match_are_those_of_a_loop(results, labels, of_class, threshold):
    pairs = nearest_pairs(results.neighbors["kernel"], *results.labels)
    expected = [
        pair.rank
        for pair in pairs.itertuples()
        if labels in ("all", "same" if pair.query_label == pair.database_label else "different")
        and of_class in (None, pair.query_label, pair.database_label)
        and (threshold is None or pair.similarity >= threshold)
    ]
    matches = matching_pairs(pairs, labels, of_class, threshold)
    assert matches["rank"].tolist() == expected
    window = default_window(pairs, matches)
    assert window == (default_rank_window(len(pairs)) if len(expected) == 40 else (1, len(expected)))
