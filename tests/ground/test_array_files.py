"""Files of arrays: opened by their first bytes, mapped or read when asked for; nothing in them is run."""

import errno
import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file

from kernel_core.array_files import form_of, open_arrays
from kernel_core.errors import DataError
from tests.support.planted import Bomb

VALUES = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float16)


def saved(path, **arrays):
    """Write arrays in the form that the ending names, then take the ending away."""
    if path.suffix == ".npy":
        np.save(path, arrays["only"])
    elif path.suffix == ".safetensors":
        save_file(arrays, path, metadata={"run": "7"})
    else:
        (np.savez if path.suffix == ".npz" else np.savez_compressed)(path, **arrays)
        path = path if path.exists() else path.with_suffix(path.suffix + ".npz")
    return path.rename(path.parent / "file")


@pytest.mark.parametrize(
    ("name", "form", "mapped"),
    [
        ("a.npy", "npy", True),
        ("a.npz", "npz", True),
        ("a.packed", "npz", False),
        ("a.safetensors", "safetensors", True),
    ],
)
def test_array_is_found_whatever_the_ending(tmp_path, name, form, mapped):
    path = saved(tmp_path / name, only=VALUES)
    file = open_arrays(path, "logits")
    assert file.form == form_of(path) == form
    assert list(file.arrays) == ["" if form == "npy" else "only"]
    array = next(iter(file.arrays.values()))
    np.testing.assert_array_equal(array, VALUES)
    assert isinstance(array, np.memmap) == mapped
    assert file.metadata == ({"run": "7"} if form == "safetensors" else {})


@pytest.mark.parametrize(
    "change", [np.asfortranarray, lambda a: a.astype(">f4"), lambda a: a > 0, lambda a: a[:0]]
)
@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.packed"])
def test_order_of_bytes_and_axes_is_kept(tmp_path, name, change):
    path = saved(tmp_path / name, only=change(VALUES))
    (array,) = open_arrays(path, "logits").arrays.values()
    np.testing.assert_array_equal(array, change(VALUES))
    assert array.dtype == change(VALUES).dtype


def test_bfloat16_becomes_float32(tmp_path):
    tensor = torch.from_numpy(VALUES).bfloat16()
    save_torch_file(
        {"a": tensor, "e": torch.zeros(0, 3), "f8": tensor.to(torch.float8_e4m3fn)}, tmp_path / "f"
    )
    arrays = open_arrays(tmp_path / "f", "features").arrays
    np.testing.assert_array_equal(arrays["a"], tensor.float().numpy())
    assert arrays["e"].shape == (0, 3)
    with pytest.raises(DataError, match=r"'f8': it holds F8_E4M3; expected one of BOOL, F16"):
        arrays["f8"]


def test_unasked_array_is_not_read(tmp_path):
    """One member is damaged, the other is not."""
    np.savez_compressed(tmp_path / "a.npz", good=VALUES, bad=VALUES)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        start = archive.getinfo("bad.npy").header_offset
    raw = bytearray((tmp_path / "a.npz").read_bytes())
    raw[start + 60 : start + 70] = bytes(10)
    (tmp_path / "a.npz").write_bytes(raw)
    arrays = open_arrays(tmp_path / "a.npz", "features").arrays
    np.testing.assert_array_equal(arrays["good"], VALUES)
    with pytest.raises(DataError, match=r"a\.npz is damaged, .*'bad': .*expected features"):
        arrays["bad"]


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_python_objects_are_never_read(tmp_path, name):
    proof = tmp_path / "code-was-run"
    objects = np.array([Bomb(proof)], dtype=object)
    if name == "a.npy":
        np.save(tmp_path / name, objects, allow_pickle=True)
    else:
        np.savez_compressed(tmp_path / name, logits=objects)
    file = open_arrays(tmp_path / name, "logits")
    with pytest.raises(DataError, match="it holds Python objects, which are never read"):
        list(file.arrays.values())
    assert not proof.exists()


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.packed", "a.safetensors"])
def test_file_cut_short_is_refused(tmp_path, name):
    path = saved(tmp_path / name, only=VALUES)
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 40):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"file is "):
            list(open_arrays(path, "logits").arrays.values())


def npy(shape, data=b""):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + data


def test_header_that_claims_terabytes_makes_no_room_for_them(tmp_path):
    (tmp_path / "a.npy").write_bytes(npy((10**12,)))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("claims.npy", npy((10**12,)))
        archive.writestr("bursts.npy", npy((20_000_000,), bytes(160_000_000)))
        archive.writestr("negative.npy", npy((-1,)))
    for path, name, message in (
        ("a.npy", "", "it is cut short"),
        ("a.npz", "claims", "it is cut short"),
        ("a.npz", "bursts", r"unpacks from [\d,]+ to 160,000,128 bytes"),
        ("a.npz", "negative", "it is cut short"),
    ):
        with pytest.raises(DataError, match=message):
            open_arrays(tmp_path / path, "features").arrays[name]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is an empty file; expected features"),
        (b"\x07\x08", "is none of .npy, .npz and .safetensors; expected features"),
        (b"a,b\n1,2\n", "is plain text"),
        (pickle.dumps(1), "is a Python pickle; expected features"),
        (b"PK\x03\x04 no archive", "is a zip archive that is cut short"),
        (b"\x93NUMPY\x01\x00", "is damaged"),
        (b"\x93NUMPY\x09\x00\x10\x00" + bytes(16), "is damaged"),
        ((2).to_bytes(8, "little") + b"{", "is damaged"),
        ((2).to_bytes(8, "little") + b"{}x", "is damaged"),
        ((99).to_bytes(8, "little") + json.dumps({"a": {"dtype": "F16"}}).encode().ljust(99), "is damaged"),
    ],
)  # fmt: skip
def test_other_content_is_refused(tmp_path, content, message):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(open_arrays(tmp_path / "f", "features").arrays.values())


@pytest.mark.parametrize("zipped", [True, False])
def test_file_of_torch_is_told_apart_from_npz(tmp_path, zipped):
    torch.save({"a": torch.zeros(2)}, tmp_path / "f.npz", _use_new_zipfile_serialization=zipped)
    assert form_of(tmp_path / "f.npz") == "torch"
    with pytest.raises(DataError, match=r"is a torch file.*; expected features"):
        open_arrays(tmp_path / "f.npz", "features")


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        open_arrays(tmp_path / "absent.npy", "features")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is a pipe"):
        open_arrays(tmp_path / "pipe", "features")


def test_file_that_does_not_fit_is_not_called_damaged(tmp_path, monkeypatch):
    def run_short(*_, **__):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    np.save(tmp_path / "a.npy", np.ones(3))
    monkeypatch.setattr(np, "memmap", run_short)
    with pytest.raises(DataError, match=r"was not read \(it does not fit into the .* Close other") as refused:
        open_arrays(tmp_path / "a.npy", "numbers").arrays[""]
    assert "damaged" not in str(refused.value)
