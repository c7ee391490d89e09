"""Ensembles written run by run: input is checked, files are whole, bytes depend on the runs alone."""

import errno
import os
import resource
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open

import kernel_core
from kernel_core import EnsembleWriter, files
from kernel_core.ensembles import folder as run_files
from kernel_core.ensembles import writer as writer_module
from kernel_core.ensembles.opening import open_ensemble
from kernel_core.errors import DataError, RequestError, SourceError, StoreError
from kernel_core.pipeline import build
from kernel_core.records import ExampleSet
from kernel_core.sources import images, torchvision_images
from kernel_core.sources.catalog import find_images
from kernel_core.sources.decode import decode_image
from kernel_core.sources.features import load_features
from kernel_core.sources.parquet import png_of
from kernel_core.sources.source import ImagesFrom, SourceRequest, penultimate
from kernel_core.sources.source_toml import read_source_file, write_source_file
from kernel_core.tensor_files import write_arrays
from tests.support import forked, writer_processes
from tests.support.command import ROOT
from tests.support.planted import CLASS_NAMES, image_folder, png, write_parquet
from tests.support.writer_processes import CLASSES, SIZES, contents, run_of
from tests.support.writer_processes import images as planted_images


def writer(folder, **options):
    return EnsembleWriter(folder, **{"images": planted_images(), **options})


def logits_of(number, **change):
    """Return a run's logits after functions, given by split, changed them."""
    logits = run_of(number)["logits"]
    return {split: change.get(split, lambda x: x)(values) for split, values in logits.items()}


def listing(folder):
    """Return each entry's size and time of modification."""
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns) for path in [folder, *sorted(folder.rglob("*"))]
    }


# What is written


def test_runs_are_read_back_as_they_were_added(tmp_path):
    with writer(tmp_path / "e", class_names=["a", "b", "c"], name="mine", layer="fc:input") as w:
        for run in (5, 2):
            w.add(run, **run_of(run), accuracy=run / 10)
    source = read_source_file(tmp_path / "e/source.toml")
    assert source.name == "mine"
    ensemble = open_ensemble(source.logits, source.root)
    for i, run in enumerate((2, 5)):
        for split, logits in run_of(run)["logits"].items():
            np.testing.assert_array_equal(ensemble.parts[0][split][i], logits.astype(np.float16))
    content = torch.load(tmp_path / "e/runs/part-000/log.pt", weights_only=True)
    assert content["runs"] == [2, 5]
    torch.testing.assert_close(content["accs"], torch.tensor([0.2, 0.5]))
    assert isinstance(content["code"], str)
    features = load_features(*source.feature_sets)
    assert (features.run, features.layer) == ("2", "fc:input")
    for split, values in run_of(2)["features"].items():
        np.testing.assert_array_equal(features.values[split], values.astype(np.float16))
    for split, (pixels, labels) in planted_images().items():
        examples = images.load_examples(source.images, split)
        np.testing.assert_array_equal(examples.images, pixels)
        np.testing.assert_array_equal(examples.labels, labels)
        assert examples.class_names == ("a", "b", "c")


def test_source_goes_through_the_whole_line(tmp_path, cache):
    with writer(tmp_path / "e") as w:
        for run in range(4):
            w.add(run, **run_of(run))
    results = build(SourceRequest(str(tmp_path / "e"), similarities=("kernel", "penultimate")))
    assert results.neighbors_by("kernel").indices.shape == (SIZES["test"], SIZES["train"])
    assert results.predictions.single.shape == (4,)


