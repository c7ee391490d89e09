"""A folder with the files of MadryLab/datamodels-data beside images is a source."""

import re

import numpy as np
import pytest
import torch

from kernel_core import run_hashes
from kernel_core.ensembles.opening import open_ensemble
from kernel_core.errors import DataError, RequestError, SourceError
from kernel_core.pipeline import build
from kernel_core.results.keys import plan_keys
from kernel_core.results.store import Store
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest
from tests.sources.test_images_alone import pictures
from tests.support.command import invoke

RNG = np.random.default_rng(5)
RUNS, TRAIN, TEST, C = 9, 24, 6, 2
LOGITS = {
    split: RNG.normal(size=(RUNS, n, C)).astype(np.float16) for split, n in (("train", TRAIN), ("test", TEST))
}
MASKS = RNG.random((RUNS, TRAIN)) < 0.5
WEIGHT = {split: RNG.normal(size=(TRAIN, of.shape[1])).astype(np.float32) for split, of in LOGITS.items()}


@pytest.fixture
def folder(tmp_path):
    """Images, and every file that is published for CIFAR-10, in a folder per kind as they are there."""
    pictures(tmp_path / "f" / "train")
    pictures(tmp_path / "f" / "test", count=3)
    for name in ("data", "datamodels"):
        (tmp_path / "f" / name).mkdir()
    np.save(tmp_path / "f" / "data" / "train_masks_50pct.npy", MASKS)
    for split, logits in LOGITS.items():
        np.save(tmp_path / "f" / "data" / f"{split}_logits_50pct.npy", logits)
        np.save(tmp_path / "f" / "data" / f"{split}_margins_50pct.npy", logits[..., 0] - logits[..., 1])
        n = logits.shape[1]
        content = {"weight": torch.from_numpy(WEIGHT[split]), "bias": torch.zeros(n), "lam": torch.ones(n)}
        torch.save(content, tmp_path / "f" / "datamodels" / f"{split}_50pct.pt")
    return tmp_path / "f"


def opened(folder, run_count=None):
    source = open_source(SourceRequest(str(folder)), offline=True)
    return source, open_ensemble(
        source.logits, source.root, source.images.splits, source.logit_form, run_count=run_count
    )


def test_folder_is_an_ensemble_with_masks_and_datamodels(folder, cache):
    source, ensemble = opened(folder)
    assert [path.name for path in source.logits] == ["test_logits_50pct.npy", "train_logits_50pct.npy"]
    np.testing.assert_array_equal(ensemble.parts[0]["train"], LOGITS["train"])
    np.testing.assert_array_equal(ensemble.trained_on.of_runs(slice(None)), MASKS)
    results = build(SourceRequest(str(folder)), device="cpu")
    assert set(results.neighbors) == {"kernel", "datamodels", "pixels"}, "the other runs train→train"
    nearest = np.argsort(-WEIGHT["test"].T, axis=1, kind="stable")
    np.testing.assert_array_equal(results.neighbors_by("datamodels").indices, nearest)
    own = build(SourceRequest(str(folder), query="train", similarities=("datamodels-train",)), device="cpu")
    weight = WEIGHT["train"].T.copy()
    np.fill_diagonal(weight, -np.inf)
    nearest = np.argsort(-weight, axis=1, kind="stable")[:, :-1]
    np.testing.assert_array_equal(own.neighbors_by("datamodels-train").indices, nearest)
    assert "of 24 train and 6 test examples" in invoke("check", str(folder)).output


def test_lines_of_a_source_toml_name_the_same_files(folder):
    (folder / "source.toml").write_text(
        '[images]\nfolder = "."\n[ensemble]\nfiles = ["data/*_logits_50pct.npy"]\n'
        'masks = "data/train_masks_50pct.npy"\n[neighbors.datamodels]\nfile = "datamodels/test_50pct.pt"\n'
    )
    source, ensemble = opened(folder)
    np.testing.assert_array_equal(ensemble.parts[0]["test"], LOGITS["test"])
    np.testing.assert_array_equal(ensemble.trained_on.of_runs(slice(None)), MASKS)
    assert [given.name for given in source.given] == ["datamodels"]


