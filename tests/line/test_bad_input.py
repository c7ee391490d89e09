"""A source with wrong content is refused by the whole line, with one message; an unusual one builds."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from kernel_core.errors import DataError, NotBuilt
from kernel_core.pipeline import build
from kernel_core.results.opening import open_results
from kernel_core.sources.source import SourceRequest
from tests.support.planted import CLASS_NAMES, png, write_log, write_parquet


def rewrite(folder, part="a", **change):
    """Rewrite one log.pt. change: functions `test` and `train` from the old logits to the new ones."""
    path = folder / "runs" / part / "log.pt"
    content = torch.load(path, weights_only=True)
    test, train = content["logits"].numpy().copy(), content["logits_train"].numpy().copy()
    test, train = change.get("test", lambda x: x)(test), change.get("train", lambda x: x)(train)
    write_log(path, test, train)


def set_value(index, value):
    """Return a function that sets logits[index]."""

    def change(logits):
        logits[index] = value
        return logits

    return change


def relabel(folder, label):
    """Give training example 3 another label."""
    labels = np.arange(130) % 5
    labels[3] = label
    write_parquet(folder / "train.parquet", np.zeros((130, 8, 8, 3), np.uint8), labels, CLASS_NAMES)


def spoil_image(folder, data):
    """Replace the encoded bytes of training image 11."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "train.parquet")
    cells = table.column("img").to_pylist()
    cells[11]["bytes"] = data
    pq.write_table(table.set_column(0, "img", [cells]), folder / "train.parquet")


def shorten_features(folder):
    from safetensors.numpy import save_file

    save_file({"train": np.zeros((130, 4)), "test": np.zeros((39, 4))}, folder / "penultimate.safetensors")


def keep_one_run(folder):
    shutil.rmtree(folder / "runs" / "b")
    rewrite(folder, test=lambda x: x[:1], train=lambda x: x[:1])


# Name of a case → what damages the good source folder, and the message that building it gives.
WRONG = {
    "examples differ between files": (
        lambda f: rewrite(f, "b", test=lambda x: x[:, :39]),
        "39 examples × 5 classes, but",
    ),
    "classes differ between files": (
        lambda f: rewrite(f, "b", test=lambda x: x[..., :4], train=lambda x: x[..., :4]),
        "40 examples × 4 classes, but",
    ),
    "fewer logits than labels": (
        lambda f: [rewrite(f, p, train=lambda x: x[:, :99]) for p in "ab"],
        "of 99 examples, but there are 130",
    ),
    "more classes than names": (
        lambda f: [rewrite(f, p, test=lambda x: x[..., :4], train=lambda x: x[..., :4]) for p in "ab"],
        "4 classes, but the images have 5 class names",
    ),
    "one run only": (keep_one_run, "has 1 run; the kernel correlates over runs and needs at least 2"),
    "NaN in test logits": (
        lambda f: rewrite(f, "b", test=set_value((2, 3, 1), np.nan)),
        "run 2, example 3, class 1 is nan",
    ),
    "infinity in train logits": (
        lambda f: rewrite(f, "b", train=set_value((2, 77, 1), np.inf)),
        "train logit of run 2, example 77, class 1 is inf",
    ),
    "label beyond the classes": (lambda f: relabel(f, 5), "example 3 has label 5.*expected 0 … 4"),
    "negative label": (lambda f: relabel(f, -1), "example 3 has label -1"),
    "unreadable image": (lambda f: spoil_image(f, b"no image"), "row 11, is plain text; expected an image"),
    "no image": (lambda f: spoil_image(f, None), "row 11, has no image in it"),
    "image of another size": (
        lambda f: spoil_image(f, png(np.zeros((9, 8, 3), np.uint8))),
        "row 11, is 8×9 pixels, the images before it 8×8",
    ),
    "features of another length": (
        shorten_features,
        "test features are of 39 examples, but there are 40 test images",
    ),
    "missing features": (
        lambda f: (f / "penultimate.safetensors").unlink(),
        "does not exist; expected a file",
    ),
    "missing images": (lambda f: (f / "test.parquet").unlink(), "does not exist; the source names it"),
    "truncated images": (
        lambda f: (f / "test.parquet").write_bytes((f / "test.parquet").read_bytes()[:900]),
        "cannot be read as Parquet",
    ),
    "a file twice": (
        lambda f: shutil.copytree(f / "runs/a", f / "runs/c"),
        "runs/c/log.pt and runs/a/log.pt are the same file",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_source_is_refused_with_one_clear_message(source_folder, cache, case):
    spoil, message = WRONG[case]
    spoil(source_folder)
    with pytest.raises(DataError, match=message):
        build(SourceRequest(str(source_folder)))
    assert not list(cache.rglob("*.tmp"))
    with pytest.raises((NotBuilt, DataError)):
        open_results(SourceRequest(str(source_folder)))


@pytest.mark.parametrize("case", ["constant class", "runs differ between files"])
def test_unusual_but_legal_source_builds(source_folder, cache, case):
    if case == "constant class":
        for part in "ab":
            rewrite(source_folder, part, test=set_value((slice(None), 5), np.arange(5)))
    else:
        rewrite(source_folder, "b", test=lambda x: x[:3], train=lambda x: x[:3])
    results = build(SourceRequest(str(source_folder)))
    kernel = results.neighbors_by("kernel").values
    assert np.isfinite(kernel).all()
    if case == "constant class":
        assert not kernel[5].any()
        assert kernel[6].all()
        assert results.neighbors_by("kernel").indices[5].tolist() == list(range(50)), "ties go by index"


def test_odd_images_and_features_are_said_and_built(source_folder, planted, cache, caplog):
    flat = np.zeros((40, 8, 8, 3), np.uint8)
    flat[:] = np.arange(40, dtype=np.uint8)[:, None, None, None]
    write_parquet(source_folder / "test.parquet", flat, planted.test_labels, CLASS_NAMES)
    features = {"train": np.ones((130, 3), np.float32), "test": np.ones((40, 3), np.float32)}
    features["train"][:, 0] = np.arange(130)
    features["test"][1] = 2
    features["test"][5:20] = 0
    save_file(features, source_folder / "penultimate.safetensors", metadata={"run": "0", "layer": "l"})
    build(SourceRequest(str(source_folder)))
    assert "planted: 40 of 40 test images are one flat color each" in caplog.text
    assert "15 of 40 test rows are all zero" in caplog.text