def test_accuracy_is_computed_from_the_logits_by_default(tmp_path):
    labels = planted_images()["test"][1]
    right = np.eye(CLASSES)[labels]
    right[:2] = np.roll(right[:2], 1, axis=1)  # two are wrong
    with writer(tmp_path / "e") as w:
        for run in range(2):
            w.add(run, logits={**run_of(run)["logits"], "test": right})
    accs = torch.load(tmp_path / "e/runs/part-000/log.pt", weights_only=True)["accs"]
    torch.testing.assert_close(accs, torch.full((2,), 4 / 6))


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_tensors_of_any_floating_dtype_are_accepted(tmp_path, kind):
    with writer(tmp_path / "e") as w:
        for run in range(2):
            w.add(
                run,
                logits={s: torch.from_numpy(x).to(kind).requires_grad_() for s, x in logits_of(run).items()},
            )
    content = torch.load(tmp_path / "e/runs/part-000/log.pt", weights_only=True)
    expected = torch.from_numpy(run_of(1)["logits"]["train"]).to(kind).half()
    assert torch.equal(content["logits_train"][1], expected)


def test_gray_images_and_unnamed_classes(tmp_path):
    gray = {split: (pixels[..., 0], list(labels)) for split, (pixels, labels) in planted_images().items()}
    with EnsembleWriter(tmp_path / "e", images=gray) as w:
        for run in range(2):
            w.add(run, **run_of(run))
    train = images.load_examples(read_source_file(tmp_path / "e/source.toml").images, "train")
    np.testing.assert_array_equal(train.images, np.repeat(gray["train"][0][..., None], 3, axis=3))
    assert train.class_names == ("0", "1", "2")


# The same bytes


def test_bytes_do_not_depend_on_order_or_on_how_often_it_was_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(run_files, "RUNS_PER_PART", 4)
    runs = [9, 0, 4, 2, 3, 13, 1]
    histories = {
        "rising": [sorted(runs)],
        "falling": [sorted(runs, reverse=True)],
        "twice": [[9, 4], [0, 13, 2, 3, 1]],
        "many": [[4, 13], [9], [3], [2], [1], [0]],
    }
    made = {}
    for name, rounds in histories.items():
        for added in rounds:
            with writer(tmp_path / name) as w:
                for run in added:
                    w.add(run, **run_of(run))
            assert not list((tmp_path / name).rglob("*.tmp"))
        made[name] = contents(tmp_path / name)
    with writer(tmp_path / "replaced") as w:
        for run in runs:
            w.add(run, **run_of(run + 50))
        w.finish()
        for run in runs:
            w.add(run, **run_of(run), replace=True)
    made["replaced"] = contents(tmp_path / "replaced")
    assert all(files == made["rising"] for files in made.values())
    assert [name for name in made["rising"] if name.endswith(".pt")] == [
        f"runs/part-00{part}/log.pt" for part in (0, 1, 2, 3)
    ]
    parts = read_source_file(tmp_path / "twice/source.toml").logits
    numbers = [torch.load(path, weights_only=True)["runs"] for path in parts]
    assert numbers == [[0, 1, 2, 3], [4], [9], [13]]


def test_adding_more_rewrites_only_the_parts_concerned(tmp_path, monkeypatch):
    monkeypatch.setattr(run_files, "RUNS_PER_PART", 4)
    with writer(tmp_path / "e") as w:
        for run in range(8):
            w.add(run, **run_of(run))
    before = (tmp_path / "e/runs/part-000/log.pt").stat()
    with writer(tmp_path / "e", images=None) as w:
        w.add(8, **run_of(8))
    after = (tmp_path / "e/runs/part-000/log.pt").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert w.runs == tuple(range(9))


