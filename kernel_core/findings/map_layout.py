"""The map: every example of both splits as a point of the plane, near the examples that it is similar to.

The layout is UMAP's (McInnes, Healy and Melville, arXiv 1802.03426). It starts from each example's exact
neighbors among all others; UMAP's own approximate search is not used. Points are numbered test examples
first, then training examples.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.errors import RequestError
from kernel_core.library_caches import load_umap
from kernel_core.progress import Progress, no_progress
from kernel_core.records import Neighbors
from kernel_core.similarities import Similarity
from kernel_core.spec import SPLITS, Split

SPLIT_ORDER: tuple[Split, ...] = ("test", "train")  # of the points
assert set(SPLIT_ORDER) == set(SPLITS)
# Of each example, itself not counted: UMAP's default, and what comparable tools draw maps with.
NEIGHBOR_COUNT = 15
ROWS = 50_000  # examples at a time, where a table of all would be large
LINE_COUNT = 5  # neighbors kept with a map, to be drawn as lines
MIN_DIST = 0.3  # UMAP's smallest distance between points
SEED = 0
# What the layout depends on; part of the map's cache key.
CHORD, NEGATED = "sqrt(2 (1 - K))", "-K"  # distances as formulas of a similarity's values K
RECIPE: Mapping[str, Any] = {
    "neighbors": NEIGHBOR_COUNT,
    "distance": CHORD,
    "init": "diffusion",
    "min_dist": MIN_DIST,
    "random_state": SEED,
}
Indices = npt.NDArray[np.int32]
Values = npt.NDArray[np.float32]
Points = npt.NDArray[np.float32]  # (N, 2)


@dataclass(frozen=True, eq=False)
class Map:
    """The place of each example; N1 test examples come first, then N2 training examples.

    xy: float32 (N1 + N2, 2), finite.
    nearest: int32 (N1 + N2, at most `LINE_COUNT`), the points of each example's nearest.
    counts: N1 and N2.
    share_kept: how faithful the map is, as the function `share_kept` defines it.
    landmarks: number of examples that UMAP laid out, the others beside them (`landmarks`); 0 for all.
    """

    xy: Points
    nearest: Indices
    counts: tuple[int, int]
    share_kept: float
    landmarks: int = 0

    def __post_init__(self) -> None:
        assert self.xy.shape == (sum(self.counts), 2)
        assert len(self.nearest) == len(self.xy)

    def point(self, split: Split, index: int) -> int:
        """Return the number of an example's point."""
        return index if split == "test" else self.counts[0] + index

    def example(self, point: int) -> tuple[Split, int]:
        """Return the example that a point stands for. Raises `RequestError` if there is no such point."""
        if not 0 <= point < len(self.xy):
            raise RequestError(f"The map has no point {point}; expected 0 … {len(self.xy) - 1}.")
        return ("test", point) if point < self.counts[0] else ("train", point - self.counts[0])


def example_counts(examples: Mapping[Split, Sized]) -> tuple[int, int]:
    """Return the number of test and of training examples; 0 for a split that the source lacks."""
    return len(examples.get("test", ())), len(examples.get("train", ()))


# Points as the browser holds them, and those inside a lasso.

STEPS = 65_535  # along the longer axis: a step is one pixel at the largest zoom of a map 1,100 pixels wide


def steps(xy: Points) -> npt.NDArray[np.uint16]:
    """Return the points of a map in whole steps of one size for both axes, uint16 (N, 2), from 0."""
    from_zero = xy - xy.min(axis=0)
    whole: npt.NDArray[np.uint16] = np.rint(from_zero / max(float(from_zero.max()), 1e-9) * STEPS).astype(
        "<u2"
    )
    return whole


