"""Logits in every form that people have: whatever the file, the same runs in the same order."""

import os
import resource

import numpy as np
import pytest
import torch
from safetensors.torch import save_file as save_torch_file

from kernel_core.ensembles.opening import open_ensemble
from kernel_core.errors import DataError
from kernel_core.pipeline import build
from kernel_core.results.keys import plan_keys
from kernel_core.results.store import Store
from kernel_core.similarity.kernel_rows import KernelRows
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest
from tests.support import oracle

RNG = np.random.default_rng(0)
TEST = RNG.normal(size=(12, 9, 4)).astype(np.float32)  # 12 runs: run-10 and run-11 come after run-2
TRAIN = RNG.normal(size=(12, 15, 4)).astype(np.float32)


def together(ensemble, split):
    return np.concatenate([np.asarray(part[split]) for part in ensemble.parts])


def npy_per_split(folder):
    np.save(folder / "logits_test.npy", TEST)
    np.save(folder / "logits_train.npy", TRAIN)


def npz(folder):
    np.savez(folder / "a.npz", logits=TEST[:5], logits_train=TRAIN[:5], label_ids=np.arange(9))
    np.savez_compressed(folder / "b.npz", test=TEST[5:], train=TRAIN[5:])


def safetensors(folder):
    content = {"test_logits": torch.from_numpy(TEST), "train_logits": torch.from_numpy(TRAIN)}
    save_torch_file(content, folder / "all.safetensors")


def bare_tensors(folder):
    for split, values in (("train", TRAIN), ("test", TEST)):
        (folder / split).mkdir()
        torch.save(torch.from_numpy(values), folder / split / "all.pt")


def legacy_torch(folder):
    content = {"logits": torch.from_numpy(TEST), "logits_train": torch.from_numpy(TRAIN)}
    torch.save(content, folder / "log.pt", _use_new_zipfile_serialization=False)


def odd_arrays(folder):
    np.save(folder / "x-test.npy", TEST.astype(">f8"))
    np.save(folder / "x-train.npy", np.asfortranarray(TRAIN))


def file_per_run(folder):
    for run in range(12):
        np.save(folder / f"run-{run}_test.npy", TEST[run])
        np.save(folder / f"run-{run}_train.npy", TRAIN[run : run + 1])


def archive_per_run(folder):
    for run in range(12):
        np.savez(folder / f"run-{run}.npz", logits=TEST[run], logits_train=TRAIN[run])


def dict_per_run(folder):
    for run in range(12):
        content = {"logits": torch.from_numpy(TEST[run]), "logits_train": torch.from_numpy(TRAIN[run])}
        torch.save(content, folder / f"run-{run}.pt")


FORMS = [npy_per_split, npz, safetensors, bare_tensors, legacy_torch, odd_arrays, file_per_run,
         archive_per_run, dict_per_run]  # fmt: skip


def source(folder, *lines, files="logits/**/*.*"):
    """Return a source of the files below logits/; nothing reads its images."""
    (folder / "source.toml").write_text(
        '[images]\ntrain = "train.parquet"\ntest = "test.parquet"\n'
        + "\n".join(["[ensemble]", f'files = ["{files}"]', *lines])
    )
    return open_source(SourceRequest(str(folder)))


def opened(folder, *lines, files="logits/**/*.*"):
    of = source(folder, *lines, files=files)
    return open_ensemble(of.logits, of.root, of.images.splits, of.logit_form)


@pytest.fixture
def logits(tmp_path):
    (tmp_path / "logits").mkdir()
    return tmp_path / "logits"


@pytest.mark.parametrize("write", FORMS)
def test_every_form_gives_the_same_runs(tmp_path, logits, write):
    write(logits)
    ensemble = opened(tmp_path)
    np.testing.assert_array_equal(together(ensemble, "test"), TEST)
    np.testing.assert_array_equal(together(ensemble, "train"), TRAIN)
    first = ensemble.first(11)
    np.testing.assert_array_equal(together(first, "train"), TRAIN[:11])
    rows = KernelRows(ensemble, "train")
    np.testing.assert_array_equal(rows.read(3, 8, slice(2, 12)), TRAIN[2:, 3:8])