def in_processes(what, folder):
    done = forked.run(what, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()


def test_folder_that_another_process_begins_meanwhile_is_no_foreign_one(tmp_path, monkeypatch):
    real, looks = writer_module.read_identity, []

    def begun_after_the_first_look(folder):
        looks.append(folder)
        if len(looks) == 1:
            with monkeypatch.context() as undone:
                undone.setattr(writer_module, "read_identity", real)
                EnsembleWriter(folder, images=planted_images()).add(0, **run_of(0))
            return None
        return real(folder)

    monkeypatch.setattr(writer_module, "read_identity", begun_after_the_first_look)
    second = EnsembleWriter(tmp_path / "ensemble", images=planted_images())
    second.add(1, **run_of(1))
    assert second.runs == (0, 1)


def test_processes_add_concurrently_and_one_wins_a_run_that_all_add(tmp_path):
    assert sorted(in_processes(writer_processes.together, tmp_path)) == [
        "refused",
        "refused",
        "refused",
        "won",
    ]


def test_kill_at_any_moment_leaves_whole_files_and_the_next_process_resumes(tmp_path):
    assert int(in_processes(writer_processes.kills, tmp_path)[1]) > 20


# Features


def test_features_are_those_of_the_lowest_run_that_has_some(tmp_path):
    def kept():
        return load_features(penultimate(tmp_path / "e/penultimate.safetensors")).run

    with writer(tmp_path / "e") as w:
        w.add(4, **run_of(4))
        w.add(2, **run_of(2))
        w.add(1, logits=logits_of(1))
        w.finish()
        assert kept() == "2"
        w.add(3, **run_of(3))
        w.finish()
        assert kept() == "2"
        w.add(0, **run_of(0))
        w.finish()
        assert kept() == "0"
        w.add(0, logits=logits_of(0), replace=True)
    assert not (tmp_path / "e/penultimate.safetensors").exists()
    assert read_source_file(tmp_path / "e/source.toml").features is None


def test_features_written_by_somebody_else_are_kept(tmp_path):
    with writer(tmp_path / "e") as w:
        for run in range(2):
            w.add(run, logits=logits_of(run))
    others = {s: x.astype(np.float16) for s, x in run_of(7)["features"].items()}
    for name, run in (("other.safetensors", "0"), ("penultimate.safetensors", "resnet18")):
        write_arrays(tmp_path / "e" / name, others, {"run": run, "layer": "x"})
        with open(tmp_path / "e/source.toml", "a") as file:
            file.write(f'[features]\nfile = "{name}"\n')
        with writer(tmp_path / "e") as w:
            w.add(len(w.runs), **run_of(2))
        source = read_source_file(tmp_path / "e/source.toml")
        assert source.features == tmp_path / "e" / name
        np.testing.assert_array_equal(load_features(*source.feature_sets).values["test"], others["test"])
        (tmp_path / "e/other.safetensors").unlink(missing_ok=True)
        (tmp_path / "e/penultimate.safetensors").unlink(missing_ok=True)
        w.finish()
        assert read_source_file(tmp_path / "e/source.toml").features is None


# Runs that are present, dropped, or wrong


def test_run_added_twice_is_refused_or_replaced_packed_or_not(tmp_path):
    w = writer(tmp_path / "e")
    w.add(0, **run_of(0))
    w.add(1, **run_of(1))
    for _ in ("pending", "packed"):
        with pytest.raises(RequestError, match=r"Run 1 is in the folder already.*replace=True"):
            w.add(1, **run_of(2))
        w.finish()
        assert torch.load(tmp_path / "e/runs/part-000/log.pt", weights_only=True)["logits"][1].equal(
            torch.from_numpy(run_of(1)["logits"]["test"]).half()
        )
    w.add(1, **run_of(2), replace=True)
    assert w.runs == (0, 1)
    w.finish()
    assert torch.load(tmp_path / "e/runs/part-000/log.pt", weights_only=True)["logits"][1].equal(
        torch.from_numpy(run_of(2)["logits"]["test"]).half()
    )


def test_dropped_run_is_remembered_until_it_is_added_anyway(tmp_path):
    w = writer(tmp_path / "e")
    w.drop(1, "its loss went to NaN in epoch 3")
    again = writer(tmp_path / "e", images=None)
    assert again.dropped == {1: "its loss went to NaN in epoch 3"}
    assert again.runs == ()
    with pytest.raises(RequestError, match=r"dropped .its loss went to NaN in epoch 3.\. Pass replace=True"):
        w.add(1, **run_of(1))
    w.add(1, **run_of(1), replace=True)
    assert (w.dropped, w.runs) == ({}, (1,))
    with pytest.raises(RequestError, match="Run 1 is in the folder"):
        w.drop(1, "late")


def test_fewer_than_two_runs_are_refused_and_kept(tmp_path):
    with pytest.raises(RequestError, match="has 0 run"), writer(tmp_path / "e"):
        pass
    with pytest.raises(RequestError, match=r"has 1 run.*needs at least 2.*kept"), writer(tmp_path / "e") as w:
        w.add(3, **run_of(3))
    assert not (tmp_path / "e/source.toml").exists()
    with writer(tmp_path / "e") as w:
        assert w.runs == (3,)
        w.add(4, **run_of(4))


def test_error_in_the_loop_leaves_what_was_added_unpacked(tmp_path):
    w = writer(tmp_path / "e")
    for run in range(3):
        w.add(run, **run_of(run))
    with pytest.raises(KeyError), w:
        raise KeyError
    assert not (tmp_path / "e/source.toml").exists()
    assert w.runs == (0, 1, 2)


def place(index, value):
    def change(values):
        values[index] = value
        return values

    return change


WRONG = {
    "NaN": (
        {"test": place((4, 2), np.nan)},
        r"Run 7: its test logits contain nan \(example 4, number 2\): expected finite",
    ),
    "infinity": (
        {"train": place((8, 0), -np.inf)}, r"train logits contain -inf \(example 8, number 0\)",
    ),
    "too large for float16": (
        {"train": place((1, 1), 65_520)},
        r"contain 65520.0 \(example 1, number 1\): more than float16 holds \(65,504\)",
    ),
    "an example short": ({"test": lambda x: x[:5]}, r"test logits are float32 \(5, 3\); expected.* 6 rows"),
    "splits swapped": ({"test": lambda _: np.zeros((9, 3))}, r"test logits are float64 \(9, 3\)"),
    "a class too many": (
        {"train": lambda _: np.zeros((9, 4))}, r"train logits have 4 classes.*have 3 \(0, 1, 2\)",
    ),
    "predictions": ({"test": lambda x: x.argmax(1)}, r"test logits are int64 \(6,\)"),
    "a list of words": ({"test": lambda _: ["a"]}, "test logits are <U1"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_logits_are_refused_and_nothing_is_kept(tmp_path, case):
    change, message = WRONG[case]
    w = writer(tmp_path / "e")
    before = listing(tmp_path / "e")
    with pytest.raises(DataError, match=message):
        w.add(7, logits=logits_of(7, **change))
    assert listing(tmp_path / "e") == before


def test_largest_number_that_float16_holds_is_accepted(tmp_path):
    w = writer(tmp_path / "e")
    w.add(7, logits=logits_of(7, train=place((1, 1), 65_519.0)))  # rounds to 65,504
    assert w.runs == (7,)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"train": np.zeros((9, 5))}, r"features are a mapping with \['train'\]"),
        ({"train": np.zeros((9, 5)), "test": np.zeros((6, 4))}, "have the widths"),
        ({"train": np.zeros((9, 5)), "test": np.full((6, 5), 1e6)}, "test features.*more than float16 holds"),
        (
            {"train": np.zeros((9, 5, 2)), "test": np.zeros((6, 5, 2))},
            r"train features are float64 \(9, 5, 2\)",
        ),
    ],
)
def test_wrong_features_are_refused(tmp_path, features, message):
    with pytest.raises(DataError, match=message):
        writer(tmp_path / "e").add(0, logits=logits_of(0), features=features)


