"""A map: every example of both splits as a point of the plane, near those that it is similar to.

The layout is UMAP's (McInnes, Healy and Melville, arXiv 1802.03426), from the exact neighbors of each example among
all others: UMAP's own approximate search is left out. Points stand in the order test, then train.
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
from kernel_core.progress import Progress, no_progress
from kernel_core.records import Neighbors
from kernel_core.spec import SPLITS, Split

SPLIT_ORDER: tuple[Split, ...] = ("test", "train")  # of the points
NEIGHBOR_COUNT = (
    15  # of each example, itself not counted: UMAP's default, and the number that peers draw maps with
)
LINE_COUNT = 5  # neighbors kept with a map, to be drawn as lines
RECIPE: Mapping[str, Any] = {
    "neighbors": NEIGHBOR_COUNT, "distance": "sqrt(2 (1 - K))", "init": "diffusion", "min_dist": 0.3, "random_state": 0,
}  # fmt: skip
Indices = npt.NDArray[np.int32]
Values = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Map:
    """Where each example lies, test examples first, then train examples.

    xy: float32 (N1 + N2, 2), finite. nearest: int32 (N1 + N2, at most `LINE_COUNT`), each point's nearest by the kernel,
    as numbers of points. counts: N1 and N2. share_kept: how faithful it is, as the function `share_kept` says.
    """

    xy: npt.NDArray[np.float32]
    nearest: Indices
    counts: tuple[int, int]
    share_kept: float

    def __post_init__(self) -> None:
        assert self.xy.shape == (sum(self.counts), 2)
        assert len(self.nearest) == len(self.xy)

    def point(self, split: Split, index: int) -> int:
        """The number of an example's point."""
        return index if split == "test" else self.counts[0] + index

    def example(self, point: int) -> tuple[Split, int]:
        """The example that a point stands for. Raises `RequestError` if there is no such point."""
        if not 0 <= point < len(self.xy):
            raise RequestError(f"The map has no point {point}; expected 0 … {len(self.xy) - 1}.")
        return ("test", point) if point < self.counts[0] else ("train", point - self.counts[0])


def example_counts(examples: Mapping[Split, Sized]) -> tuple[int, int]:
    """How many test and train examples there are, 0 of a split that the source lacks."""
    return len(examples.get("test", ())), len(examples.get("train", ()))


def search_directions(counts: tuple[int, int]) -> list[tuple[Split, Split]]:
    """The searches that together name each example's neighbors among all: (query, database).

    counts: test and train examples. A split of one example is not searched for its own neighbors, having none; one
    that the source lacks is left out.
    Raises `RequestError` if there are too few examples to give each its neighbors.
    """
    if sum(counts) <= NEIGHBOR_COUNT:
        raise RequestError(
            f"There are {sum(counts)} examples in all; a map shows each beside its {NEIGHBOR_COUNT} nearest, so it takes "
            f"at least {NEIGHBOR_COUNT + 1}."
        )
    size = dict(zip(SPLIT_ORDER, counts, strict=True))
    return [
        (q, d) for q in SPLIT_ORDER for d in SPLIT_ORDER if size[q] and size[d] and (q != d or size[q] > 1)
    ]


def merge_neighbors(
    found: Mapping[tuple[Split, Split], Neighbors], k: int = NEIGHBOR_COUNT
) -> tuple[Indices, Values]:
    """Each example's k nearest among all of both splits, from the neighbors of each of the `search_directions`.

    Returns indices int32 (N1 + N2, k), numbers of points, and values float32 (N1 + N2, k) descending, ties by lower
    number. Exact as long as each direction holds min(k, all there are) neighbors; no example is its own neighbor.
    """
    first = next(len(n.indices) for (query, _), n in found.items() if query == "test")
    offset = {"test": 0, "train": first}
    rows = []
    for query in SPLIT_ORDER:
        parts = [(offset[database], n) for (q, database), n in found.items() if q == query]
        if not parts:
            continue
        indices = np.hstack([n.indices[:, :k] + np.int32(start) for start, n in parts])
        values = np.hstack([n.values[:, :k] for _, n in parts])
        order = np.lexsort((indices, -values), axis=1)[:, :k]
        rows.append((np.take_along_axis(indices, order, 1), np.take_along_axis(values, order, 1)))
    return np.vstack([row[0] for row in rows]), np.vstack([row[1] for row in rows])


def distance(values: Values) -> Values:
    """Kernel values → distances: sqrt(2 (1 - K)), float32, at least 0.

    An example's row has length (M-1)/M or almost 1, so this is the Euclidean distance between rows but for 2/M under
    the root: a metric, which UMAP's theory asks for. 1 - K, no metric, draws the digits all but equally well.
    """
    distances: Values = np.sqrt(2 * np.maximum(0, 1 - values)).astype(np.float32)
    return distances


