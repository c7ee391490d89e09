"""Labels in doubt, one row per example, in the orders in which people look at them.

Every order has the columns of a table of pairs (`pairs`): the example with its nearest, and its rank in this
order. "label to check" also has those of `label_support`: probability, share, support, predicted, voted.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.findings.label_support import label_support
from kernel_core.findings.pairs import count_label_pairs, label_mismatches
from kernel_core.findings.votes import Labels
from kernel_core.predicted import Predictions
from kernel_core.records import Neighbors

MOST_SIMILAR, TO_CHECK = "most similar", "label to check"
Order = Callable[[Neighbors, tuple[Labels, Labels], Predictions], pd.DataFrame]


def _most_similar(neighbors: Neighbors, labels: tuple[Labels, Labels], _of: Predictions) -> pd.DataFrame:
    return label_mismatches(neighbors, *labels)


def _label_to_check(
    neighbors: Neighbors, labels: tuple[Labels, Labels], predictions: Predictions
) -> pd.DataFrame:
    table = label_support(neighbors, *labels, predictions)
    index = table["query_index"].to_numpy()
    nearest = neighbors.indices[index, 0].astype(np.int64)
    places = {
        "database_split": neighbors.spec.database,
        "database_index": nearest,
        "similarity": neighbors.values[index, 0],
    }
    for place, (name, values) in enumerate(places.items(), start=3):
        table.insert(place, name, values)
    table.insert(7, "database_label", labels[1][nearest])
    return table


ORDERS: dict[str, Order] = {MOST_SIMILAR: _most_similar, TO_CHECK: _label_to_check}
"""Name in texts, addresses and options → the function that makes the table; the first is the dataset card's.

"most similar": the examples whose nearest has another label, the most similar first. "label to check": all
examples, the label that ensemble and neighbors support least first.
"""


def labels_in_doubt(
    neighbors: Neighbors, labels: tuple[Labels, Labels], predictions: Predictions, order: str
) -> pd.DataFrame:
    """Return the examples that an order of `ORDERS` lists.

    labels: of the query split and of the database split. predictions: of the query split. Raises
    `RequestError` for an unknown order.
    """
    if order not in ORDERS:
        raise RequestError(f"Found order {order!r}; expected {', '.join(ORDERS)}.")
    return ORDERS[order](neighbors, labels, predictions)


def label_against(table: pd.DataFrame) -> pd.Series[int]:
    """Return, for each row of an order, the label that its neighbors speak for.

    That is the nearest's label, or what the neighbors vote for where the table has their vote.
    """
    return table["voted" if "voted" in table else "database_label"]


def with_labels(table: pd.DataFrame, label: int | None = None, against: int | None = None) -> pd.DataFrame:
    """Return the rows of an order with this label and this `label_against`; None for any. Ranks stay."""
    kept = np.ones(len(table), bool)
    if label is not None:
        kept &= (table["query_label"] == label).to_numpy()
    if against is not None:
        kept &= (label_against(table) == against).to_numpy()
    return table[kept]


def count_conflicts(table: pd.DataFrame) -> pd.DataFrame:
    """Return how often each label is opposed by each other one, as `pairs.count_label_pairs` does.

    database_label is `label_against`. Rows whose neighbors speak for the label do not count.
    """
    opposed = table[["query_label"]].assign(database_label=label_against(table))
    return count_label_pairs(opposed[opposed["query_label"] != opposed["database_label"]])