@pytest.mark.parametrize("run", [-1, 1.0, "3", True, None, 500_000])
def test_invalid_run_number_is_refused(tmp_path, run):
    with pytest.raises(RequestError, match="expected a whole number from 0"):
        writer(tmp_path / "e").add(run, **run_of(0))


def test_accuracy_above_one_is_refused(tmp_path):
    with pytest.raises(DataError, match="accuracy is 93; expected a fraction"):
        writer(tmp_path / "e").add(0, **run_of(0), accuracy=93)


# Images


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"train": lambda x, y: (x / 255, y)}, DataError, "train images are float64"),
        ({"train": lambda x, y: (x[:5], y)}, DataError, "5 images but labels"),
        ({"test": lambda x, y: (x, y / 1)}, DataError, "test labels are float64"),
        ({"test": lambda x, y: (x, y + 3)}, None, ""),
        ({"test": lambda x, y: (x[:, :3], y)}, DataError, "expected one size"),
        ({"test": lambda x, _: x}, RequestError, "expected a pair of arrays"),
        ({"test": lambda x, _: (x[:0], np.zeros(0, int))}, DataError, "at least one"),
        ({"train": lambda x, y: (x, y - 1)}, DataError, "has label -1"),
    ],
)
def test_images_that_do_not_fit_are_refused_before_anything_is_written(tmp_path, change, error, message):
    changed = {
        split: change.get(split, lambda *both: both)(*both) for split, both in planted_images().items()
    }
    if error is None:
        EnsembleWriter(tmp_path / "e", images=changed)
        return
    with pytest.raises(error, match=message):
        EnsembleWriter(tmp_path / "e", images=changed)
    assert not (tmp_path / "e").exists()


