"""The map: merged neighbors against brute force, the layout against planted clusters, the verb end to end."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from kernel_core import pipeline
from kernel_core.errors import NotBuilt, RequestError
from kernel_core.findings import map_layout
from kernel_core.findings.map_layout import (
    Map,
    layout,
    merge_neighbors,
    search_directions,
    share_kept,
    starting_points,
    upright,
)
from kernel_core.records import Neighbors
from kernel_core.results.opening import open_map
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import KernelSpec
from tests.support import oracle
from tests.support.command import invoke


def searched(rows, counts, k=20):
    """What a build finds in each direction among unit rows (N1 + N2, D), and all products, float32 (N, N)."""
    products = (rows @ rows.T).astype(np.float32)
    start = {"test": 0, "train": counts[0]}
    size = dict(zip(("test", "train"), counts, strict=True))
    by_direction = {}
    for query, database in search_directions(counts):
        part = products[start[query] :, start[database] :][: size[query], : size[database]].copy()
        if query == database:
            np.fill_diagonal(part, -np.inf)
        keep = min(k, size[database] - (query == database))
        indices = np.argsort(-part, axis=1, kind="stable")[:, :keep].astype(np.int32)
        values = np.take_along_axis(part, indices, 1)
        by_direction[query, database] = Neighbors(KernelSpec("kernel", query, database), indices, values)
    return by_direction, products


@pytest.mark.parametrize("counts", [(23, 31), (1, 40), (40, 1), (3, 60)])
def test_merged_neighbors_are_the_nearest_of_all(counts):
    rows = np.random.default_rng(0).integers(-2, 3, (sum(counts), 4)).astype(float)  # few values: many ties
    rows[5], rows[-1] = rows[0], rows[0]  # duplicates within a split and across
    by_direction, products = searched(rows, counts)
    indices, values = merge_neighbors(by_direction)
    np.fill_diagonal(products, -np.inf)
    oracle.assert_exact_order(indices, products)
    np.testing.assert_array_equal(values, np.take_along_axis(products, indices.astype(int), 1))
    assert not (indices == np.arange(len(rows))[:, None]).any(), "an example is its own neighbor"
    assert indices.dtype == np.int32


def test_too_few_examples_are_refused():
    assert len(search_directions((6, 10))) == 4
    assert search_directions((1, 40)) == [("test", "train"), ("train", "test"), ("train", "train")]
    with pytest.raises(RequestError, match=r"15 examples in all; .* at least 16"):
        search_directions((5, 10))


@pytest.fixture(scope="module")
def clusters():
    """Three planted clusters, one almost cut off from the others: neighbors, values, each point's cluster."""
    rng = np.random.default_rng(1)
    of = np.repeat([0, 1, 2], 80)
    rows = 4 * np.eye(3, 12)[of] + rng.normal(size=(240, 12))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return *merge_neighbors(searched(rows, (60, 180))[0]), of


def test_layout_separates_planted_clusters_each_time_alike_and_tells_its_progress(clusters):
    """One test, so that one process loads UMAP: the first time, half a minute of compiling."""
    indices, values, of = clusters
    told = []
    xy = layout(indices, values, lambda step, done, total: told.append((step, done, total)))
    assert xy.shape == (240, 2)
    assert xy.dtype == np.float32
    centers = np.stack([np.median(xy[of == c], axis=0) for c in range(3)])
    nearest = np.linalg.norm(xy[:, None] - centers, axis=2).argmin(1)
    assert (nearest == of).mean() > 0.98
    assert share_kept(xy, indices) > 0.3
    np.testing.assert_array_equal(xy, layout(indices, values))
    epochs = [done for step, done, total in told if step == "laying out the map" and total == 500]
    assert epochs == sorted(epochs)
    assert len(set(epochs)) > 1


def test_start_is_spread_out_even_where_the_neighbors_fall_apart():
    apart = np.concatenate(
        [[np.delete(np.arange(20), i)[:15] + part for i in range(20)] for part in (0, 20, 40)]
    )
    start = starting_points(apart.astype(np.int32))
    assert np.isfinite(start).all()
    assert start.min() >= 0
    assert start.max() <= 10
    assert len(np.unique(start, axis=0)) == 60