@pytest.mark.parametrize("save", ["torch", "safetensors"])
def test_bfloat16_is_read_as_float32(tmp_path, logits, save):
    content = {
        "logits": torch.from_numpy(TEST).bfloat16(),
        "logits_train": torch.from_numpy(TRAIN).bfloat16(),
    }
    (torch.save if save == "torch" else save_torch_file)(content, logits / "log")
    ensemble = opened(tmp_path, files="logits/log")
    assert ensemble.parts[0]["test"].dtype == np.float32
    np.testing.assert_array_equal(together(ensemble, "test"), content["logits"].float().numpy())


def test_slices_parameters_and_float64_of_torch_are_read(tmp_path, logits):
    storage = torch.from_numpy(np.concatenate([TEST, TEST, TEST])).double()
    content = {"logits": storage[12:24], "logits_train": torch.nn.Parameter(torch.from_numpy(TRAIN))}
    torch.save(content, logits / "log.pt")
    ensemble = opened(tmp_path)
    assert ensemble.parts[0]["test"].dtype == np.float64
    np.testing.assert_array_equal(together(ensemble, "test"), TEST)
    np.testing.assert_array_equal(together(ensemble, "train"), TRAIN)


def test_other_names_are_given_in_the_toml(tmp_path, logits):
    np.savez(logits / "a.npz", preds=TEST, more=TRAIN)
    with pytest.raises(DataError, match=r"'logits' is missing \(found: \['more', 'preds'\]\).*write keys = "):
        opened(tmp_path)
    ensemble = opened(tmp_path, 'keys = { test = "preds", train = "more" }')
    np.testing.assert_array_equal(together(ensemble, "train"), TRAIN)


def test_test_split_alone_needs_no_training_logits(tmp_path, logits):
    for run in range(12):
        np.save(logits / f"run-{run}.npy", TEST[run])
    with pytest.raises(DataError, match=r"run-0\.npy holds test logits alone.*run-0_train\.npy"):
        opened(tmp_path)
    ensemble = opened(tmp_path, 'splits = ["test"]')
    assert len(ensemble.parts) == 1, "files of one run each are read together"
    np.testing.assert_array_equal(together(ensemble, "test"), TEST)
    assert ensemble.name_of(0, 10) == "logits/run-10.npy"


def test_two_files_of_one_split_of_the_same_runs_are_refused(tmp_path, logits):
    for name in ("run-0_test.npy", "run-0_val.npy", "run-0_train.npy"):
        np.save(logits / name, TEST)
    with pytest.raises(DataError, match=r"run-0_val\.npy and .*run-0_test\.npy are both test logits"):
        opened(tmp_path)


def test_runs_of_other_shapes_are_named(tmp_path, logits):
    file_per_run(logits)
    np.save(logits / "run-7_test.npy", TEST[7, :8])
    with pytest.raises(DataError, match=r"run-7_test\.npy: its test logits have 8 examples × 4 classes, but"):
        opened(tmp_path)


def test_infinite_logit_of_a_run_is_named_by_its_file(source_folder, cache, planted):
    for run in range(24):
        values = {"logits": planted.test[run], "logits_train": planted.train[run].copy()}
        if run == 11:
            values["logits_train"][5, 2] = np.nan
        np.savez(source_folder / f"run-{run}.npz", **values)
    text = (source_folder / "source.toml").read_text()
    (source_folder / "source.toml").write_text(text.replace("runs/*/log.pt", "run-*.npz"))
    with pytest.raises(
        DataError, match=r"^run-11\.npz: the train logit of run 11, example 5, class 2 is nan"
    ):
        build(SourceRequest(str(source_folder)))