def test_new_folder_without_images_is_refused(tmp_path):
    with pytest.raises(RequestError, match="has no images yet"):
        EnsembleWriter(tmp_path / "e")
    with pytest.raises(
        RequestError, match=r"images is a mapping with \['train'\]; expected a mapping with train and test"
    ):
        EnsembleWriter(tmp_path / "e", images={"train": planted_images()["train"]})
    assert not (tmp_path / "e").exists()


@pytest.fixture
def tables(tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    for split, (pixels, labels) in planted_images().items():
        write_parquet(folder / f"{split}-00000-of-00001.parquet", pixels, labels, CLASS_NAMES[:CLASSES])
    return folder


def test_images_are_found_by_what_a_person_would_write(tmp_path, tables, monkeypatch):
    expected = {
        "train": (tables / "train-00000-of-00001.parquet",),
        "test": (tables / "test-00000-of-00001.parquet",),
    }
    assert find_images("tables", tmp_path) == ImagesFrom("parquet", shards=expected)
    assert find_images(str(tables), tmp_path / "elsewhere") == ImagesFrom("parquet", shards=expected)
    image_folder(tmp_path / "folders", {"ant": (4, 4)})
    assert find_images("folders", tmp_path) == ImagesFrom("folder", {"folder": tmp_path / "folders"})
    (tmp_path / "source.toml").write_text('[images]\nfolder = "folders"\n')
    assert find_images("source.toml", tmp_path) == ImagesFrom("folder", {"folder": tmp_path / "folders"})
    monkeypatch.setattr(torchvision_images, "is_complete", lambda _: True)
    assert find_images("CIFAR10", tmp_path).dataset == "CIFAR10"
    assert find_images("digits", tmp_path) == ImagesFrom("digits")
    (tables / "train-2.parquet").touch()
    with pytest.raises(
        SourceError, match=r"has 2 train\*\.parquet and 1 test\*\.parquet .*Expected one of each"
    ):
        find_images("tables", tmp_path)
    with pytest.raises(SourceError, match=r"'cifar': .*does not exist\. Expected.*CIFAR10, CIFAR100"):
        find_images("cifar", tmp_path)


@pytest.mark.parametrize("inside", [True, False])
def test_source_refers_to_images_that_are_files(tmp_path, tables, inside):
    folder = tables if inside else tmp_path / "e"
    with EnsembleWriter(folder, images=tables) as w:
        for run in range(2):
            w.add(run, **run_of(run))
    text = (folder / "source.toml").read_text()
    assert ('train = "train-00000-of-00001.parquet"' in text) == inside
    assert not (folder / "images").exists()
    source = read_source_file(folder / "source.toml")
    assert images.load_examples(source.images, "train").class_names == CLASS_NAMES[:CLASSES]
    EnsembleWriter(folder, images=folder / "source.toml")  # the same images under another name
    EnsembleWriter(folder, images=planted_images(), class_names=CLASS_NAMES[:CLASSES])
    with pytest.raises(RequestError, match="class_names is"):
        EnsembleWriter(folder, images=tables, class_names=["x", "y", "z"])


def test_embedded_digits_are_copied(tmp_path):
    w = EnsembleWriter(tmp_path / "e", images="digits")
    digits = images.load_examples(ImagesFrom("digits"), "test")
    here = ImagesFrom("parquet", shards={"test": (tmp_path / "e/images/test.parquet",)}, splits=("test",))
    copy = images.load_examples(here, "test")
    np.testing.assert_array_equal(copy.images, digits.images)
    assert (w.labels["test"] == digits.labels).all()


def test_example_sets_are_accepted(tmp_path):
    sets = {
        split: ExampleSet(split, pixels, labels.astype(np.int64), CLASS_NAMES[:CLASSES])
        for split, (pixels, labels) in planted_images().items()
    }
    EnsembleWriter(tmp_path / "e", images=sets)
    assert EnsembleWriter(tmp_path / "e").identity.class_names == list(CLASS_NAMES[:CLASSES])


# Folders of something else


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"made_by": {"recipe": "small", "seed": 1}}, "made_by.seed is 0 there, 1 here"),
        ({"made_by": {"recipe": "small", "seed": 0, "epochs": 3}}, "made_by.epochs is null there, 3 here"),
        ({"name": "other"}, 'name is "mine" there, "other" here'),
        ({"layer": "fc"}, 'layer is "drop" there, "fc" here'),
        ({"class_names": ["x", "y", "z"]}, "class_names is"),
        ({"images": planted_images(1)}, "examples.train.sha256 is"),
    ],
)
def test_folder_of_another_ensemble_is_refused_and_not_touched(tmp_path, options, message):
    own = {"name": "mine", "layer": "drop", "made_by": {"recipe": "small", "seed": 0}}
    with writer(tmp_path / "e", **own) as w:
        for run in range(2):
            w.add(run, **run_of(run))
    before = listing(tmp_path / "e")
    with pytest.raises(RequestError, match=message) as refusal:
        writer(tmp_path / "e", **{**own, **options})
    assert "Nothing in the folder was changed" in str(refusal.value)
    assert listing(tmp_path / "e") == before
    writer(tmp_path / "e", **own)
    EnsembleWriter(tmp_path / "e")


