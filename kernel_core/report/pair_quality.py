"""Do pairs look like duplicates? Answered by numbers that need no eye: pixels, labels, the ensemble's confidence."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.findings.pairs import default_rank_window, nearest_pairs, rank_window
from kernel_core.results.results import Results
from kernel_core.spec import SIMILARITIES

SHIFT = 2  # pixels, up and down, left and right; CIFAR-10's known duplicates are shifted by about as many
ALIKE = 0.9  # a correlation of pixels from which two images count as nearly the same
TOPS = (100, 500)  # first pairs looked at, beside the window of ranks that the near-duplicate page opens with
RANDOM = "random confident pairs"
CONFIDENT = 0.1  # the share of query examples that these are drawn from: the surest

Images = npt.NDArray[np.uint8]


def best_correlation(first: Images, second: Images, shift: int = SHIFT) -> npt.NDArray[np.float64]:
    """How alike two images are when they lie best on each other, pair by pair; 1 for the same image moved or mirrored.

    The largest Pearson correlation of their pixels and channels where they overlap, over moves of up to `shift`
    pixels (at most a quarter of the side) and left-right mirroring. Both uint8 (n, H, W, 3); returns (n,), each in
    -1 … 1. An overlap of one color correlates with nothing: 0.
    """
    height, width = first.shape[1:3]
    rows, columns = (min(shift, side // 4) for side in (height, width))
    best = np.full(len(first), -1.0)
    for image in (second, second[:, :, ::-1]):
        for dy in range(-rows, rows + 1):
            for dx in range(-columns, columns + 1):
                (y, v), (x, u) = _overlap(height, dy), _overlap(width, dx)
                np.maximum(best, _correlation(first[:, y, x], image[:, v, u]), out=best)
    return best


def _overlap(side: int, move: int) -> tuple[slice, slice]:
    """The part of a side where an image and another moved by so many pixels overlap, in each one's own pixels."""
    size = side - abs(move)
    return slice(max(move, 0), max(move, 0) + size), slice(max(-move, 0), max(-move, 0) + size)


def _correlation(first: Images, second: Images) -> npt.NDArray[np.float64]:
    """Pearson's correlation of each image with its partner, 0 where one does not vary. Both (n, h, w, 3)."""
    a, b = (images.reshape(len(images), -1).astype(np.float64) for images in (first, second))
    a -= a.mean(1, keepdims=True)
    b -= b.mean(1, keepdims=True)
    spread = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    found: npt.NDArray[np.float64] = np.divide((a * b).sum(1), spread, out=np.zeros(len(a)), where=spread > 0)
    return found.clip(-1, 1)


def random_confident_pairs(results: Results, count: int, seed: int = 0) -> pd.DataFrame:
    """What the others are compared with: sure query examples, each with any other database example of its own label.

    Drawn by the seed alone from the tenth of the query examples of which the ensemble is surest; fewer than `count`
    where that tenth is smaller. Columns query_index, query_label, database_index, database_label.
    """
    labels, database_labels = results.labels
    rng = np.random.default_rng(seed)
    is_own = results.spec.excludes_self
    having = np.bincount(database_labels, minlength=len(results.class_names))[labels] > is_own
    surest = np.argsort(-results.predictions.confidence, kind="stable")
    surest = surest[having[surest]][: max(1, round(CONFIDENT * len(labels)))]
    query = rng.permutation(surest)[:count]
    partners = []
    for index in query:
        alike = np.flatnonzero(database_labels == labels[index])
        partners.append(int(rng.choice(alike[alike != index] if is_own else alike)))
    nearest = np.array(partners, dtype=np.int64)
    return pd.DataFrame(
        {
            "query_index": query,
            "query_label": labels[query],
            "database_index": nearest,
            "database_label": database_labels[nearest],
        }
    )


def windows(count: int) -> list[tuple[int, int]]:
    """The windows of ranks that are looked at, first and last: the top 100 and 500, and the page's first window.

    >>> windows(10_000), windows(60)
    ([(1, 100), (1, 500), (601, 648)], [(1, 60), (4, 51)])
    """
    tops = [(1, min(top, count)) for top in TOPS]
    return list(dict.fromkeys([*tops, default_rank_window(count)]))


def quality_table(results: Results) -> pd.DataFrame:
    """How the nearest pairs look, a row a similarity and window of ranks, then one of random confident pairs.

    Columns: similarity (its key; `RANDOM`), first and last (ranks; 0 for random pairs), pairs (how many),
    pixel_correlation (median, by `best_correlation`), alike (the share of pairs with at least `ALIKE` of it),
    nearest_by_pixels (the share whose database example is the query's nearest by pixels too, unmoved),
    same_label (share), confidence (the ensemble's in its prediction for the query example, mean).
    """
    rows = [
        {"similarity": name, "first": first, "last": last, **describe_pairs(results, pairs)}
        for name, first, last, pairs in _windows_of(results)
    ]
    return pd.DataFrame(rows)


def _windows_of(results: Results) -> Iterator[tuple[str, int, int, pd.DataFrame]]:
    for name in SIMILARITIES:
        if name in results.neighbors:
            pairs = nearest_pairs(results.neighbors[name], *results.labels)
            for first, last in windows(len(pairs)):
                yield name, first, last, rank_window(pairs, first, last)
    yield RANDOM, 0, 0, random_confident_pairs(results, max(TOPS))


def describe_pairs(results: Results, pairs: pd.DataFrame) -> dict[str, float | int]:
    """What `quality_table` says of these pairs, which have its columns of indices and labels; there is at least one."""
    query, database = pairs["query_index"].to_numpy(), pairs["database_index"].to_numpy()
    images = (
        results.examples[results.query].images[query],
        results.examples[results.database].images[database],
    )
    correlation = best_correlation(*images)
    return {
        "pairs": len(pairs),
        "pixel_correlation": float(np.median(correlation)),
        "alike": float((correlation >= ALIKE).mean()),
        "nearest_by_pixels": float((results.neighbors["pixels"].indices[query, 0] == database).mean()),
        "same_label": float((pairs["query_label"] == pairs["database_label"]).mean()),
        "confidence": float(results.predictions.confidence[query].mean()),
    }
