"""The twin score: near-duplicates by a similarity, the pixels and how near an example's other neighbors are.

For query example i and a candidate j, one of its first `CANDIDATES` neighbors by a similarity K:

    T(i, j) = K(i, j) - r(i) / 2 + px(i, j) / 2

r is the background, the mean of i's five largest similarities (of 50 by a whitened kernel): an example that
is near to many is near to none in particular. px is the aligned pixels' correlation
(`kernel_core.explain.aligned_pixels`). The twin of i is the j with the largest T; of equal ones the nearer by
K. The score has no unit and is below 2. It orders pairs and proves nothing.

Tables of pairs get these columns:

    aligned       px of the pair, -1 … 1; larger is more alike
    others        median px of the query example with its candidates, -1 … 1
    background    r of the query example; a pair as near as all others has a similarity close to it
    twin          T of the pair; larger is more likely a twin
    band          same picture, likely or look-alike

The bands are plain rules, drawn by eye on CIFAR-10; nothing is fitted. A pair whose twin score is at least
`LEAST_SCORE` is the same picture if its pixels fit better than the others by `CLEAR_LEAD`, likely if by
`SOME_LEAD`, and every other pair a look-alike. The others count because pixels that fit mean little where
they fit with everything: a dot in the sky, a digit of 8×8 pixels. Of 359 pairs with scores from 0.6, most of
them below 0.8, one judge found 92% of the first band to be the same picture, 52% of the second and 26% of the
third. The digits that come with the program have none of the first band. Families of more than five copies
lead by little, and come out as look-alikes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.findings.pairs import table_of_pairs
from kernel_core.findings.votes import Labels
from kernel_core.records import Neighbors
from kernel_core.similarities import Similarity
from kernel_core.spec import KernelSpec

CANDIDATES = 10  # nearest neighbors whose pixels are compared; five nearly suffice on CIFAR-10
BACKGROUND, BACKGROUND_WHITENED = 5, 50  # largest similarities whose mean is the background
COLUMNS = ["aligned", "others", "background", "twin", "band"]
BANDS = "same picture", "likely", "look-alike"
LEAST_SCORE = 0.6  # CIFAR-10: about one pair in ten from 0.5 to 0.6 is the same picture
CLEAR_LEAD, SOME_LEAD = 0.4, 0.2
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Aligned:
    """The aligned pixels of each query example with its first k neighbors.

    spec: of the neighbors. values: float32 (n, k) in [-1, 1]: px with `neighbors.indices[:, :k]`.
    """

    spec: KernelSpec
    values: npt.NDArray[np.float32]

    @property
    def k(self) -> int:
        """Number of neighbors per query example."""
        return int(self.values.shape[1])


def allows_twin_score(similarity: Similarity) -> bool:
    """Return whether a similarity's values can stand in the twin score: correlations and cosines."""
    return similarity.by in ("correlation", "cosine")


def refuse_twin_score(similarity: Similarity) -> None:
    """Raise `RequestError` unless `allows_twin_score`."""
    if not allows_twin_score(similarity):
        raise RequestError(
            f"There is no twin score by {similarity.name}: its values are not between -1 and 1. Ask for the "
            "order by similarity, or for a correlation or a cosine, such as the kernel."
        )


def refuse_no_images(name: str, *, has_images: bool) -> None:
    """Raise `RequestError` if the source called `name` has no images whose pixels could be compared."""
    if not has_images:
        raise RequestError(f"{name} has labels alone; there are no pixels to compare. Leave that out.")


def twin_pairs(
    neighbors: Neighbors, aligned: Aligned, query_labels: Labels, database_labels: Labels
) -> pd.DataFrame:
    """Return the table of pairs by the twin score: each query example with its twin, largest score first.

    It has the columns of `findings.pairs.nearest_pairs`, where rank is the place in this order, and those of
    this module. Equal scores are in order of the query index. Within one split, two examples that are each
    other's twins are one pair, whose query is the one with the larger score, or else of lower index.
    """
    scores = twin_scores(neighbors, aligned)
    position = scores.argmax(1)
    every = np.arange(len(scores))
    order = np.argsort(-scores[every, position], kind="stable")
    if neighbors.spec.excludes_self:
        twin = neighbors.indices[every, position]
        place = np.empty_like(order)
        place[order] = every
        order = order[~((twin[twin] == every) & (place[twin] < place))[order]]
    pairs = table_of_pairs(neighbors, order, position[order], query_labels, database_labels)
    return with_aligned(pairs, neighbors, aligned)


def twin_scores(neighbors: Neighbors, aligned: Aligned) -> Values:
    """Return T of each query example with its candidates, float64 (n, k)."""
    values = neighbors.values[:, : aligned.k].astype(np.float64)
    scores: Values = values - background(neighbors)[:, None] / 2 + aligned.values / 2
    return scores


def twin_neighbors(neighbors: Neighbors, aligned: Aligned) -> Neighbors:
    """Return the candidates of each query example by their T, as neighbors whose values are T.

    Of equal scores, the nearer by similarity comes first. Groups of twins are found in such tables.
    """
    scores = twin_scores(neighbors, aligned).astype(np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")
    indices = np.take_along_axis(neighbors.indices[:, : aligned.k], order, axis=1)
    return Neighbors(neighbors.spec, indices, np.take_along_axis(scores, order, axis=1))


def background(neighbors: Neighbors) -> Values:
    """Return the mean of each query example's largest similarities, float64 (n,)."""
    count = BACKGROUND_WHITENED if neighbors.spec.whitened else BACKGROUND
    means: Values = neighbors.values[:, :count].mean(1, dtype=np.float64)
    return means


def with_aligned(
    pairs: pd.DataFrame, neighbors: Neighbors, aligned: Aligned, *, scored: bool = True
) -> pd.DataFrame:
    """Return a table of pairs with the columns of this module, in its own order.

    pairs: of these neighbors; a pair that is not among the first `aligned.k` has NaN, and no band.
    scored: also add all but aligned, which `allows_twin_score` must allow.
    """
    query, database = (pairs[f"{side}_index"].to_numpy() for side in ("query", "database"))
    is_pair = neighbors.indices[query, : aligned.k] == database[:, None]
    position, is_known = is_pair.argmax(1), is_pair.any(1)

    def column(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.where(is_known, values[query, position], np.nan).astype(values.dtype)

    table = pairs.assign(aligned=column(aligned.values))
    if scored:
        table["others"] = np.median(aligned.values, 1)[query]
        table["background"] = background(neighbors)[query].astype(np.float32)
        table["twin"] = column(twin_scores(neighbors, aligned)).astype(np.float32)
        table["band"] = bands(table)
    return table


def pixels_last(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the columns of this module after all others."""
    return table[[*table.columns.difference(COLUMNS, sort=False), *(c for c in COLUMNS if c in table)]]


def bands(pairs: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return the band of each pair by the rules of this module; empty where pixels are not compared.

    pairs: with the columns twin, aligned and others.
    """
    is_near = pairs["twin"] >= LEAST_SCORE
    lead = pairs["aligned"] - pairs["others"]
    conditions = [pairs["aligned"].isna(), is_near & (lead >= CLEAR_LEAD), is_near & (lead >= SOME_LEAD)]
    return np.select(conditions, ["", *BANDS[:2]], BANDS[2]).astype(object)
