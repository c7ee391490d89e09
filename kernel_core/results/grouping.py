"""Groups of duplicates of a source: the directions they are found in, and pairs that pixels confirm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from kernel_core.errors import RequestError
from kernel_core.explain.aligned_pixels import aligned_pixels
from kernel_core.findings.groups import Groups, NearPairs, group_pairs, near_pairs
from kernel_core.findings.pairs import border
from kernel_core.findings.twins import refuse_no_images, twin_neighbors
from kernel_core.progress import Progress, no_progress
from kernel_core.records import ExampleSet, Neighbors
from kernel_core.results.directions import in_direction
from kernel_core.results.pair_orders import ordered_pairs
from kernel_core.results.results import Results
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import Split

Direction = tuple[Split, Split]
DIGITS = 4  # decimals of the default threshold
SURE = 0.8  # twin score; of CIFAR-10's 326 pairs from there on, nearly all are the same picture
AT_ONCE = 2_048  # pairs whose images are compared between two reports of progress, at most
AT_ONCE_BYTES = 32_000_000  # and about how much their images take


def directions_of(results: Results, within: Split | None = None) -> list[Direction]:
    """Return the directions, as (query, database), whose neighbors groups are made of.

    within: only groups of one split; by default across both. Raises `RequestError` if the source lacks it.
    """
    if within is not None:
        results.refuse_missing(within)
        return [(within, within)]
    both: list[Direction] = [("test", "train"), ("test", "test"), ("train", "train")]
    counts = results.example_counts
    return [
        (query, database)
        for query, database in both
        if {query, database} <= counts.keys() and (query != database or counts[query] > 1)
    ]


def parts_of(results: Results, request: SourceRequest, store: Store, similarity: str) -> list[Results]:
    """Return the results in each direction that groups are made of, built by this similarity or not.

    results: those that `request` opened from `store`, in any direction. Within a split, that is the only one.
    Raises `RequestError` if neighbors by the similarity are in no such direction.
    """
    own = cast(Split, results.within) if results.within else None
    parts = [in_direction(results, request, store, *pair) for pair in directions_of(results, own)]
    possible = [part for part in parts if can_have(part, similarity)]
    if not possible:
        results.neighbors_by(similarity)  # says what there is
        raise RequestError(f"There are no neighbors by {similarity!r} {results.spec.direction}.")
    return possible


def can_have(results: Results, similarity: str) -> bool:
    """Return whether neighbors by a similarity can be built in the direction of these results.

    Neighbors that the source's owner gives are between two splits alone.
    """
    return similarity in results.fitting or similarity not in results.offered


def counts_of(results: Results) -> dict[Split, int]:
    """Return the number of examples in each split that groups are found in."""
    counts = results.example_counts.items()
    return {split: count for split, count in counts if not results.within or split == results.within}


def default_threshold(results: Results, similarity: str, order: str = "kernel") -> float:
    """Return the value from which pairs are linked by default, rounded down to `DIGITS` decimals.

    By similarity, that is where the near-duplicates page begins; by the twin score the same, but at least
    `SURE`. order: of `pair_orders.ORDERS`. Raises as `ordered_pairs` does.
    """
    pairs = ordered_pairs(results, similarity, order)
    at = max(SURE, border(pairs, "twin")) if order == "twin" else border(pairs)
    return float(np.floor(at * 10**DIGITS) / 10**DIGITS)


def find_groups(
    parts: Sequence[Results],
    similarity: str,
    threshold: float,
    *,
    order: str = "kernel",
    aligned: float | None = None,
    progress: Progress = no_progress,
) -> Groups:
    """Return the groups of a source's examples.

    parts: its results in each direction that is to count, at least one. threshold: the least similarity of a
    pair or, in the order twin, the least twin score, of an example's first candidates. aligned: the least
    `aligned_pixels` of a pair, -1 … 1; None if pixels do not count by themselves.
    Raises `RequestError` if there are no images to compare, and as `near_pairs` does.
    """
    examples = parts[0].examples
    tables = [table_of(part, similarity, order) for part in parts]
    pairs = near_pairs(tables, parts[0].example_counts, threshold)
    if aligned is not None:
        refuse_no_images(parts[0].name, has_images=parts[0].has_images)
        pairs = pairs.where(pixel_correlations(pairs, examples, progress) >= np.float32(aligned))
    return group_pairs(pairs, {split: of_split.labels for split, of_split in examples.items()})


def table_of(results: Results, similarity: str, order: str = "kernel") -> Neighbors:
    """Return the table that links pairs: the neighbors or, in the order twin, candidates by their score."""
    neighbors = results.neighbors_by(similarity)
    return twin_neighbors(neighbors, results.aligned[similarity]) if order == "twin" else neighbors


def pixel_correlations(
    pairs: NearPairs, examples: Mapping[Split, ExampleSet], progress: Progress = no_progress
) -> npt.NDArray[np.float32]:
    """Return px of each pair's first example with its second, float32 (n,), -1 … 1."""
    values = np.empty(len(pairs), np.float32)
    at_once = min(AT_ONCE, max(1, AT_ONCE_BYTES // (2 * examples["test"].images[0].size)))
    for begin in range(0, len(pairs), at_once):
        batch = slice(begin, begin + at_once)
        progress("comparing aligned images", begin, len(pairs))
        first, second = (_images(points[batch], examples) for points in (pairs.first, pairs.second))
        values[batch] = aligned_pixels(first, second, np.arange(len(first))[:, None])[:, 0]
    progress("comparing aligned images", len(pairs), len(pairs))
    return values


def _images(points: npt.NDArray[np.int64], examples: Mapping[Split, ExampleSet]) -> npt.NDArray[np.uint8]:
    """Return the images of points, which number test examples first: uint8 (n, H, W, 3)."""
    test = examples["test"].images
    images = np.empty((len(points), *test.shape[1:]), np.uint8)
    is_test = points < len(test)
    images[is_test] = test[points[is_test]]
    if "train" in examples:
        images[~is_test] = examples["train"].images[points[~is_test] - len(test)]
    return images
