"""Labels to check of some results: which predictions may judge a label, and the table in an order."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kernel_core.class_probabilities import LIKELIEST, ClassProbabilities
from kernel_core.errors import NotBuilt
from kernel_core.findings.labels_to_check import DEFAULT, Gathered, gather, order_called
from kernel_core.findings.twins import refuse_no_images, refuse_twin_score
from kernel_core.results.results import Results
from kernel_core.spec import Split

TEST, UNSEEN, TRAINED = "test", "unseen", "trained on"
BASES = {
    TEST: "",
    UNSEEN: "",
    TRAINED: "The runs were trained on these labels: wrong ones that they have learned rank low, so this "
    "ranking is weak. Only predictions by runs that did not see an example judge its label well.",
}
"""Whose predictions judge the labels → what to know of the ranking; empty where they are out of sample.

"test": of all runs, for test examples. "unseen": for each training example, of the runs that did not train on
it. "trained on": of runs that trained on the examples, where there are no training masks.
"""


def direction_of(results: Results, split: Split) -> tuple[Split, Split]:
    """Return the splits of examples and neighbors that judge a split's labels: test→train, or within it.

    Raises `RequestError` if the source lacks the split.
    """
    results.refuse_missing(split)
    return (split, "train") if split == "test" and "train" in results.examples else (split, split)


def judging(results: Results, split: Split | None = None) -> tuple[str, ClassProbabilities]:
    """Return a key of `BASES`, and the probabilities that judge the labels of a split, or the query split.

    An example that every run was trained on has none.
    """
    split = split or results.query
    if split == "test":
        return TEST, results.predictions_of[split].probabilities
    if results.unseen is not None and (results.unseen.runs > 0).any():
        return UNSEEN, results.unseen.probabilities
    return TRAINED, results.predictions_of[split].probabilities


def said_of_left_out(results: Results) -> str:
    """Return a sentence about examples without predictions that count; empty where there are none."""
    count = int((~judging(results)[1].known).sum())
    are, them = ("is", "it") if count == 1 else ("are", "them")
    return f"{count:,} {are} left out: every run was trained on {them}." if count else ""


def said_of_unlikely(results: Results) -> str:
    """Return a sentence about what is approximate where not all classes are kept; empty where all are."""
    probabilities = judging(results)[1]
    if probabilities.is_complete:
        return ""
    most = float(np.nan_to_num(probabilities.most()).max(initial=0))
    return (
        "Approximate here: which labels are flagged, with them the order confident learning, and scores by "
        f"agreement, the latter by at most {most:.2g}. Of each example's {probabilities.class_count:,} "
        f"classes, the {LIKELIEST} likeliest are kept; the others, each of a probability of at most "
        f"{most:.2g}, count as equally likely."
    )


def check_labels(results: Results, by: str = "kernel", order: str = DEFAULT) -> pd.DataFrame:
    """Return the table of `labels_to_check` of the results' query split. by: similarity of the neighbors.

    Raises `RequestError` for an unknown order, and as `gather_labels` does.
    """
    return gather_labels(results, by, needs_pixels=order_called(order).needs_pixels).ranked(order)


def gather_labels(results: Results, by: str = "kernel", *, needs_pixels: bool = False) -> Gathered:
    """Return what speaks for and against the labels of the results' query split. by: as of `check_labels`.

    needs_pixels: whether orders that need aligned pixels are asked for, and no others. Raises `NotBuilt` for
    aligned pixels that are not built, and `RequestError` where there can be none, and as `gather` and
    `neighbors_by` do.
    """
    neighbors, aligned = results.neighbors_by(by), None
    if needs_pixels:
        refuse_no_images(results.name, has_images=results.has_images)
        refuse_twin_score(results.similarity(by))
        aligned = results.aligned.get(by)
        if aligned is None:
            raise NotBuilt(f"The pixels of neighbors {results.spec.direction} by {by} are not aligned yet.")
    flagged = results.flags.get(results.query)
    return gather(neighbors, results.labels, judging(results)[1], aligned, flagged)