def layout(indices: Indices, values: Values, progress: Progress = no_progress) -> npt.NDArray[np.float32]:
    """Points of the plane, float32 (N, 2), by UMAP from each point's neighbors and their kernel values, both (N, k).

    The same input gives the same map on the same machine: one thread, one seed. Another processor or another version
    of the libraries may round otherwise, which the optimization magnifies.
    """
    progress("loading the library that draws maps", 0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells of optional parts that are not installed
        from umap import UMAP
    count, k = indices.shape
    own = np.arange(count, dtype=np.int32)[:, None]  # UMAP counts a point as its own nearest
    near = np.hstack([own, indices])
    far = np.hstack([np.zeros((count, 1), np.float32), distance(values)])
    start = starting_points(indices)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of no search index for further points; we add none
        umap = UMAP(
            n_neighbors=k + 1, precomputed_knn=(near, far, None), init=start, min_dist=RECIPE["min_dist"],
            random_state=RECIPE["random_state"], n_jobs=1, tqdm_kwds=_epochs_told(progress),
        )  # fmt: skip
        xy = umap.fit_transform(start)  # of the data itself UMAP reads no more than how many there are
    return upright(np.asarray(xy, np.float32))


def upright(xy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The same map, (N, 2), centered and turned so that it is widest from left to right, as screens are."""
    centered = xy - xy.mean(axis=0)
    axes = np.linalg.svd(centered.astype(np.float64), full_matrices=False)[2]
    axes *= np.where(axes[np.arange(2), np.abs(axes).argmax(axis=1)] < 0, -1, 1)[
        :, None
    ]  # one of two directions
    return np.ascontiguousarray(centered @ axes.T, np.float32)


def starting_points(indices: Indices, steps: int = 100) -> npt.NDArray[np.float32]:
    """Where the optimization starts: float32 (N, 2) in [0, 10], neighbors near each other. indices: (N, k).

    A random walk over the neighbors spreads four random numbers for some steps, orthogonalized as it goes: the
    leading directions of a diffusion map, in a second of computing at 60,000 points. UMAP's own spectral start wants
    the rows themselves where the neighbors fall into separate parts.
    """
    from scipy.sparse import csr_matrix

    count, k = indices.shape
    links = csr_matrix(
        (np.ones(count * k), indices.ravel(), np.arange(0, count * k + 1, k)), shape=(count, count)
    )
    links = links + links.T
    degree = np.asarray(links.sum(axis=1)).ravel()
    rng = np.random.default_rng(RECIPE["random_state"])
    spread = rng.normal(size=(count, min(4, count)))
    trivial = np.sqrt(degree / degree.sum())[:, None]  # what every walk ends in
    for _ in range(steps):
        scaled = spread / np.sqrt(degree)[:, None]
        spread = (spread + (links @ scaled) / np.sqrt(degree)[:, None]) / 2  # half stays: no walk to and fro
        spread -= trivial @ (trivial.T @ spread)
        spread = np.linalg.qr(spread)[0]
    strength = np.einsum(
        "nd,nd->d", spread, (links @ (spread / np.sqrt(degree)[:, None])) / np.sqrt(degree)[:, None]
    )
    plane = spread[:, np.argsort(-strength, kind="stable")[:2]] / np.sqrt(degree)[:, None]
    # by rank, so that a part that the walk hardly reaches is no dot far away from a crowd in one place
    ranks = np.argsort(np.argsort(plane, axis=0, kind="stable"), axis=0)
    start: npt.NDArray[np.float32] = (10 * ranks / max(1, count - 1)).astype(np.float32)
    return start


def share_kept(xy: npt.NDArray[np.float32], indices: Indices) -> float:
    """The share of each point's k neighbors that are among its k nearest on the map, averaged; in [0, 1].

    xy: (N, 2). indices: (N, k), as `merge_neighbors` gives them.
    """
    from scipy.spatial import KDTree

    count, k = indices.shape
    near = KDTree(xy).query(xy, k + 1)[1]  # (N, k + 1), the point itself among them, if not always first
    own = np.arange(count)[:, None]
    hits = (near[:, :, None] == indices[:, None, :]) & (near != own)[:, :, None]
    return float(hits.any(1).mean())


def _epochs_told(progress: Progress) -> dict[str, Any]:
    """UMAP's own progress, a tqdm bar, told as `Progress`."""

    class Bar(io.StringIO):
        def write(self, text: str) -> int:
            done, _, total = text.strip().partition("/")
            if done.isdigit() and total.isdigit():
                progress("laying out the map", int(done), int(total))
            return len(text)

    return {"file": Bar(), "bar_format": "{n}/{total}", "disable": False, "mininterval": 0.2}


assert set(SPLIT_ORDER) == set(SPLITS)
