"""The map of very many examples: UMAP lays out some of them, the landmarks; the others go beside theirs.

UMAP takes 0.4 core-milliseconds per example, and its memory grows alike. Beyond `LIMIT` examples, `COUNT` of
them are drawn by a fixed seed. Which landmarks an example is near is read from the lists of neighbors: those
in its own list, and those in the lists of its neighbors, as far away as both steps together; by the triangle
inequality, none is farther than that. The landmarks are laid out by their nearest landmarks. Each other
example is placed in the middle of those of its nearest landmarks that lie together on the map.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernel_core.findings import map_layout
from kernel_core.findings.map_layout import NEIGHBOR_COUNT, SEED, Indices, Points, Values
from kernel_core.progress import Progress, no_progress

LIMIT = 300_000  # examples that are laid out one by one
COUNT = 100_000  # landmarks
REACH = 25  # neighbors of each example that are read, itself not counted
STEPS = 6  # landmarks of an example's own list that its neighbors go on to
BESIDE = 5  # landmarks that an example is placed by
ROWS = 20_000  # examples at a time
NONE, HALF, LOW = np.uint64(2**64 - 1), np.uint64(32), np.uint64(2**32 - 1)
Keys = npt.NDArray[np.uint64]


def lay_out(indices: Indices, distances: Values, progress: Progress = no_progress) -> Points:
    """Return points of the plane, float32 (N, 2), for more examples than `map_layout.layout` takes.

    indices, distances: each example's neighbors, nearest first, and how far they are, both (N, k).
    The same input gives the same map, as far as that holds for UMAP.
    """
    N = len(indices)
    landmarks = np.sort(np.random.default_rng(SEED).permutation(N)[: min(COUNT, N)])
    number = np.full(N, -1, np.int64)
    number[landmarks] = np.arange(len(landmarks))
    own = _own_landmarks(indices, distances, number)
    near, far = nearest_landmarks(landmarks, indices, distances, own, NEIGHBOR_COUNT, number)
    xy = np.empty((N, 2), np.float32)
    of_landmarks = xy[landmarks] = map_layout.layout(*_filled(near, far), progress)
    others = np.flatnonzero(number < 0)
    for start in range(0, len(others), ROWS):
        rows = others[start : start + ROWS]
        near, _far = nearest_landmarks(rows, indices, distances, own, BESIDE, number)
        xy[rows] = _middle(of_landmarks, near)
        progress("placing examples beside their landmarks", min(start + ROWS, len(others)), len(others))
    return xy


def _own_landmarks(indices: Indices, distances: Values, number: npt.NDArray[np.int64]) -> Keys:
    """Return the first landmarks in each example's list, itself included, as keys (N, `STEPS`).

    A key is a distance and the number of a landmark, so that keys are in the order of the distances; `NONE`
    where there are fewer.
    """
    N = len(indices)
    keys = np.full((N, STEPS), NONE)
    for start in range(0, N, ROWS):
        rows = np.arange(start, min(start + ROWS, N))
        near = number[np.hstack([rows[:, None], indices[rows]])]
        far = np.hstack([np.zeros((len(rows), 1), np.float32), distances[rows]])
        # Of numbers from 0 up, the bits as whole numbers are in the same order.
        keys_of_all = far.view(np.uint32).astype(np.uint64) << HALF | near.astype(np.uint64) & LOW
        found = np.where(near >= 0, keys_of_all, NONE)
        found.sort(axis=1)
        keys[rows] = found[:, :STEPS]
    return keys


def nearest_landmarks(
    rows: npt.NDArray[np.int64],
    indices: Indices,
    distances: Values,
    own: Keys,
    k: int,
    number: npt.NDArray[np.int64],
) -> tuple[Indices, Values]:
    """Return the k nearest landmarks of some examples within two steps, themselves left out, and how far.

    own: of `_own_landmarks`. number: each example's number as a landmark, -1 for others. Returns their
    numbers, int32 (n, k), and distances, float32 (n, k); -1 and infinity where two steps reach fewer.
    """
    keys = np.empty((len(rows), k), np.uint64)
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        steps = own[np.hstack([part[:, None], indices[part]])]  # (n, 1 + list, STEPS)
        first = np.hstack([np.zeros((len(part), 1), np.float32), distances[part]])
        landmark = steps & LOW
        far = (steps >> HALF).astype(np.uint32).view(np.float32) + first[:, :, None]
        left_out = (steps == NONE) | (landmark == number[part, None, None].astype(np.uint64))
        found = np.where(left_out, NONE, landmark << HALF | far.view(np.uint32)).reshape(len(part), -1)
        found.sort(axis=1)
        again = found[:, 1:] >> HALF == found[:, :-1] >> HALF  # by a longer way
        found = found << HALF | found >> HALF
        found[:, 1:][again] = NONE
        found.sort(axis=1)
        keys[start : start + len(part)] = found[:, :k]
    is_none = keys == NONE
    near = np.where(is_none, -1, (keys & LOW).astype(np.int64)).astype(np.int32)
    far = np.where(is_none, np.inf, (keys >> HALF).astype(np.uint32).view(np.float32))
    return near, far.astype(np.float32)


def _filled(near: Indices, far: Values) -> tuple[Indices, Values]:
    """Return landmarks' lists with others, drawn by the seed and farther than all, where there are fewer."""
    missing = near < 0
    drawn = np.random.default_rng(SEED).integers(0, len(near), near.shape, np.int32)
    farthest = 2 * far[~missing].max(initial=1.0)
    return np.where(missing, drawn, near), np.where(missing, farthest, far).astype(np.float32)


def _middle(of_landmarks: Points, near: Indices) -> Points:
    """Return where examples go: amid those of their landmarks that lie together, (n, 2).

    of_landmarks: (L, 2). near: of `nearest_landmarks`, (n, k). An example beside two groups of landmarks
    goes to the larger one, and not between them; one without landmarks goes to the middle of the map.
    """
    places = of_landmarks[np.where(near < 0, near[:, :1], near)]  # (n, k, 2)
    from_median = np.square(places - np.median(places, axis=1, keepdims=True)).sum(2)
    together = np.argsort(from_median, axis=1, kind="stable")[:, : (near.shape[1] + 1) // 2]
    middle: Points = np.take_along_axis(places, together[:, :, None], 1).mean(1)
    middle[near[:, 0] < 0] = 0
    return middle
