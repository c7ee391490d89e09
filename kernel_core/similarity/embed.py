"""From a spec to the rows that a search compares: query rows and database rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from kernel_core.nngp import gray_inputs
from kernel_core.records import Ensemble, ExampleSet, Features
from kernel_core.similarities import Similarity
from kernel_core.similarity.kernel_rows import KernelRows
from kernel_core.similarity.rows import SimilarityRows
from kernel_core.similarity.split_moments import Kept
from kernel_core.similarity.vectors import CosineRows, DotRows, EuclideanRows
from kernel_core.spec import KernelSpec, Split


def embed(
    spec: KernelSpec,
    similarity: Similarity,
    examples: Mapping[Split, ExampleSet],
    ensemble: Ensemble,
    features: Features | None = None,
    *,
    kept_moments: Mapping[Split, Callable[[int], Kept]] | None = None,
) -> tuple[SimilarityRows, SimilarityRows]:
    """Return the query rows and the database rows that a spec describes.

    similarity: the one that the spec names, but not given neighbors, which have no rows.
    features: needed by similarities of features alone.
    kept_moments: used by the kernel, as `KernelRows` says.
    """
    if similarity.kind == "kernel":
        known = kept_moments or {}
        query, database = (
            KernelRows(ensemble, s, transform=spec.transform, classes=spec.classes, kept_moments=known.get(s))
            for s in spec.splits
        )
        return query, database
    if similarity.kind == "pixels":
        images = (examples[split].images for split in spec.splits)
        pixels, database_pixels = (CosineRows(of.reshape(len(of), -1), centered=True) for of in images)
        return pixels, database_pixels
    if similarity.kind == "nngp":  # its values rise with this cosine, and `shown_values` has them
        inputs = gray_inputs(examples)
        of_query, of_database = (CosineRows(inputs[split]) for split in spec.splits)
        return of_query, of_database
    assert features is not None
    values, database_values = (features.values[split] for split in spec.splits)
    if similarity.by == "cosine":
        return CosineRows(values), CosineRows(database_values)
    if similarity.by == "dot":
        return DotRows(values), DotRows(database_values)
    center = database_values.mean(0, dtype=np.float64)
    as_query = EuclideanRows(values, center, is_query=True)
    return as_query, EuclideanRows(database_values, center, is_query=False)