@pytest.mark.parametrize("write", ["npz", "npy"])
def test_build_of_a_file_per_run_finds_the_planted_neighbors(source_folder, cache, planted, write):
    for run in range(24):
        if write == "npz":
            np.savez(
                source_folder / f"run-{run}.npz", logits=planted.test[run], logits_train=planted.train[run]
            )
        else:
            np.save(source_folder / f"run-{run}-test.npy", planted.test[run])
            np.save(source_folder / f"run-{run}-train.npy", planted.train[run])
    text = (source_folder / "source.toml").read_text()
    (source_folder / "source.toml").write_text(text.replace("runs/*/log.pt", f"run-*.{write}"))
    neighbors = build(SourceRequest(str(source_folder))).neighbors_by("kernel")
    oracle.assert_neighbors(
        neighbors.indices, neighbors.values, oracle.kernel(planted.test, planted.train), 1e-6
    )


def test_many_files_of_one_run_do_not_stay_open(tmp_path, logits):
    for run in range(600):
        np.save(logits / f"run-{run}.npy", TEST[run % 12] + run)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))  # other tests of this process hold files too
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 100, limits[1]))
    try:
        ensemble = opened(tmp_path, 'splits = ["test"]')
        values = together(ensemble, "test")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert [len(part["test"]) for part in ensemble.parts] == [500, 100]
    np.testing.assert_array_equal(values[599], TEST[599 % 12] + 599)


def test_numbers_in_names_are_sorted_as_numbers(tmp_path):
    for name in ("run-10/log.pt", "run-9/log.pt", "run-9b/log.pt", "part-010/log.pt", "part-002/log.pt"):
        (tmp_path / "logits" / name).parent.mkdir(parents=True)
        (tmp_path / "logits" / name).write_bytes(b"")
    names = [path.parent.name for path in source(tmp_path, files="logits/*/log.pt").logits]
    assert names == ["part-002", "part-010", "run-9", "run-9b", "run-10"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (TEST.astype(int), "holds int64; expected float16"),
        (TEST.astype(complex), "holds complex128; expected float16"),
        (
            TEST[0, 0],
            r"float32 \(4,\); expected \(runs, examples, classes\), or \(examples, classes\) of one run",
        ),
        (TEST[:0], "none of them 0"),
        (TEST.astype("U4"), "holds <U4; expected float16"),
    ],
)
def test_array_of_another_kind_is_refused(tmp_path, logits, values, message):
    np.save(logits / "a.npy", values)
    with pytest.raises(DataError, match=message):
        opened(tmp_path, 'splits = ["test"]')


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"logits": TEST, "logits_train": TRAIN}, r"holds NumPy arrays.* Save torch\.from_numpy\(array\)"),
        (
            {"logits": list(torch.from_numpy(TEST)), "logits_train": 1},
            r"'logits' is a list; .*Save torch\.stack",
        ),
        (list(torch.from_numpy(TEST)), "holds a list; expected a dict"),
    ],
)
def test_other_content_of_torch_gets_advice(tmp_path, logits, content, message):
    torch.save(content, logits / "log.pt")
    with pytest.raises(DataError, match=message):
        opened(tmp_path)


@pytest.mark.parametrize("size", [0.2, 0.5, 0.99])
def test_old_file_of_torch_cut_short_is_refused(tmp_path, logits, size):
    legacy_torch(logits)
    whole = (logits / "log.pt").read_bytes()
    (logits / "log.pt").write_bytes(whole[: int(size * len(whole))])
    with pytest.raises(DataError, match=r"log\.pt is "):
        opened(tmp_path)


