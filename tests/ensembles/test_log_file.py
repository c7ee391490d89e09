"""Files of logits and features: damaged or foreign ones are refused, and no code in them is ever run."""

import pickle

import numpy as np
import pytest
import torch

from kernel_core.ensembles.log_file import load_features, open_ensemble
from kernel_core.errors import DataError
from tests.support.planted import Bomb, write_log

LOGS = np.zeros((3, 5, 4), np.float16), np.zeros((3, 7, 4), np.float16)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent/log\.pt does not exist"):
        open_ensemble((tmp_path / "absent" / "log.pt",))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 not a zip", pickle.dumps({"logits": 1})])
def test_file_that_is_no_torch_file_is_refused(tmp_path, content):
    path = tmp_path / "log.pt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"log\.pt is"):
        open_ensemble((path,))


@pytest.mark.parametrize("kind", ["zip", "legacy", "bare pickle"])
def test_pickle_that_would_run_code_never_runs_it(tmp_path, kind):
    path, proof = tmp_path / "log.pt", tmp_path / "code-was-run"
    if kind == "bare pickle":
        path.write_bytes(pickle.dumps({"logits": Bomb(proof)}))
    else:
        torch.save({"logits": Bomb(proof)}, path, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(DataError, match=r"log\.pt is"):
        open_ensemble((path,))
    assert not proof.exists()


def test_truncated_file_is_refused(tmp_path):
    path = tmp_path / "log.pt"
    write_log(path, *LOGS)
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 100):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"log\.pt is damaged"):
            open_ensemble((path,))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"logits": torch.zeros(3, 5, 4)}, "'logits_train' is missing"),
        ({"logits": [1, 2], "logits_train": torch.zeros(3, 5, 4)}, "'logits' is a list"),
        (
            {"logits": torch.zeros(3, 5), "logits_train": torch.zeros(3, 5, 4)},
            r"test logits are float32 \(3, 5\)",
        ),
        ({"logits": torch.zeros(3, 5, 4).int(), "logits_train": torch.zeros(3, 5, 4)}, "holds torch.int32"),
        ([torch.zeros(3, 5, 4)], "holds a list"),
        ({"logits": torch.zeros(2, 5, 4), "logits_train": torch.zeros(3, 7, 4)}, "same runs in every split"),
        ({"logits": torch.zeros(0, 5, 4), "logits_train": torch.zeros(0, 7, 4)}, "none of them 0"),
    ],
)
def test_log_of_another_shape_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "log.pt")
    with pytest.raises(DataError, match=message):
        open_ensemble((tmp_path / "log.pt",))


def test_bfloat16_logits_are_read(tmp_path):
    logits = torch.randn(3, 5, 4).bfloat16()
    torch.save({"logits": logits, "logits_train": logits}, tmp_path / "log.pt")
    np.testing.assert_array_equal(open_ensemble((tmp_path / "log.pt",)).parts[0]["test"], logits.float())


def test_damaged_features_are_refused(tmp_path, source_folder):
    path = source_folder / "penultimate.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match="damaged or not a safetensors file"):
        load_features(path)