@pytest.mark.parametrize(
    "content", [None, "{}", "[]", "no json", '{"format": 1, "color": 2}', '{"format": 99}']
)
def test_foreign_folder_is_refused_and_not_touched(tmp_path, content):
    folder = tmp_path / "photos"
    (folder / "runs").mkdir(parents=True)
    (folder / "diary.txt").write_text("dear diary")
    if content is not None:
        (folder / "ensemble.json").write_text(content)
    before = listing(folder)
    with pytest.raises(RequestError, match=r"photos.*Nothing in the folder was changed"):
        writer(folder)
    assert listing(folder) == before
    with pytest.raises(RequestError, match="is a file"):
        writer(folder / "diary.txt")


def test_made_by_must_be_plain_values(tmp_path):
    with pytest.raises(RequestError, match=r"made_by is .*expected texts, numbers and lists"):
        writer(tmp_path / "e", made_by={"model": object()})
    writer(tmp_path / "e", made_by={"widths": (1, 2)})
    writer(tmp_path / "e", made_by={"widths": [1, 2]})


# Full disks


def test_full_disk_leaves_existing_files_and_no_partial_one(tmp_path, monkeypatch):
    w = writer(tmp_path / "e")
    for run in range(2):
        w.add(run, **run_of(run))
    before = contents(tmp_path / "e")

    def full(_file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StoreError, match=r"Cannot write run 2 to .*No space left on device"):
        w.add(2, **run_of(2))
    with pytest.raises(StoreError, match=r"Cannot write the ensemble to .*No space left"):
        w.finish()
    with pytest.raises(StoreError, match=r"No space left"):
        writer(tmp_path / "new")
    assert contents(tmp_path / "e") == before
    monkeypatch.undo()
    w.add(2, **run_of(2))
    w.finish()
    assert w.runs == (0, 1, 2)


