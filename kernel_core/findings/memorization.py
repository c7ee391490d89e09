"""Which training examples are memorized: runs are right on them if they trained on them, and else wrong.

    memorization(i) = share of right runs among those that trained on i - the same among those that did not

Source: Feldman and Zhang, "What neural networks memorize and why: discovering the long tail via influence
estimation" (NeurIPS 2020, arXiv 2008.03703), equation 1, estimated from runs on random subsets as they do.
The 95% interval is that of a difference of two shares by Newcombe (1998, Statistics in Medicine 17, 873–890,
method 10), from two of Wilson's intervals: it holds where all runs are right, too.

The table has one row per training example, the most memorized first, equal ones by index:

    rank                 1 for the most memorized
    query_split          train
    query_index          index of the example
    query_label          class number, the label as given
    memorization         -1 … 1
    low, high            ends of its 95% interval, -1 … 1
    right_with           share of right runs among those that trained on the example, 0 … 1
    right_without        share of right runs among those that did not, 0 … 1
    runs_with            number of runs that trained on it
    runs_without         number of runs that did not
    probability          the label's probability, averaged over the runs that did not, 0 … 1
    predicted            class number that these runs predict, by averaged logits
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.findings.votes import Labels
from kernel_core.training_masks import Unseen

LEAST_RUNS = 5  # with and without an example; fewer say nothing
Z = 1.959963984540054  # of the normal distribution: 95% lie within
Floats = npt.NDArray[np.float64]


def memorization(unseen: Unseen, labels: Labels) -> pd.DataFrame:
    """Return the table of memorization, with the columns above.

    labels: (N,), of the training set. Examples with fewer than `LEAST_RUNS` runs on either side are left out.
    """
    with_, without = (unseen.run_count - unseen.runs).astype(np.int64), unseen.runs.astype(np.int64)
    index = np.flatnonzero((with_ >= LEAST_RUNS) & (without >= LEAST_RUNS))
    with_, without = with_[index], without[index]
    right_with, right_without = unseen.seen_right[index] / with_, unseen.right[index] / without
    low, high = difference_interval(right_with, with_, right_without, without)
    table = pd.DataFrame(
        {
            "query_split": "train",
            "query_index": index,
            "query_label": labels[index],
            "memorization": right_with - right_without,
            "low": low,
            "high": high,
            "right_with": right_with,
            "right_without": right_without,
            "runs_with": with_,
            "runs_without": without,
            "probability": unseen.probabilities.of_classes(labels)[index].astype(np.float64),
            "predicted": unseen.predicted[index],
        }
    ).sort_values("memorization", ascending=False, kind="stable", ignore_index=True)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table


def difference_interval(
    p: Floats, m: npt.NDArray[np.int64], q: Floats, n: npt.NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Return Newcombe's 95% interval of p - q: low and high. p, q: shares of m and of n, of any one shape."""
    (p_low, p_high), (q_low, q_high) = _wilson(p, m), _wilson(q, n)
    low = p - q - np.hypot(p - p_low, q_high - q)
    high = p - q + np.hypot(p_high - p, q - q_low)
    return low, high


def _wilson(p: Floats, n: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return middle - half, middle + half