def test_of_few_runs_no_others_are_read(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(run_hashes, "WHOLE", 0)
    store = Store(tmp_path / "store")

    def known_by(runs):
        source = open_source(SourceRequest(str(folder)), offline=True)
        keys = plan_keys(source, SourceRequest(str(folder), run_count=runs), store)
        return [sha256 for _, sha256 in keys.inputs["kernel"]["files"]]

    before = known_by(4), known_by(5), known_by(None)
    path = folder / "data" / "train_logits_50pct.npy"
    changed = LOGITS["train"].copy()
    changed[4, 7, 1] += 1
    np.save(path, changed)
    masks = MASKS.astype(np.uint8)
    masks[4:] = 7  # no masks
    np.save(folder / "data" / "train_masks_50pct.npy", masks)
    assert known_by(4) == before[0]
    assert known_by(5)[0] == before[1][0], "the test logits are as they were"
    assert known_by(5)[1] != before[1][1]
    assert known_by(None)[1] != before[2][1]
    assert len({*before[0], *before[1], *before[2]}) == 6
    _, ensemble = opened(folder, 4)
    assert ensemble.run_count == ensemble.trained_on.run_count == 4
    with pytest.raises(DataError, match="other numbers than 0 and 1"):
        opened(folder, 5)


def test_build_of_few_runs_of_a_large_file_is_that_of_a_short_one(folder, cache, monkeypatch):
    whole = build(SourceRequest(str(folder), run_count=5), device="cpu")
    monkeypatch.setattr(run_hashes, "WHOLE", 0)
    first = build(SourceRequest(str(folder), run_count=5), device="cpu")
    assert first.id != whole.id
    np.testing.assert_array_equal(first.neighbors_by("kernel").values, whole.neighbors_by("kernel").values)
    with pytest.raises(RequestError, match="10 runs were asked for"):
        build(SourceRequest(str(folder), run_count=10), device="cpu")


def removed(folder, *names):
    for name in names:
        (folder / "data" / name).unlink()


MISSING = r"no (test|train)_logits_50pct\.npy"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train_logits_50pct.npy"], MISSING),
        (["train_logits_50pct.npy", "test_logits_50pct.npy"], r"Margins are one number per run and example"),
    ],
)
def test_margins_and_logits_of_one_split_are_refused(folder, names, message):
    removed(folder, *names)
    with pytest.raises(SourceError, match=message):
        open_source(SourceRequest(str(folder)))


def test_datamodels_alone_stand_beside_networks_trained_here(folder):
    for path in (folder / "data").iterdir():
        path.unlink()
    source = open_source(SourceRequest(str(folder)))
    assert source.logits.of_heads
    assert [given.name for given in source.given] == ["datamodels", "datamodels-train"]


def test_parts_of_two_sizes_and_a_folder_without_images_are_refused(folder, tmp_path):
    np.save(folder / "train_masks_10pct.npy", MASKS)
    with pytest.raises(SourceError, match="10pct, 50pct"):
        open_source(SourceRequest(str(folder)))
    alone = tmp_path / "alone"
    alone.mkdir()
    (folder / "data").rename(alone / "data")
    with pytest.raises(SourceError, match=re.escape('masks = "data/train_masks_50pct.npy"')) as error:
        open_source(SourceRequest(str(alone)))
    assert '["data/test_logits_50pct.npy", "data/train_logits_50pct.npy"]' in str(error.value)


def test_margins_named_as_logits_are_refused(folder):
    (folder / "source.toml").write_text(
        '[images]\nfolder = "."\n[ensemble]\nfiles = ["data/*_margins_50pct.npy"]\n'
    )
    with pytest.raises(DataError, match=r"\(9, 6\) and holds margins, as its name says.*Expected logits"):
        opened(folder)


def test_runs_of_a_store_that_are_not_completed_are_refused(folder):
    done = np.ones(RUNS, bool)
    np.save(folder / "data" / "_completed.npy", done)
    assert opened(folder)[1].run_count == RUNS
    done[[6, 8]] = False
    np.save(folder / "data" / "_completed.npy", done)
    with pytest.raises(DataError, match="2 of 9 runs are not completed, run 6 first"):
        opened(folder)
    assert opened(folder, 6)[1].run_count == 6