@pytest.mark.parametrize("what", ["images", "run", "part"])
def test_refusal_in_the_middle_of_a_file_leaves_no_partial_file(tmp_path, what):
    """Let the system refuse in the middle of a file, through a limit on file sizes."""
    sizes = {"train": 600, "test": 400}
    rng = np.random.default_rng(0)
    many_images = {
        split: (rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8), np.arange(n) % CLASSES)
        for split, n in sizes.items()
    }
    limit = {"images": 20_000, "run": 3_000, "part": 9_000}[what]
    logits = [{s: rng.normal(size=(n, CLASSES)) for s, n in sizes.items()} for _ in range(3)]
    w = None if what == "images" else EnsembleWriter(tmp_path / "e", images=many_images)
    if w:
        w.add(0, logits=logits[0])
        w.add(1, logits=logits[1])
    attempt = {
        "images": lambda: EnsembleWriter(tmp_path / "e", images=many_images),
        "run": lambda: w.add(2, logits=logits[2]),
        "part": lambda: w.finish(),
    }[what]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        with pytest.raises(StoreError, match="File too large"):
            attempt()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.rglob("*.tmp"))
    assert not (tmp_path / "e/source.toml").exists()
    w = EnsembleWriter(tmp_path / "e", images=many_images)
    assert w.runs == (() if what == "images" else (0, 1))


# The package's interface


def test_package_lists_its_functions_without_loading_torch():
    assert {"EnsembleWriter", "write_checkpoints", "outputs"} <= set(dir(kernel_core))
    with pytest.raises(AttributeError, match="no attribute 'EnsembleReader'"):
        _ = kernel_core.EnsembleReader
    code = "import sys, kernel_core; dir(kernel_core); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


def test_safetensors_bytes_are_reproducible_and_read_by_the_library(tmp_path):
    arrays = {"b": np.arange(5, dtype=np.float16), "a": np.arange(6, dtype=np.int64).reshape(2, 3)}
    seen = set()
    for i in range(6):
        path = tmp_path / f"{i}.safetensors"
        write_arrays(path, arrays, {str(n): "x" for n in range(6)})
        seen.add(path.read_bytes())
    assert len(seen) == 1
    with safe_open(path, framework="np") as file:
        assert file.metadata() == {str(n): "x" for n in range(6)}
        for name, array in arrays.items():
            np.testing.assert_array_equal(file.get_tensor(name), array)


def test_test_images_alone_make_a_source_of_test_examples(tmp_path, cache):
    images = {"test": planted_images()["test"]}

    def alone(run):
        return {what: {"test": arrays["test"]} for what, arrays in run_of(run).items()}

    with EnsembleWriter(tmp_path / "e", images=images, layer="pool") as w:
        for run in (0, 1):
            w.add(run, **alone(run))
        with pytest.raises(
            DataError, match=r"logits are a mapping with \['test', 'train'\]; expected a mapping with test\."
        ):
            w.add(2, **run_of(2))
    with EnsembleWriter(tmp_path / "e", images=images) as w:
        w.add(2, **alone(2))
    content = torch.load(tmp_path / "e/runs/part-000/log.pt", weights_only=True)
    assert (content["runs"], "logits_train" in content) == ([0, 1, 2], False)
    results = build(SourceRequest(str(tmp_path / "e")))
    assert list(results.examples) == ["test"]
    assert results.spec.direction == "test→test"
    assert (len(results.predictions.single), results.features_run) == (3, "0")
    with pytest.raises(RequestError, match="holds another ensemble"):
        EnsembleWriter(tmp_path / "e", images=planted_images())


def test_source_file_is_toml_whatever_the_names(tmp_path):
    name = 'a "quoted" \\ name,\n\x7f é 漢'
    write_source_file(tmp_path / "source.toml", name=name, images={"folder": name}, logits="x", features=None)
    import tomllib

    content = tomllib.loads((tmp_path / "source.toml").read_text())
    assert content == {"name": name, "images": {"folder": name}, "ensemble": {"files": ["x"]}}


def test_gray_image_is_stored_gray():
    image = np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8, 1), 3, axis=2)
    assert len(png_of(image)) < len(png(image))
    np.testing.assert_array_equal(decode_image(png_of(image), "x"), image)
