"""Neighbors that the source's owner gives, as scores and as tables, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import torch

from kernel_core.errors import DataError
from kernel_core.search.scores import top_k_of_scores
from kernel_core.sources.given import open_given
from kernel_core.sources.source import Given

rng = np.random.default_rng(4)
COUNTS = {"test": 7, "train": 20}
SCORES = rng.normal(size=(7, 20)).astype(np.float32).round(1)  # many ties


def given(path, query="test", database="train"):
    return open_given(Given("trak", "TRAK", path, query, database), COUNTS)


def nearest(scores, k):
    """Indices of the k largest of each row, ties by index, the plain way."""
    return np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32])
@pytest.mark.parametrize("block", [1, 1000, 10**9])
def test_top_k_of_scores_is_that_of_the_whole_matrix(tmp_path, dtype, block, monkeypatch):
    monkeypatch.setattr("kernel_core.search.scores.BLOCK_BYTES", block)
    scores = (SCORES * 10).astype(dtype)
    np.save(tmp_path / "s.npy", scores)
    found = given(tmp_path / "s.npy")
    top = top_k_of_scores(found.scores, 5, "TRAK", exclude_self=False)
    np.testing.assert_array_equal(top.indices, nearest(scores, 5))
    np.testing.assert_array_equal(top.values, np.take_along_axis(scores, nearest(scores, 5), 1))
    np.testing.assert_array_equal(found.scores_of("test", 3, "train"), scores[3])
    np.testing.assert_array_equal(found.scores_of("train", 3, "test"), scores[:, 3])
    assert found.scores_of("test", 3, "test") is None


def test_no_row_is_its_own_neighbor(tmp_path):
    scores = SCORES[:, :7].copy()
    np.fill_diagonal(scores, 99)
    np.save(tmp_path / "s.npy", scores)
    found = given(tmp_path / "s.npy", database="test")
    top = top_k_of_scores(found.scores, 50, "TRAK", exclude_self=True)
    np.fill_diagonal(scores, -np.inf)
    np.testing.assert_array_equal(top.indices, nearest(scores, 6))


@pytest.mark.parametrize("block", [1, 600, 10**9])
@pytest.mark.parametrize("lies", ["row after row", "column after column"])
@pytest.mark.parametrize("query", ["test", "train"])
def test_datamodels_of_a_torch_file_are_read_as_their_authors_save_them(
    tmp_path, monkeypatch, block, lies, query
):
    monkeypatch.setattr("kernel_core.search.scores.BLOCK_BYTES", block)
    n, is_own = COUNTS[query], query == "train"
    weight = rng.normal(size=(20, n)).astype(np.float32)
    weight[rng.random(weight.shape) < 0.6] = 0  # as the lasso leaves them: many ties
    tensor = torch.from_numpy(weight)
    stored = tensor if lies == "row after row" else tensor.T.contiguous().T
    torch.save({"weight": stored, "bias": torch.zeros(n), "lam": torch.ones(n)}, tmp_path / "d.pt")
    found = given(tmp_path / "d.pt", query)
    assert isinstance(found.scores, np.memmap)
    wanted = weight.T.copy()
    if is_own:
        np.fill_diagonal(wanted, -np.inf)
    top = top_k_of_scores(found.scores, 5, "datamodels", exclude_self=is_own)
    np.testing.assert_array_equal(top.indices, nearest(wanted, 5))
    np.testing.assert_array_equal(top.values, np.take_along_axis(wanted, nearest(wanted, 5), 1))
    np.testing.assert_array_equal(found.scores_of(query, 3, "train"), weight[:, 3])


def test_matrix_of_a_torch_file_has_a_row_per_query(tmp_path):
    torch.save(torch.from_numpy(SCORES), tmp_path / "s.pt")
    np.testing.assert_array_equal(given(tmp_path / "s.pt").scores, SCORES)
    torch.save({"weight": torch.from_numpy(SCORES)}, tmp_path / "s.pt")
    with pytest.raises(DataError, match=r"holds float32 \(20, 7\); expected real numbers \(7, 20\)"):
        given(tmp_path / "s.pt")
    torch.save({"weight": torch.full((20, 7), np.nan)}, tmp_path / "s.pt")
    with pytest.raises(DataError, match="row 0, column 0 is not a number"):
        top_k_of_scores(given(tmp_path / "s.pt").scores, 5, "datamodels", exclude_self=False)


def test_scores_that_do_not_fit_are_refused(tmp_path):
    np.save(tmp_path / "s.npy", SCORES.T)
    with pytest.raises(DataError, match=r"expected real numbers \(7, 20\).*It is the transpose"):
        given(tmp_path / "s.npy")
    np.save(tmp_path / "s.npy", np.where(SCORES == SCORES.max(), np.nan, SCORES))
    with pytest.raises(DataError, match="is not a number"):
        top_k_of_scores(given(tmp_path / "s.npy").scores, 5, "TRAK", exclude_self=False)
    np.savez(tmp_path / "s.npz", a=SCORES, b=SCORES)
    with pytest.raises(DataError, match=r"the arrays \['a', 'b'\]; expected a matrix of scores"):
        given(tmp_path / "s.npz")


INDICES = nearest(SCORES, 4)
VALUES = np.take_along_axis(SCORES, INDICES, 1)


def as_npz(path):
    np.savez(path / "t.npz", indices=INDICES, values=VALUES)
    return path / "t.npz"


def as_table(path, ending):
    rows = pd.DataFrame(
        {
            "query_index": np.repeat(np.arange(7), 4),
            "database_index": INDICES.ravel(),
            "similarity": VALUES.ravel(),
        }
    )
    rows = rows.sample(frac=1, random_state=1).sort_values("database_index", kind="stable")
    if ending == "csv":
        rows.to_csv(path / "t.csv", index=False)
    else:
        rows.to_parquet(path / "t.parquet")
    return path / f"t.{ending}"


@pytest.mark.parametrize("store", [as_npz, lambda p: as_table(p, "csv"), lambda p: as_table(p, "parquet")])
def test_table_of_neighbors_is_read_nearest_first(store, tmp_path):
    found = given(store(tmp_path))
    np.testing.assert_array_equal(found.indices, INDICES)
    np.testing.assert_allclose(found.values, VALUES, rtol=1e-6)
    assert found.scores_of("test", 0, "train") is None


def test_table_without_values_keeps_its_order(tmp_path):
    np.savez(tmp_path / "t.npz", indices=INDICES)
    found = given(tmp_path / "t.npz")
    np.testing.assert_array_equal(found.indices, INDICES)
    np.testing.assert_allclose(found.values[0], [1, 1 / 2, 1 / 3, 1 / 4])


@pytest.mark.parametrize(
    ("indices", "values", "message"),
    [
        (INDICES[:5], None, r"expected whole numbers \(7, k\)"),
        (INDICES + 0.5, None, "expected whole numbers"),
        (np.where(INDICES == 3, 20, INDICES), None, r"is 20; expected a train example, 0 … 19"),
        (INDICES, VALUES[:, :2], "one per neighbor"),
        (INDICES, VALUES * np.nan, "finite numbers"),
    ],
)
def test_table_that_does_not_fit_is_refused(tmp_path, indices, values, message):
    arrays = {"indices": indices} if values is None else {"indices": indices, "values": values}
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(DataError, match=message):
        given(tmp_path / "t.npz")


def test_table_with_uneven_lists_or_other_columns_is_refused(tmp_path):
    pd.DataFrame({"query_index": [0, 0, 1], "database_index": [1, 2, 3]}).to_csv(tmp_path / "t.csv")
    with pytest.raises(DataError, match=r"neighbors of 2 queries, 1 to 2 each"):
        given(tmp_path / "t.csv")
    pd.DataFrame({"a": [1]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=r"the columns \['a'\]"):
        given(tmp_path / "t.csv")
    (tmp_path / "t.parquet").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="cannot be read as a table"):
        given(tmp_path / "t.parquet")
