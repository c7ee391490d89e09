"""Logits opened without torch, as pages do to read single examples: the same numbers, or a reason."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file as save_torch_file

from kernel_core.block_array import BlockArray
from kernel_core.ensembles import logit_files
from kernel_core.ensembles.opening import open_ensemble, open_light
from kernel_core.errors import DataError
from kernel_core.torch_places import tensors_in
from tests.ensembles.test_logit_forms import FORMS, TEST, TRAIN, legacy_torch, npz, source, together
from tests.support.planted import Bomb

MAPPED = [write for write in FORMS if write not in (npz, legacy_torch)]


@pytest.fixture
def logits(tmp_path, monkeypatch):
    def refuse(*_args):
        raise AssertionError("torch is not to be loaded")

    monkeypatch.setattr(logit_files, "_torch_content", refuse)
    (tmp_path / "logits").mkdir()
    return tmp_path / "logits"


def opened(folder, *lines, files="logits/**/*.*"):
    of = source(folder, *lines, files=files)
    return open_light(of.logits, of.root, of.images.splits, of.logit_form)


@pytest.mark.parametrize("write", MAPPED)
def test_every_form_that_can_be_mapped_gives_the_same_runs(tmp_path, logits, write):
    write(logits)
    ensemble = opened(tmp_path)
    assert all(isinstance(of, BlockArray) for part in ensemble.parts for of in part.values()), "nothing read"
    np.testing.assert_array_equal(together(ensemble, "test"), TEST)
    np.testing.assert_array_equal(together(ensemble, "train"), TRAIN)


@pytest.mark.parametrize("save", [torch.save, save_torch_file])
def test_bfloat16_is_read_as_float32(tmp_path, logits, save):
    content = {
        "logits": torch.from_numpy(TEST).bfloat16(),
        "logits_train": torch.from_numpy(TRAIN).bfloat16(),
    }
    save(content, logits / "log")
    found = together(opened(tmp_path, files="logits/log"), "test")
    np.testing.assert_array_equal(found, content["logits"].float().numpy())


def test_slices_and_parameters_of_torch_are_read(tmp_path, logits):
    storage = torch.from_numpy(np.concatenate([TEST, TEST, TEST])).double()
    content = {"logits": storage[12:24], "logits_train": torch.nn.Parameter(torch.from_numpy(TRAIN))}
    torch.save({**content, "accs": [0.5], "code": "# code"}, logits / "log.pt")
    np.testing.assert_array_equal(together(opened(tmp_path), "test"), TEST)
    np.testing.assert_array_equal(together(opened(tmp_path), "train"), TRAIN)


@pytest.mark.parametrize("kind", ["probabilities", "log-probabilities"])
def test_other_kinds_are_converted_as_a_build_does(tmp_path, logits, kind):
    p = np.exp(TEST) / np.exp(TEST).sum(-1, keepdims=True)
    np.savez(logits / "a.npz", logits=p if kind == "probabilities" else np.log(p))
    lines = f'kind = "{kind}"', 'splits = ["test"]'
    of = source(tmp_path, *lines)
    whole = open_ensemble(of.logits, of.root, of.images.splits, of.logit_form)
    np.testing.assert_array_equal(together(opened(tmp_path, *lines), "test"), together(whole, "test"))


@pytest.mark.parametrize(
    ("write", "why"),
    [(npz, r"b\.npz is compressed"), (legacy_torch, "cannot be read without torch")],
)
def test_what_would_be_read_whole_is_refused(tmp_path, logits, write, why):
    write(logits)
    with pytest.raises(DataError, match=why):
        opened(tmp_path)


def test_rows_that_have_names_are_refused(tmp_path, logits):
    ids = np.array([f"{i}.png" for i in range(9)])
    np.savez(logits / "a.npz", logits=TEST, filename=ids)
    with pytest.raises(DataError, match="names its rows"):
        opened(tmp_path, 'splits = ["test"]')
    (logits / "a.npz").unlink()
    (logits / "a.csv").write_text("filename,0,1\n0.png,0.5,0.5\n")
    with pytest.raises(DataError, match="is a table"):
        opened(tmp_path, 'splits = ["test"]')


def strided(folder):
    torch.save({"logits": torch.from_numpy(TEST).transpose(0, 1)}, folder / "log.pt")


def expanded(folder):
    torch.save({"logits": torch.zeros(1).expand(12, 9, 4)}, folder / "log.pt")


def bomb(folder):
    torch.save({"logits": torch.from_numpy(TEST), "more": Bomb(folder / "made")}, folder / "log.pt")


@pytest.mark.parametrize("write", [strided, expanded, bomb])
def test_odd_and_hostile_torch_files_are_refused_and_run_nothing(tmp_path, write):
    write(tmp_path)
    with pytest.raises(DataError, match="cannot be read without torch"):
        tensors_in(tmp_path / "log.pt")["logits"]()
    assert [path.name for path in tmp_path.iterdir()] == ["log.pt"]


@pytest.mark.parametrize("length", [0, 10, 300, 700])
def test_files_cut_short_are_refused(tmp_path, length):
    torch.save({"logits": torch.from_numpy(TEST)}, tmp_path / "log.pt")
    whole = (tmp_path / "log.pt").read_bytes()
    (tmp_path / "log.pt").write_bytes(whole[:length])
    with pytest.raises(DataError, match="cannot be read without torch"):
        tensors_in(tmp_path / "log.pt")


def test_damaged_files_are_refused_or_read_and_nothing_else(tmp_path):
    torch.save({"logits": torch.from_numpy(TEST), "logits_train": torch.from_numpy(TRAIN)}, tmp_path / "a")
    whole, rng = (tmp_path / "a").read_bytes(), np.random.default_rng(0)
    refused = 0
    for case in range(300):
        damaged, i = bytearray(whole), int(rng.integers(min(900, len(whole)) if case % 2 else len(whole)))
        damaged[i : i + int(rng.integers(1, 9))] = bytes(rng.integers(0, 256, 3).tolist())
        (tmp_path / "b").write_bytes(damaged)
        try:
            for find in tensors_in(tmp_path / "b").values():
                find().read()
        except DataError:
            refused += 1
    assert refused > 150
