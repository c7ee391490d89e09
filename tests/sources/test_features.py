"""Features in every form that they are stored in, and what is refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file

from kernel_core.errors import DataError
from kernel_core.sources.features import load_features
from kernel_core.sources.source import FeatureSet, penultimate

rng = np.random.default_rng(3)
TRAIN, TEST = (rng.normal(size=(n, 6)).astype(np.float32) for n in (9, 4))


def in_npy(folder):
    np.save(folder / "train.npy", TRAIN)
    np.save(folder / "test.npy", TEST)
    return {"train": folder / "train.npy", "test": folder / "test.npy"}


def in_npz(folder):
    np.savez(folder / "f.npz", train=TRAIN, test_features=TEST)
    return {"": folder / "f.npz"}


def in_npz_per_split(folder):
    for split, values in (("train", TRAIN), ("test", TEST)):
        np.savez(folder / f"{split}.npz", embeddings=values, other=np.zeros(3))
    return {split: folder / f"{split}.npz" for split in ("train", "test")}


def in_safetensors(folder):
    save_file({"features_train": TRAIN, "test": TEST}, folder / "f.safetensors")
    return {"": folder / "f.safetensors"}


def in_parquet(folder):
    lists = pa.array([*TRAIN.tolist(), *TEST.tolist()], pa.list_(pa.float32()))
    splits = ["train"] * len(TRAIN) + ["test"] * len(TEST)
    pq.write_table(pa.table({"split": splits, "embedding": lists, "id": range(13)}), folder / "f.parquet")
    return {"": folder / "f.parquet"}


def in_parquet_per_split(folder):
    for split, values in (("train", TRAIN), ("test", TEST)):
        lists = pa.FixedSizeListArray.from_arrays(values.ravel(), 6)
        pq.write_table(pa.table({"vector": lists}), folder / f"{split}.parquet")
    return {split: folder / f"{split}.parquet" for split in ("train", "test")}


@pytest.mark.parametrize(
    "store", [in_npy, in_npz, in_npz_per_split, in_safetensors, in_parquet, in_parquet_per_split]
)
def test_features_are_the_same_in_every_form(store, tmp_path):
    loaded = load_features(FeatureSet("clip", "CLIP", store(tmp_path), ("cosine",)))
    np.testing.assert_array_equal(loaded.values["train"], TRAIN)
    np.testing.assert_array_equal(loaded.values["test"], TEST)


def test_bfloat16_features_are_read_without_torch(tmp_path):
    values = torch.randn(5, 3).bfloat16()
    save_torch_file({"train": values.clone(), "test": values}, tmp_path / "f.safetensors", {"run": "7"})
    loaded = load_features(penultimate(tmp_path / "f.safetensors"))
    np.testing.assert_array_equal(loaded.values["test"], values.float())
    assert (loaded.run, loaded.layer) == ("7", "not named")


def test_one_array_serves_a_source_of_test_examples_alone(tmp_path):
    np.save(tmp_path / "f.npy", TEST)
    files = FeatureSet("clip", "CLIP", {"": tmp_path / "f.npy"}, ("cosine",))
    np.testing.assert_array_equal(load_features(files, ("test",)).values["test"], TEST)
    with pytest.raises(DataError, match="one array without a name; expected one called train"):
        load_features(files)


def test_damaged_features_are_refused(tmp_path, source_folder):
    path = source_folder / "penultimate.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match="damaged"):
        load_features(penultimate(path))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((5, 0), np.float32), "width of at least 1"),
        (np.zeros(5, np.float32), "two axes"),
        (np.full((5, 2), np.nan), "finite|nan|inf"),
        (np.zeros((5, 2), np.complex64), "complex64|C64"),
        (np.array([["a"]]), "expected numbers"),
    ],
)
def test_what_is_no_features_is_refused(tmp_path, values, message):
    np.savez(tmp_path / "f.npz", train=values, test=values)
    with pytest.raises(DataError, match=message):
        load_features(penultimate(tmp_path / "f.npz"))


def test_parquet_without_a_column_of_lists_is_refused(tmp_path):
    pq.write_table(pa.table({"split": ["train"], "x": [1.0]}), tmp_path / "f.parquet")
    with pytest.raises(DataError, match=r"the columns \['split', 'x'\]; expected features"):
        load_features(penultimate(tmp_path / "f.parquet"))
    ragged = pa.array([[1.0], [1.0, 2.0]])
    pq.write_table(pa.table({"split": ["train", "train"], "x": ragged}), tmp_path / "f.parquet")
    with pytest.raises(DataError, match="lists of one length"):
        load_features(penultimate(tmp_path / "f.parquet"))
