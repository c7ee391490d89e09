"""The pairs of some results in each of their orders: by similarity, or by the twin score."""

from __future__ import annotations

import pandas as pd

from kernel_core.errors import NotBuilt
from kernel_core.findings.pairs import nearest_pairs
from kernel_core.findings.twins import (
    allows_twin_score,
    refuse_no_images,
    refuse_twin_score,
    twin_pairs,
    with_aligned,
)
from kernel_core.results.results import Results

ORDERS = {
    "kernel": "by similarity to the nearest",
    "twin": "by the twin score, of similarity, aligned pixels and background",
}
"""Name of an order, of whatever similarity → what it is."""


def lacks_pixels(
    results: Results, similarity: str, order: str = "kernel", floor: float | None = None
) -> bool:
    """Return whether aligned pixels must be built first for an order, or for a floor of them.

    Raises `RequestError` if there can be none: without images, or for the order twin by a similarity whose
    values are no correlations or cosines.
    """
    if order == "twin":
        refuse_twin_score(results.similarity(similarity))
    if order != "twin" and floor is None:
        return False
    refuse_no_images(results.name, has_images=results.has_images)
    return similarity not in results.aligned


def ordered_pairs(results: Results, similarity: str, order: str = "kernel") -> pd.DataFrame:
    """Return the table of pairs in one of `ORDERS`, with aligned pixels where they are built.

    Raises `NotBuilt` if the order needs them and they are not, and `RequestError` as `lacks_pixels` does.
    """
    if lacks_pixels(results, similarity, order):
        raise NotBuilt(
            f"The aligned pixels of {results.name}, {results.spec.direction} by {similarity}, are not built."
        )
    neighbors, aligned = results.neighbors_by(similarity), results.aligned.get(similarity)
    if order == "twin" and aligned is not None:
        return twin_pairs(neighbors, aligned, *results.labels)
    pairs = nearest_pairs(neighbors, *results.labels)
    if aligned is None:
        return pairs
    scored = allows_twin_score(results.similarity(similarity))
    return with_aligned(pairs, neighbors, aligned, scored=scored)
