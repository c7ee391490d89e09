"""Files of logits and features: damaged or foreign ones are refused, and no code in them is ever run."""

import pickle
import zipfile

import numpy as np
import pytest
import torch

from kernel_core.ensembles.opening import open_ensemble
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


def test_refusal_names_what_the_pickle_asks_for(tmp_path):
    torch.save({"logits": Bomb(tmp_path / "code-was-run")}, tmp_path / "log.pt")
    with pytest.raises(DataError, match=r"it asks for posix\.mkdir\)\. Nothing in it was run"):
        open_ensemble((tmp_path / "log.pt",))


def rezip(path, how=zipfile.ZIP_STORED, **members):
    """Write the members of a torch file anew. members: end of a name, its dot as _, to other content."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, data in content.items():
            archive.writestr(name, members.get(name.rpartition("/")[2].replace(".", "_"), data))


@pytest.mark.parametrize(
    ("how", "members", "message"),
    [
        (zipfile.ZIP_DEFLATED, {}, r"data\.pkl in it is compressed, which torch.save never does"),
        (zipfile.ZIP_STORED, {"data_pkl": bytes(17_000_000)}, "it holds 17 MB of plain values; expected"),
        (zipfile.ZIP_STORED, {"data_pkl": b"(" * 10**5 + b"l" * 10**5 + b"."}, "is refused|is damaged"),
        (zipfile.ZIP_STORED, {"data_pkl": b"\x80\x02}q\x00."}, "'logits' is missing"),
    ],
)
def test_archive_that_bursts_is_refused_before_it_is_unpacked(tmp_path, how, members, message):
    path = tmp_path / "log.pt"
    write_log(path, *LOGS)
    rezip(path, how, **members)
    with pytest.raises(DataError, match=message):
        open_ensemble((path,))


def test_archive_that_claims_more_than_its_size_is_refused(tmp_path):
    path = tmp_path / "log.pt"
    write_log(path, *LOGS)
    raw = path.read_bytes()
    start = raw.rindex(b"PK\x01\x02", 0, raw.rindex(b"PK\x05\x06"))  # the last entry of the directory
    path.write_bytes(raw[: start + 20] + (10**9).to_bytes(4, "little") * 2 + raw[start + 28 :])
    with pytest.raises(DataError, match=r"its [\d,]+ bytes unpack to 1,000,0|is damaged"):
        open_ensemble((path,))


def test_expanded_tensor_is_refused_at_once(tmp_path):
    one = torch.zeros(1, 1, 1).half()
    torch.save(
        {"logits": one.expand(10**9, 5, 4), "logits_train": one.expand(10**9, 7, 4)}, tmp_path / "log.pt"
    )
    with pytest.raises(DataError, match=r"40,000,000,000 bytes, but the file holds 2 bytes of it"):
        open_ensemble((tmp_path / "log.pt",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.to(torch.float8_e4m3fn), "holds torch.float8_e4m3fn; expected float16 or float32"),
        (lambda t: t.to(torch.complex64), "holds torch.complex64"),
        (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "holds torch.qint8"),
        (lambda t: t.to_sparse(), "is a sparse tensor; expected a dense one"),
        (lambda t: t.to("meta"), "is a meta tensor"),
    ],
)
def test_tensor_of_another_kind_is_refused(tmp_path, change, message):
    torch.save(
        {"logits": change(torch.zeros(3, 5, 4)), "logits_train": torch.zeros(3, 7, 4)}, tmp_path / "log.pt"
    )
    with pytest.raises(DataError, match=message):
        open_ensemble((tmp_path / "log.pt",))


def test_negative_view_and_gradients_are_read(tmp_path):
    test, train = torch.randn(3, 5, 4), torch.randn(3, 7, 4)
    torch.save(
        {"logits": torch._neg_view(test), "logits_train": train.clone().requires_grad_()},
        tmp_path / "log.pt",
    )
    (part,) = open_ensemble((tmp_path / "log.pt",)).parts
    np.testing.assert_array_equal(part["test"], -test)
    np.testing.assert_array_equal(part["train"], train)


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
            "runs per split are {'test': 1, 'train': 3}",
        ),
        ({"logits": torch.zeros(3, 5, 4).int(), "logits_train": torch.zeros(3, 5, 4)}, "holds torch.int32"),
        ([torch.zeros(3, 5, 4)], "holds a list"),
        ({1: 2, "a": 3, ("b", 4): 5}, r"'logits' is missing \(found: \["),
        ({"k" * 10**6: 1}, r"'logits' is missing \(found: \['k{50,200}"),
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
