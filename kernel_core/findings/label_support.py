"""How well a label is supported, by the ensemble and by the neighbors: the least supported is to check first.

The table has one row per query example, the least supported first, equal ones by index:

    rank                 1 for the least supported label
    query_split          train or test
    query_index          index of the example in its split
    query_label          class number, the label as given
    probability          the ensemble's probability of the label, averaged over the runs, 0 … 1
    share                share of the neighbors' weight whose label it is, 0 … 1
    support              probability + share, 0 … 2; small where both speak against the label
    predicted            class number that the ensemble predicts
    voted                class number that the neighbors vote for
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from kernel_core.findings.disagreement import RULES, Rule, allows_weighted_vote
from kernel_core.findings.votes import Labels, neighbor_weights, weighted_vote
from kernel_core.predicted import Predictions
from kernel_core.records import Neighbors

WEIGHTED = RULES["weighted 20"]
UNWEIGHTED = Rule(WEIGHTED.k, weighted=False)


def label_support(
    neighbors: Neighbors, query_labels: Labels, database_labels: Labels, predictions: Predictions
) -> pd.DataFrame:
    """Return the table of support, with the columns above.

    The 20 nearest weigh value⁴ each, a negative value nothing; where no value is above 0, as with minus a
    distance, each weighs 1. predictions: of the query split.
    """
    rule = WEIGHTED if allows_weighted_vote(neighbors) else UNWEIGHTED
    weights = neighbor_weights(neighbors, rule.k, weighted=rule.weighted)  # (n, k)
    nearest = database_labels[neighbors.indices[:, : weights.shape[1]]]
    total = weights.sum(1)
    agreeing = (weights * (nearest == query_labels[:, None])).sum(1)
    share = np.divide(agreeing, total, out=np.zeros(len(total)), where=total > 0)
    probability = predictions.probabilities.of_classes(query_labels).astype(np.float64)
    table = pd.DataFrame(
        {
            "query_split": neighbors.spec.query,
            "query_index": np.arange(len(query_labels)),
            "query_label": query_labels,
            "probability": probability,
            "share": share,
            "support": probability + share,
            "predicted": predictions.predicted,
            "voted": weighted_vote(nearest, weights, predictions.class_count),
        }
    )
    table = table.sort_values("support", kind="stable", ignore_index=True)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table