def inside(points: npt.NDArray[np.uint16], polygon: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which points lie inside a polygon by the even-odd rule, bool (N,).

    points: (N, 2), of `steps`. polygon: (V, 2), its corners in steps, each at most 10,000,000 from 0. All
    numbers are whole, so the result is exact and the browser's is the same (map.lasso.js).
    """
    x, y = points.astype(np.int64).T
    result = np.zeros(len(points), bool)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        crosses = (y1 > y) != (y2 > y)
        side = (x - x1) * (y2 - y1) - (x2 - x1) * (y - y1)
        result ^= crosses & ((side < 0) == (y2 > y1)) & (side != 0)
    return result


# Each example's neighbors among all.


def search_directions(counts: tuple[int, int]) -> list[tuple[Split, Split]]:
    """Return the searches, as (query, database), that together find each example's neighbors among all.

    counts: number of test and of training examples. An empty split is left out; a split of one example is not
    searched for its own neighbors, as it has none. Raises `RequestError` if there are too few examples.
    """
    if sum(counts) <= NEIGHBOR_COUNT:
        raise RequestError(
            f"There are {sum(counts)} examples in all; a map places each by its {NEIGHBOR_COUNT} nearest, so "
            f"it needs at least {NEIGHBOR_COUNT + 1}."
        )
    size = dict(zip(SPLIT_ORDER, counts, strict=True))
    return [
        (query, database)
        for query in SPLIT_ORDER
        for database in SPLIT_ORDER
        if size[query] and size[database] and (query != database or size[query] > 1)
    ]


def merge_neighbors(
    by_direction: Mapping[tuple[Split, Split], Neighbors], k: int = NEIGHBOR_COUNT
) -> tuple[Indices, Values]:
    """Return each example's k nearest among all of both splits.

    by_direction: neighbors for each of the `search_directions`, with at least min(k, all there are) per
    query. Returns the neighbors' points, int32 (N1 + N2, k), and their values, float32 (N1 + N2, k),
    descending; equal values are in the order of their points.
    """
    test_count = next(len(n.indices) for (query, _), n in by_direction.items() if query == "test")
    first_point = {"test": 0, "train": test_count}
    merged = []
    for query in SPLIT_ORDER:
        parts = [(first_point[database], n) for (q, database), n in by_direction.items() if q == query]
        if not parts:
            continue
        for start in range(0, len(parts[0][1].indices), ROWS):
            rows = slice(start, start + ROWS)
            indices = np.hstack([n.indices[rows, :k] + np.int32(first) for first, n in parts])
            values = np.hstack([n.values[rows, :k] for _, n in parts])
            order = np.lexsort((indices, -values), axis=1)[:, :k]
            merged.append((np.take_along_axis(indices, order, 1), np.take_along_axis(values, order, 1)))
    return np.vstack([indices for indices, _ in merged]), np.vstack([values for _, values in merged])


def distance_of(similarity: Similarity) -> str:
    """Return the formula of the distance that a map by a similarity is laid out by, of its values K.

    Raises `RequestError` for inner products and given neighbors, whose values are no distances.
    """
    if similarity.by in ("dot", "given"):
        raise RequestError(
            f"No map is drawn by {similarity.title}: its values are not distances. Choose the kernel, a "
            "cosine, a Euclidean distance or pixels."
        )
    return NEGATED if similarity.is_distance else CHORD


def distance(values: Values, formula: str = CHORD) -> Values:
    """Return the distances for values K by a formula of `distance_of`, float32, at least 0.

    An example's row by the kernel has length (M-1)/M, almost 1, so the chord is the Euclidean distance
    between rows but for 2/M under the root. It is a metric, as UMAP's theory assumes; 1 - K, which is not,
    draws the digits almost as well.
    """
    if formula == NEGATED:
        return np.maximum(0, -values).astype(np.float32)
    distances: Values = np.sqrt(2 * np.maximum(0, 1 - values)).astype(np.float32)
    return distances


# The layout.


def layout(indices: Indices, distances: Values, progress: Progress = no_progress) -> Points:
    """Return points of the plane, float32 (N, 2), laid out by UMAP.

    indices, distances: each point's neighbors and how far they are, both (N, k).

    The same input gives the same map on one machine: one thread, one seed. Another processor or another
    version of the libraries may round differently, and the optimization magnifies that.
    """
    progress("loading the library that draws maps", 0, 1)
    UMAP = load_umap()
    count, k = indices.shape
    own = np.arange(count, dtype=np.int32)[:, None]  # UMAP counts a point as its own nearest
    near = np.hstack([own, indices])
    far = np.hstack([np.zeros((count, 1), np.float32), distances])
    start = starting_points(indices)
    with warnings.catch_warnings():
        # That without a search index no points can be added later; none are.
        warnings.simplefilter("ignore")
        umap = UMAP(
            n_neighbors=k + 1,
            precomputed_knn=(near, far, None),
            init=start,
            min_dist=MIN_DIST,
            random_state=SEED,
            n_jobs=1,
            tqdm_kwds=_bar_options(progress),
        )
        xy = umap.fit_transform(start)  # of its argument, UMAP uses only the number of rows
    return upright(np.asarray(xy, np.float32))


def upright(xy: Points) -> Points:
    """Return the map centered and turned so that it is widest from left to right, as screens are. (N, 2)."""
    centered = xy - xy.mean(axis=0)
    axes = np.linalg.svd(centered.astype(np.float64), full_matrices=False)[2]  # (2, 2)
    largest = axes[np.arange(2), np.abs(axes).argmax(axis=1)]
    axes *= np.where(largest < 0, -1, 1)[:, None]  # an axis has two directions; always choose the same one
    return np.ascontiguousarray(centered @ axes.T, np.float32)


def starting_points(indices: Indices, steps: int = 100) -> Points:
    """Return where the optimization starts: points (N, 2) in [0, 10] with neighbors near each other.

    indices: (N, k), each point's neighbors. steps: length of a random walk over the neighbors, which spreads
    four random numbers per point and is orthogonalized at each step.

    The result is the leading directions of a diffusion map, in one second at 60,000 points. UMAP's own
    spectral start needs the rows themselves where the neighbors form separate parts.
    """
    from scipy.sparse import csr_matrix

    count, k = indices.shape
    links = csr_matrix(
        (np.ones(count * k), indices.ravel(), np.arange(0, count * k + 1, k)), shape=(count, count)
    )
    links = links + links.T
    degree = np.asarray(links.sum(axis=1)).ravel()
    root = np.sqrt(degree)[:, None]
    rng = np.random.default_rng(SEED)
    spread = rng.normal(size=(count, min(4, count)))
    stationary = np.sqrt(degree / degree.sum())[:, None]  # every walk ends in it, so it tells points nothing
    for _ in range(steps):
        spread = (spread + (links @ (spread / root)) / root) / 2  # half stays, so that no walk oscillates
        spread -= stationary @ (stationary.T @ spread)
        spread = np.linalg.qr(spread)[0]
    strength = np.einsum("nd,nd->d", spread, (links @ (spread / root)) / root)
    plane = spread[:, np.argsort(-strength, kind="stable")[:2]] / root
    # By rank, so that a part that the walk hardly reaches does not become a dot far away from all others.
    ranks = np.argsort(np.argsort(plane, axis=0, kind="stable"), axis=0)
    start: Points = (10 * ranks / max(1, count - 1)).astype(np.float32)
    return start


def share_kept(xy: Points, indices: Indices) -> float:
    """Return the share of each point's k neighbors that are among its k nearest on the map, averaged, 0 … 1.

    xy: (N, 2). indices: (N, k), of `merge_neighbors`.
    """
    from scipy.spatial import KDTree

    count, k = indices.shape
    tree, hits = KDTree(xy), 0
    for start in range(0, count, ROWS):
        own = np.arange(start, min(start + ROWS, count))[:, None]
        rows = slice(start, start + ROWS)
        near = tree.query(xy[rows], k + 1)[1]  # (n, k + 1), with the point itself, though not always first
        hits += int(((near[:, :, None] == indices[rows, None]) & (near != own)[:, :, None]).any(1).sum())
    return float(hits / (count * k))


def _bar_options(progress: Progress) -> dict[str, Any]:
    """Return options that make UMAP's tqdm bar report to `progress`."""

    class Bar(io.StringIO):
        def write(self, text: str) -> int:
            done, _, total = text.strip().partition("/")
            if done.isdigit() and total.isdigit():
                progress("laying out the map", int(done), int(total))
            return len(text)

    return {"file": Bar(), "bar_format": "{n}/{total}", "disable": False, "mininterval": 0.2}
