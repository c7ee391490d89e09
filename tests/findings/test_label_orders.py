"""Orders of labels in doubt: their tables against each other and against a loop, and their filters."""

import numpy as np
import pytest

from kernel_core.errors import RequestError
from kernel_core.findings.label_orders import ORDERS, count_conflicts, labels_in_doubt, with_labels
from kernel_core.findings.label_support import label_support
from kernel_core.findings.pairs import count_label_pairs, label_mismatches
from kernel_core.pipeline import build
from kernel_core.sources.source import SourceRequest


@pytest.fixture
def results(source_folder, cache):
    return build(SourceRequest(str(source_folder)))


def listed(results, order):
    return labels_in_doubt(results.neighbors["kernel"], results.labels, results.predictions, order)


def test_order_most_similar_is_that_of_the_mismatches(results):
    expected = label_mismatches(results.neighbors["kernel"], *results.labels)
    assert listed(results, "most similar").equals(expected)
    assert count_conflicts(expected).equals(count_label_pairs(expected))


def test_label_to_check_lists_all_examples_with_their_nearest_and_support(results):
    neighbors = results.neighbors["kernel"]
    table = listed(results, "label to check")
    support = label_support(neighbors, *results.labels, results.predictions)
    assert table[list(support)].equals(support)
    assert list(table)[:8] == list(label_mismatches(neighbors, *results.labels))
    for row in table.itertuples():
        assert row.database_index == neighbors.indices[row.query_index, 0]
        assert row.similarity == neighbors.values[row.query_index, 0]
        assert row.database_label == results.labels[1][row.database_index]
        assert (row.query_split, row.database_split) == ("test", "train")


@pytest.mark.parametrize(("order", "column"), list(zip(ORDERS, ("database_label", "voted"), strict=True)))
def test_filters_keep_ranks_and_the_counts_are_theirs(results, order, column):
    table = listed(results, order)
    counts = count_conflicts(table)
    assert counts["count"].sum() == (table["query_label"] != table[column]).sum()
    for row in counts.itertuples():
        kept = with_labels(table, row.query_label, row.database_label)
        assert len(kept) == row.count
        assert (kept[column] == row.database_label).all()
        assert np.isin(kept["rank"], table["rank"]).all()
    assert with_labels(table).equals(table)
    assert (with_labels(table, label=0)["query_label"] == 0).all()


def test_unknown_order_is_refused(results):
    with pytest.raises(RequestError, match="expected most similar, label to check"):
        listed(results, "wrong")
