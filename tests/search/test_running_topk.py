"""The running top-k against a plain sort: any tiles, in any order, with ties."""

import numpy as np
import pytest
import torch

from kernel_core.search import packed_topk
from kernel_core.search.packed_topk import columns_of, pack, unpack
from kernel_core.search.running_topk import RunningTopK
from kernel_core.search.tables import Table

CPU = torch.device("cpu")
DTYPES = [torch.float32, torch.float64]


def matrix(kind, n, columns):
    """Return values (n, columns), float64, that float32 holds exactly."""
    rng = np.random.default_rng(0)
    rising = np.tile(np.arange(columns, dtype=np.float64), (n, 1))
    return {
        "random": rng.normal(size=(n, columns)).astype(np.float32).astype(np.float64),
        "ties": rng.integers(-3, 4, (n, columns)).astype(np.float64),
        "equal": np.zeros((n, columns)),
        "signs of zero": np.where(rng.random((n, columns)) < 0.5, 0.0, -0.0),
        "rising": rising,
        "falling": -rising,
    }[kind]


def cut(n, columns, height, width):
    """Return tiles (rows, columns) that cover the matrix, in an order drawn by chance."""
    tiles = [
        (slice(i, min(i + height, n)), slice(j, min(j + width, columns)))
        for i in range(0, n, height)
        for j in range(0, columns, width)
    ]
    return [tiles[i] for i in np.random.default_rng(1).permutation(len(tiles))]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["random", "ties", "equal", "signs of zero", "rising", "falling"])
def test_the_order_of_the_tiles_does_not_matter(kind, dtype):
    n, columns, k = 150, 701, 13
    values = matrix(kind, n, columns)
    expected = np.argsort(-values, axis=1, kind="stable")[:, :k]
    for number, (height, width) in enumerate([(150, 300), (64, 64), (149, 701), (70, 33)]):
        top = RunningTopK(n, k, dtype, CPU)
        for row, column in cut(n, columns, height, width):
            tile = torch.from_numpy(values[row, column]).to(dtype).contiguous()
            # Every second cut comes as transposes, as one split against itself does.
            top.merge(row.start, tile.T.contiguous().T if number % 2 else tile, column.start)
        np.testing.assert_array_equal(top.indices.numpy(), expected)
        np.testing.assert_array_equal(top.values.numpy(), np.take_along_axis(values, expected, 1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_ranges_of_rows_may_overlap_and_look_at_values_in_between(dtype):
    values = matrix("ties", 40, 300)
    top = RunningTopK(40, 5, dtype, CPU)
    for first, last in ((0, 150), (150, 300)):
        for rows in (slice(0, 25), slice(25, 40)) if first else (slice(0, 10), slice(10, 40)):
            top.merge(rows.start, torch.from_numpy(values[rows, first:last]).to(dtype), first)
            assert len(top.values) == 40
    expected = np.argsort(-values, axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(top.indices.numpy(), expected)


@pytest.mark.parametrize("kind", ["random", "ties", "equal", "signs of zero", "rising", "falling"])
def test_several_share_the_least_that_is_kept(kind):
    """As threads do: each takes some of the tiles, of any columns; merged, they are as one that takes all."""
    n, columns, k = 90, 700, 11
    values = matrix(kind, n, columns)
    least = np.full(n, -np.inf, np.float32)
    several = [RunningTopK(n, k, torch.float32, CPU, least) for _ in range(3)]
    for number, (row, column) in enumerate(cut(n, columns, 30, 64)):
        tile = torch.from_numpy(values[row, column]).float().contiguous()
        several[number % 3].merge(row.start, tile, column.start)
    table = Table((0, n), k, torch.float32, CPU)
    for running in several:
        table.take(0, running.values, running.indices)
    expected = np.argsort(-values, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(table.top().indices, expected)
    np.testing.assert_array_equal(table.top().values, np.take_along_axis(values, expected, 1))
    assert (least <= table.top().values[:, -1]).all(), "a bound never exceeds what is kept in the end"


def test_what_others_found_is_not_looked_for(monkeypatch):
    taken = []
    monkeypatch.setattr(packed_topk, "pack", lambda v, c: taken.append(np.size(v)) or pack(v, c))
    values = torch.from_numpy(matrix("random", 50, 8_192)).float()
    least = np.full(50, -np.inf, np.float32)
    first, second = (RunningTopK(50, 10, torch.float32, CPU, least) for _ in range(2))
    first.merge(0, values[:, :4_096].contiguous(), 0)
    assert len(first.values) == 50
    taken.clear()
    second.merge(0, values[:, 4_096:].contiguous(), 4_096)
    assert sum(taken) < 50 * 10 * 1.5, "as few as if the second had seen the first half"


def test_a_value_that_is_masked_is_no_neighbor():
    values = torch.full((2, 70), -torch.inf)
    values[0, [3, 68]], values[1, 5] = torch.tensor([1.0, 2.0]), -7.0
    top = RunningTopK(2, 3, torch.float32, CPU)
    top.merge(0, values, 100)
    assert top.values.tolist() == [[2.0, 1.0, -torch.inf], [-7.0, -torch.inf, -torch.inf]]
    assert top.indices[:, 0].tolist() == [168, 105]


def test_keys_sort_as_values_and_give_them_back():
    extremes = np.finfo(np.float32)
    values = np.array(
        [np.inf, extremes.max, 1.5, 1, extremes.tiny, 1e-45, 0, -1e-45, -2, extremes.min, -np.inf], np.float32
    )
    columns = np.arange(len(values)) * 400_000_000
    keys = pack(values, columns)
    assert (np.diff(keys) > 0).all()
    np.testing.assert_array_equal(unpack(keys), values)
    np.testing.assert_array_equal(columns_of(keys), columns)
    zeros = pack(np.array([0.0, -0.0], np.float32), np.array([9, 8]))
    assert zeros[1] < zeros[0], "zeros of both signs tie"


def test_few_values_are_looked_at_twice(monkeypatch):
    """The pass over the groups leaves little to sort, in rows as in columns."""
    taken = []
    monkeypatch.setattr(packed_topk, "pack", lambda v, c: taken.append(np.size(v)) or pack(v, c))
    values = torch.from_numpy(matrix("random", 128, 16_384)).float()
    for transposed in (False, True):
        top = RunningTopK(128, 50, torch.float32, CPU)
        taken.clear()
        for first in range(0, 16_384, 4_096):
            tile = values[:, first : first + 4_096]
            top.merge(0, tile.T.contiguous().T if transposed else tile.contiguous(), first)
        assert sum(taken) < 128 * 50 * 4
