"""Training masks: beside the logits or in a file of their own, checked, packed."""

import re

import numpy as np
import pytest
import torch

from kernel_core import EnsembleWriter
from kernel_core.ensembles.opening import open_ensemble
from kernel_core.errors import DataError, NotBuilt, RequestError
from kernel_core.pipeline import build
from kernel_core.results.keys import plan_keys
from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest
from tests.ensembles.test_logit_forms import TEST, TRAIN, logits, opened  # noqa: F401 (a fixture)

MASKS = np.random.default_rng(1).random((12, 15)) < 0.5


def packed_from(ensemble):
    return ensemble.trained_on.of_runs(slice(0, 12))


def in_npz(folder, masks):
    for run in range(12):
        np.savez(folder / f"{run}.npz", logits=TEST[run], logits_train=TRAIN[run], trained_on=masks[run])


def in_torch(folder, masks):
    for part in (slice(0, 5), slice(5, 12)):
        arrays = {"logits": TEST[part], "logits_train": TRAIN[part], "masks": masks[part]}
        torch.save({name: torch.from_numpy(a) for name, a in arrays.items()}, folder / f"{part.start}.pt")


@pytest.mark.parametrize("write", [in_npz, in_torch])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_masks_beside_the_logits_are_kept(tmp_path, logits, write, dtype):  # noqa: F811
    write(logits, MASKS.astype(dtype))
    ensemble = opened(tmp_path)
    np.testing.assert_array_equal(packed_from(ensemble), MASKS)
    np.testing.assert_array_equal(ensemble.trained_on.of_example(9), MASKS[:, 9])
    np.testing.assert_array_equal(ensemble.trained_on.example_counts, MASKS.sum(1))
    assert ensemble.first(7).trained_on.run_count == 7
    assert ensemble.trained_on.packed.nbytes == 12 * 2


def test_masks_of_a_file_of_their_own_are_kept(tmp_path, logits):  # noqa: F811
    np.savez(logits / "a.npz", logits=TEST, logits_train=TRAIN)
    np.save(tmp_path / "masks.npy", MASKS)
    np.testing.assert_array_equal(packed_from(opened(tmp_path, 'masks = "masks.npy"')), MASKS)
    assert opened(tmp_path).trained_on is None


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (MASKS[:, :14], r"training masks are bool \(12, 14\); expected \(12, 15\), one row per run"),
        (MASKS[:11], r"training masks are bool \(11, 15\); expected \(12, 15\)"),
        (MASKS.T, r"training masks are bool \(15, 12\)"),
        (MASKS * 2, "hold other numbers than 0 and 1"),
        (np.full((12, 15), np.nan), "hold other numbers than 0 and 1"),
        (MASKS.astype("U5"), "hold other numbers than 0 and 1"),
    ],
)
def test_masks_that_do_not_fit_are_refused(tmp_path, logits, masks, message):  # noqa: F811
    np.savez(logits / "a.npz", logits=TEST, logits_train=TRAIN)
    np.save(tmp_path / "masks.npy", masks)
    with pytest.raises(DataError, match=message):
        opened(tmp_path, 'masks = "masks.npy"')


def test_masks_of_some_files_alone_are_refused(tmp_path, logits):  # noqa: F811
    in_npz(logits, MASKS)
    np.savez(logits / "3.npz", logits=TEST[3], logits_train=TRAIN[3])
    with pytest.raises(DataError, match=r"3\.npz has no training masks, and 11 of 12 files have some"):
        opened(tmp_path)


def test_masks_that_say_nothing_are_named(tmp_path, logits, caplog):  # noqa: F811
    masks = MASKS.copy()
    masks[3], masks[5], masks[6] = True, False, False
    in_npz(logits, masks)
    opened(tmp_path)
    assert "1 of 12 runs were trained on every training example" in caplog.text
    assert "2 of 12 runs were trained on no training example" in caplog.text


def test_results_do_not_depend_on_masks(source_folder, cache, planted, caplog):
    def keys():
        request = SourceRequest(str(source_folder))
        return plan_keys(open_source(request), request, Store()).id

    before = keys()
    np.save(source_folder / "masks.npy", np.random.default_rng(0).random((24, 130)) < 0.5)
    text = (source_folder / "source.toml").read_text()
    (source_folder / "source.toml").write_text(text.replace("[ensemble]", '[ensemble]\nmasks = "masks.npy"'))
    assert keys() == before
    with caplog.at_level("INFO", "kernel_core"):
        assert build(SourceRequest(str(source_folder))).neighbors_by("kernel").k == 50
    line = r"training masks: each run was trained on \d\d% to \d\d% of the 130 training examples"
    assert re.search(line, caplog.text)


def test_a_build_keeps_what_runs_say_that_did_not_train_on_an_example(source_folder, cache, planted):
    text, request = (source_folder / "source.toml").read_text(), SourceRequest(str(source_folder))
    build(request)  # noted: there are no masks
    assert open_results(request, complete=True).unseen is None
    (source_folder / "source.toml").write_text(text.replace("[ensemble]", '[ensemble]\nmasks = "masks.npy"'))
    for seed in (0, 1):  # other masks are other entries
        masks = np.random.default_rng(seed).random((24, 130)) < 0.5
        np.save(source_folder / "masks.npy", masks)
        assert open_results(request).unseen is None
        with pytest.raises(NotBuilt, match="predictions by runs that did not train on an example"):
            open_results(request, complete=True)
        built = build(request).unseen
        right = planted.train.argmax(-1) == planted.train_labels
        np.testing.assert_array_equal(built.right, (right & ~masks).sum(0))
        np.testing.assert_array_equal(open_results(request).unseen.seen_right, (right & masks).sum(0))
        assert {split: of.shape for split, of in built.of_label.items()} == {
            "test": (40, 24), "train": (130, 24)
        }  # fmt: skip
    (source_folder / "masks.npy").unlink()
    assert open_results(request).unseen is None


def test_writer_keeps_masks(tmp_path, planted):
    """Packed twice: the second time, runs are added to a part that is there."""
    masks = np.random.default_rng(0).random((24, 130)) < 0.5
    sets = {"train": planted.train_labels, "test": planted.test_labels}
    images = {split: (np.zeros((len(of), 4, 4), np.uint8), of) for split, of in sets.items()}
    for runs in (range(0, 24, 2), range(1, 24, 2)):
        with EnsembleWriter(tmp_path / "e", images=images) as writer:
            for run in runs:
                logits = {"test": planted.test[run], "train": planted.train[run]}
                writer.add(run, logits=logits, trained_on=torch.from_numpy(masks[run]))
    source = open_source(SourceRequest(str(tmp_path / "e")))
    ensemble = open_ensemble(source.logits, source.root)
    np.testing.assert_array_equal(ensemble.trained_on.of_runs(slice(0, 24)), masks)
    np.testing.assert_array_equal(np.asarray(ensemble.parts[0]["train"]), planted.train)
    writer = EnsembleWriter(tmp_path / "e")
    with pytest.raises(RequestError, match="Run 24 has no training mask, unlike the runs in the folder"):
        writer.add(24, logits=logits)
    for wrong in (masks[0][:5], masks[0] * 2, masks[:1]):
        with pytest.raises(DataError, match=r"Run 24: its training mask is .*expected 130 of True and False"):
            writer.add(24, logits=logits, trained_on=wrong)
