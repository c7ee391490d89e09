"""Do nearest pairs look like duplicates? Measured, not judged by eye: by pixels, labels and confidence.

A description of some pairs has these fields:

    pairs                number of pairs
    pixel_correlation    median of the pairs' best correlation of pixels, -1 … 1
    alike                share of pairs whose best correlation is at least `ALIKE`, 0 … 1
    nearest_by_pixels    share of pairs whose database example is the query's nearest by pixels too, 0 … 1
    same_label           share of pairs whose labels are equal, 0 … 1
    confidence           the ensemble's confidence in its prediction for the query example, mean, 0 … 1

The best correlation is over shifts of up to `SHIFT` pixels and mirroring. Where there are no images, the
fields of pixels are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.explain import image_alignment
from kernel_core.explain.image_alignment import best_correlations
from kernel_core.findings.pairs import default_rank_window, nearest_pairs, rank_window
from kernel_core.results.results import Results

SHIFT, ALIKE = image_alignment.SHIFT, image_alignment.ALIKE
TOPS = (
    100,
    500,
)  # numbers of first pairs described, beside the window that the near-duplicates page opens with
RANDOM = "random confident pairs"
CONFIDENT = 0.1  # share of the query examples, the surest, that random pairs are drawn from

Indices = npt.NDArray[np.int64]  # of examples, (n,)


def random_confident_pairs(results: Results, count: int, seed: int = 0) -> pd.DataFrame:
    """Return pairs to compare the nearest with: confident query examples, each with any example of its label.

    The queries are drawn by the seed alone from the tenth of which the ensemble is surest; there are fewer
    than `count` if the tenth is smaller. Columns: query_index, query_label, database_index, database_label.
    """
    labels, database_labels = results.labels
    rng = np.random.default_rng(seed)
    is_own = results.spec.excludes_self
    has_partner = np.bincount(database_labels, minlength=len(results.class_names))[labels] > is_own
    surest = np.argsort(-results.predictions.confidence, kind="stable")
    surest = surest[has_partner[surest]][: max(1, round(CONFIDENT * len(labels)))]
    query = rng.permutation(surest)[:count]
    partners = []
    for index in query:
        of_label = np.flatnonzero(database_labels == labels[index])
        partners.append(int(rng.choice(of_label[of_label != index] if is_own else of_label)))
    database = np.array(partners, dtype=np.int64)
    return pd.DataFrame(
        {
            "query_index": query,
            "query_label": labels[query],
            "database_index": database,
            "database_label": database_labels[database],
        }
    )


def rank_windows(count: int) -> list[tuple[int, int]]:
    """Return the windows of ranks that are described: the first 100 and 500, and the page's first window.

    >>> rank_windows(10_000), rank_windows(60)
    ([(1, 100), (1, 500), (601, 648)], [(1, 60), (4, 51)])
    """
    tops = [(1, min(top, count)) for top in TOPS]
    return list(dict.fromkeys([*tops, default_rank_window(count)]))


def quality_table(results: Results) -> pd.DataFrame:
    """Return descriptions of pairs, one row per similarity and window of ranks; the last is of random pairs.

    Columns: similarity (its name, or `RANDOM`), first and last (ranks; 0 for random pairs), and the fields of
    a description.
    """
    rows = [
        {"similarity": name, "first": first, "last": last, **describe_pairs(results, pairs)}
        for name, first, last, pairs in _described(results)
    ]
    return pd.DataFrame(rows)


def _described(results: Results) -> Iterator[tuple[str, int, int, pd.DataFrame]]:
    """Yield similarity, first and last rank, and pairs for each row of the table."""
    for name, neighbors in results.neighbors.items():
        pairs = nearest_pairs(neighbors, *results.labels)
        for first, last in rank_windows(len(pairs)):
            yield name, first, last, rank_window(pairs, first, last)
    yield RANDOM, 0, 0, random_confident_pairs(results, max(TOPS))


def describe_pairs(results: Results, pairs: pd.DataFrame) -> dict[str, float | int]:
    """Return the description of some pairs, at least one.

    pairs: with columns query_index, query_label, database_index, database_label.
    """
    query, database = pairs["query_index"].to_numpy(), pairs["database_index"].to_numpy()
    by_pixels = _compare_pixels(results, query, database) if results.has_images else {}
    return {
        "pairs": len(pairs),
        **by_pixels,
        "same_label": float((pairs["query_label"] == pairs["database_label"]).mean()),
        "confidence": float(results.predictions.confidence[query].mean()),
    }


def _compare_pixels(results: Results, query: Indices, database: Indices) -> dict[str, float]:
    correlation = best_correlations(
        results.examples[results.query].images[query],
        results.examples[results.database].images[database],
        SHIFT,
    )
    return {
        "pixel_correlation": float(np.median(correlation)),
        "alike": float((correlation >= ALIKE).mean()),
        "nearest_by_pixels": float((results.neighbors["pixels"].indices[query, 0] == database).mean()),
    }
