"""The map of very many examples by landmarks, against paths found the slow way and planted groups."""

import numpy as np
import pytest

from kernel_core.findings import landmarks, map_layout


def planted(per_group=150, groups=6, k=20):
    """Return lists of neighbors of points in groups far from each other: indices, distances, groups."""
    rng = np.random.default_rng(0)
    centers = 40 * rng.normal(size=(groups, 8))
    of = np.repeat(np.arange(groups), per_group)
    points = centers[of] + rng.normal(size=(len(of), 8))
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    indices = np.argsort(apart, axis=1, kind="stable")[:, :k].astype(np.int32)
    return indices, np.take_along_axis(apart, indices.astype(int), 1).astype(np.float32), of


def slow_nearest(row, indices, distances, chosen, k):
    """Return the shortest ways of at most two steps to landmarks, by length and then number."""
    number = {point: n for n, point in enumerate(chosen)}
    ways = {}
    lists = {i: list(zip(indices[i].tolist(), distances[i], strict=True)) for i in range(len(indices))}
    for m, first in [(row, np.float32(0)), *lists[row]]:
        for j, second in [(m, np.float32(0)), *lists[m]]:
            if j in number and j != row:
                ways[number[j]] = min(ways.get(number[j], np.inf), first + second)
    return sorted((length, n) for n, length in ways.items())[:k]


@pytest.mark.parametrize("rows_at_once", [20_000, 70])
def test_nearest_landmarks_are_those_of_the_shortest_two_steps(rows_at_once, monkeypatch):
    monkeypatch.setattr(landmarks, "ROWS", rows_at_once)
    monkeypatch.setattr(landmarks, "STEPS", 21)  # all of a list
    indices, distances, _ = planted()
    chosen = np.arange(0, len(indices), 9)
    number = np.full(len(indices), -1)
    number[chosen] = np.arange(len(chosen))
    own = landmarks._own_landmarks(indices, distances, number)
    rows = np.arange(0, len(indices), 7)
    near, far = landmarks.nearest_landmarks(rows, indices, distances, own, 30, number)
    assert (near < 0).any(), "no group has 30 landmarks"
    for row, of_row, how_far in zip(rows, near, far, strict=True):
        expected = slow_nearest(row, indices, distances, chosen.tolist(), 30)
        count = len(expected)
        assert of_row[:count].tolist() == [n for _, n in expected]
        np.testing.assert_allclose(how_far[:count], [length for length, _ in expected], rtol=1e-6)
        assert (of_row[count:] == -1).all()
        assert np.isinf(how_far[count:]).all()


def test_map_by_landmarks_keeps_planted_groups_and_is_the_same_again(monkeypatch):
    monkeypatch.setattr(landmarks, "COUNT", 240)
    laid_out = []

    def layout(near, far, _progress):
        laid_out.append((near, far))
        return map_layout.starting_points(near)

    monkeypatch.setattr(map_layout, "layout", layout)
    indices, distances, of = planted()
    xy = landmarks.lay_out(indices, distances)
    near, far = laid_out[0]
    assert near.shape == far.shape == (240, 15)
    assert np.isfinite(far).all()
    assert (np.diff(far, axis=1) >= 0).all()
    centers = np.array([xy[of == group].mean(0) for group in range(6)])
    nearest = np.square(xy[:, None] - centers).sum(2).argmin(1)
    assert (nearest == of).mean() > 0.9
    np.testing.assert_array_equal(landmarks.lay_out(indices, distances), xy)


def test_example_between_two_groups_goes_to_the_larger():
    of_landmarks = np.array([[0, 0], [1, 0], [0, 1], [90, 90], [91, 90]], np.float32)
    near = np.array([[3, 0, 1, 2, 4], [3, -1, -1, -1, -1], [-1, -1, -1, -1, -1]], np.int32)
    middle = landmarks._middle(of_landmarks, near)
    np.testing.assert_allclose(middle, [[1 / 3, 1 / 3], [90, 90], [0, 0]], rtol=1e-6)