def test_old_file_of_torch_with_vast_plain_values_is_refused(tmp_path, logits):
    torch.save({"x": b"x" * 20_000_000}, logits / "log.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(DataError, match="holds more than 16 MB of plain values"):
        opened(tmp_path)


def test_keys_name_the_form_where_it_is_not_the_default(source_folder, cache):
    def content():
        request = SourceRequest(str(source_folder))
        return plan_keys(open_source(request), request, Store()).inputs["kernel"]

    text = (source_folder / "source.toml").read_text()
    assert "form" not in content()
    for line in ('kind = "logits"', 'keys = { trained_on = "x" }'):
        (source_folder / "source.toml").write_text(text.replace("[ensemble]", f"[ensemble]\n{line}"))
        assert "form" not in content()
    (source_folder / "source.toml").write_text(
        text.replace("[ensemble]", '[ensemble]\nkind = "probabilities"')
    )
    assert content()["form"] == {"kind": "probabilities"}


def as_kind(values, kind):
    p = np.exp(values - values.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return p if kind == "probabilities" else np.log(p)


@pytest.mark.parametrize("kind", ["probabilities", "log-probabilities"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernel_of_probabilities_is_that_of_logits(tmp_path, logits, kind, dtype):
    """Held against the correlations of the logits in float64."""
    for split, values in (("test", TEST), ("train", TRAIN)):
        np.save(logits / f"{split}.npy", as_kind(values.astype(np.float64), kind).astype(dtype))
    ensemble = opened(tmp_path, f'kind = "{kind}"')
    query, database = (
        KernelRows(ensemble, split).block(0, n, torch.device("cpu"))
        for split, n in (("test", 9), ("train", 15))
    )
    np.testing.assert_allclose(query @ database.T, oracle.kernel(TEST, TRAIN), atol=2e-6)


@pytest.mark.parametrize("shape", [(12, 9), (12, 9, 1)])
def test_sigmoid_output_becomes_two_columns(tmp_path, logits, shape):
    np.save(logits / "z.npy", TEST[:, :, 0].reshape(shape))
    ensemble = opened(tmp_path, 'kind = "sigmoid"', 'splits = ["test"]')
    expected = np.stack([np.zeros_like(TEST[..., 0]), TEST[..., 0]], -1)
    np.testing.assert_array_equal(together(ensemble, "test"), expected)


def test_sigmoid_output_of_one_run_per_file(tmp_path, logits):
    for run in range(12):
        np.save(logits / f"{run}.npy", TEST[run, :, 0] if run % 2 else TEST[run, :, :1])
    ensemble = opened(tmp_path, 'kind = "sigmoid"', 'splits = ["test"]')
    np.testing.assert_array_equal(together(ensemble, "test")[..., 1], TEST[..., 0])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_probability_of_zero_gets_half_the_smallest_number(tmp_path, logits, dtype):
    p = np.full((2, 3, 2), 0.5, dtype)
    p[1, 2] = 0, 1
    np.save(logits / "p.npy", p)
    ensemble = opened(tmp_path, 'kind = "probabilities"', 'splits = ["test"]')
    smallest = np.log(np.float64(np.finfo(dtype).smallest_subnormal)) - np.log(2)
    assert together(ensemble, "test")[1, 2, 0] == pytest.approx(smallest)
    assert together(ensemble, "test")[1, 2, 1] == 0


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("probabilities", r"p\.npy holds -\d.* as a probability.*expected 0 to 1"),
        ("log-probabilities", r"p\.npy holds \d.* as the log of a probability.*expected at most 0"),
        ("sigmoid", r"p\.npy is float32 \(12, 9, 4\); expected \(runs, examples\)"),
    ],
)
def test_numbers_that_are_not_of_the_kind_are_refused(tmp_path, logits, kind, message):
    np.save(logits / "p.npy", TEST)
    with pytest.raises(DataError, match=message):
        together(opened(tmp_path, f'kind = "{kind}"', 'splits = ["test"]'), "test")


def test_conversion_holds_a_block_in_memory_not_the_file(tmp_path, logits):
    """Reading some examples of some runs asks the file for these alone."""
    np.save(logits / "p.npy", as_kind(TEST, "probabilities"))
    ensemble = opened(tmp_path, 'kind = "probabilities"', 'splits = ["test"]')
    assert not isinstance(ensemble.parts[0]["test"], np.ndarray)
    block = np.asarray(ensemble.parts[0]["test"][3:7][1:, 2:5])
    np.testing.assert_allclose(block, as_kind(TEST, "log-probabilities")[4:7, 2:5], rtol=1e-5)