def test_upright_map_is_wider_than_high_and_keeps_distances():
    xy = np.random.default_rng(2).normal(size=(50, 2)).astype(np.float32) * [1, 9]
    turned = upright(xy.astype(np.float32))
    assert np.ptp(turned[:, 0]) > np.ptp(turned[:, 1])
    np.testing.assert_allclose(
        np.linalg.norm(turned[1:] - turned[:-1], axis=1), np.linalg.norm(xy[1:] - xy[:-1], axis=1), rtol=1e-4
    )


def test_share_kept_counts_by_hand():
    xy = np.array([[0, 0], [0, 0], [1, 0], [9, 0]], np.float32)
    indices = np.array([[1], [0], [3], [2]], np.int32)  # of point 2 the nearest here is another
    assert share_kept(xy, indices) == pytest.approx(3 / 4)


def test_distance_is_a_metric_of_the_kernel():
    values = np.array([1.0000001, 1, 0.5, 0, -1], np.float32)
    np.testing.assert_allclose(map_layout.distance(values), [0, 0, 1, 2**0.5, 2], atol=1e-6)


def test_points_and_examples_name_each_other():
    drawn = Map(np.zeros((5, 2), np.float32), np.zeros((5, 1), np.int32), (2, 3), 0.5)
    assert [drawn.example(p) for p in (0, 1, 2, 4)] == [("test", 0), ("test", 1), ("train", 0), ("train", 2)]
    assert [drawn.point(*drawn.example(p)) for p in range(5)] == list(range(5))
    with pytest.raises(RequestError, match="no point 5"):
        drawn.example(5)


def test_map_of_a_source_is_built_of_its_exact_neighbors_and_cached(
    source_folder, cache, planted, monkeypatch, no_umap
):
    request = SourceRequest(str(source_folder))
    with pytest.raises(NotBuilt, match="no map of planted"):
        open_map(request)
    built = pipeline.build_map(request)
    assert built.counts == (40, 130)
    both = np.concatenate([planted.test, planted.train], axis=1)
    whole = oracle.kernel(both, both)
    np.fill_diagonal(whole, -np.inf)
    values = np.take_along_axis(whole, built.nearest.astype(int), 1)
    np.testing.assert_allclose(values, -np.sort(-whole, axis=1)[:, : map_layout.LINE_COUNT], atol=1e-5)
    for i, j in planted.exact.items():
        assert built.example(int(built.nearest[i, 0])) == ("train", j)
    monkeypatch.setattr(map_layout, "layout", None)
    again = pipeline.build_map(request)
    np.testing.assert_array_equal(again.xy, built.xy)
    path = next(iter(Store(cache).root.glob("map/*")))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(NotBuilt):
        open_map(request)


def test_verb_writes_where_each_example_lies(source_folder, cache, tmp_path, monkeypatch):
    def spread(indices, values, progress):
        return np.arange(2 * len(indices), dtype=np.float32).reshape(-1, 2)

    monkeypatch.setattr(map_layout, "layout", spread)
    done = invoke("map", source_folder, "--csv", tmp_path / "map.csv")
    assert done.exit_code == 0, done.stderr
    assert "a map of 40 test and 130 training examples" in done.stdout
    table = pd.read_csv(tmp_path / "map.csv")
    assert table.columns.tolist() == ["split", "index", "x", "y", "label", "class_name"]
    assert table.iloc[40].tolist()[:4] == ["train", 0, 80.0, 81.0]


def test_steps_are_whole_numbers_with_one_scale_for_both_axes():
    points = map_layout.steps(np.array([[-1, 5], [3, 5], [1, 7]], np.float32))
    assert points.dtype == np.uint16
    assert points.tolist() == [[0, 0], [65535, 0], [32768, 32768]]


def test_points_inside_a_lasso_are_those_that_a_ray_leaves_an_odd_number_of_times():
    rng = np.random.default_rng(1)
    points = rng.integers(0, 41, (400, 2)).astype(np.uint16)  # many lie on edges and corners
    polygon = rng.integers(-3, 45, (9, 2))  # crosses itself

    def is_inside(x, y):
        crossed = 0
        for (x1, y1), (x2, y2) in zip(polygon.tolist(), np.roll(polygon, -1, axis=0).tolist(), strict=True):
            if (y1 > y) != (y2 > y):
                crossed += x < x1 + Fraction((y - y1) * (x2 - x1), y2 - y1)
        return crossed % 2 == 1

    expected = [is_inside(int(x), int(y)) for x, y in points]
    assert 40 < sum(expected) < 360
    np.testing.assert_array_equal(map_layout.inside(points, polygon), expected)
    assert not map_layout.inside(points, polygon + 1_000_000).any()
