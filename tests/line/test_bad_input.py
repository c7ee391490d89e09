"""What bad input gets: one message with what was found, what was expected and what to do; never code run from it."""

import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from kernel_core.ensembles.log_file import load_features, open_ensemble
from kernel_core.errors import DataError, NotBuilt, RequestError, SourceError
from kernel_core.pipeline import build
from kernel_core.results.results import open_results
from kernel_core.sources import images
from kernel_core.sources.catalog import open_source
from kernel_core.sources.decode import decode_image
from kernel_core.sources.source import ImagesFrom, SourceRequest
from tests.support.planted import CLASS_NAMES, Bomb, image_folder, png, write_log, write_parquet

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


# What reaches the whole line: each case damages the good source folder, then builds it.


def rewrite(folder, part="a", **change):
    """Write one log.pt again with something changed in its test or train logits."""
    path = folder / "runs" / part / "log.pt"
    content = torch.load(path, weights_only=True)
    test, train = content["logits"].numpy().copy(), content["logits_train"].numpy().copy()
    test, train = change.get("test", lambda x: x)(test), change.get("train", lambda x: x)(train)
    write_log(path, test, train)


def set_value(index, value):
    def change(logits):
        logits[index] = value
        return logits

    return change


def relabel(folder, label):
    labels = np.arange(130) % 5
    labels[3] = label
    write_parquet(folder / "train.parquet", np.zeros((130, 8, 8, 3), np.uint8), labels, CLASS_NAMES)


def spoil_image(folder, data):
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


WRONG = {
    "examples differ between files": (lambda f: rewrite(f, "b", test=lambda x: x[:, :39]), "39 examples × 5 classes, but"),
    "classes differ between files": (
        lambda f: rewrite(f, "b", test=lambda x: x[..., :4], train=lambda x: x[..., :4]), "40 examples × 4 classes, but",
    ),
    "fewer logits than labels": (
        lambda f: [rewrite(f, p, train=lambda x: x[:, :99]) for p in "ab"], "of 99 examples, but there are 130",
    ),
    "more classes than names": (
        lambda f: [rewrite(f, p, test=lambda x: x[..., :4], train=lambda x: x[..., :4]) for p in "ab"],
        "4 classes, but the images have 5 class names",
    ),
    "one run only": (keep_one_run, "has 1 run; the kernel correlates over runs and needs at least 2"),
    "NaN in test logits": (lambda f: rewrite(f, "b", test=set_value((2, 3, 1), np.nan)), "run 2, example 3, class 1 is nan"),
    "infinity in train logits": (
        lambda f: rewrite(f, "b", train=set_value((2, 77, 1), np.inf)), "train logit of run 2, example 77, class 1 is inf",
    ),
    "label beyond the classes": (lambda f: relabel(f, 5), "example 3 has label 5.*expected 0 … 4"),
    "negative label": (lambda f: relabel(f, -1), "example 3 has label -1"),
    "unreadable image": (lambda f: spoil_image(f, b"no image"), "row 11, cannot be read as an image"),
    "no image": (lambda f: spoil_image(f, None), "row 11, cannot be read as an image"),
    "image of another size": (
        lambda f: spoil_image(f, png(np.zeros((9, 8, 3), np.uint8))), "row 11, is 8×9 pixels, the images before it 8×8",
    ),
    "features of another length": (shorten_features, "features of 39 test examples, but there are 40"),
    "missing features": (lambda f: (f / "penultimate.safetensors").unlink(), "cannot be read .No such file"),
    "missing images": (lambda f: (f / "test.parquet").unlink(), "does not exist; the source names it"),
    "truncated images": (
        lambda f: (f / "test.parquet").write_bytes((f / "test.parquet").read_bytes()[:900]), "cannot be read as Parquet",
    ),
    "a file twice": (
        lambda f: shutil.copytree(f / "runs/a", f / "runs/c"), "runs/c/log.pt and runs/a/log.pt are the same file twice",
    ),
}  # fmt: skip


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


# source.toml


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "cannot be read as TOML"),
        ("[images]\ntrain='a'\ntest='b'", r"no section \[ensemble\]"),
        ("[images]\n[ensemble]\nfiles=['runs/*/log.pt']", "names no images"),
        ("[images]\nfolder='x'\ntorchvision='MNIST'\n[ensemble]\nfiles=['a']", "torchvision and folder"),
        ("[images]\ntorchvision='ImageNet'\n[ensemble]\nfiles=['a']", "known: CIFAR10, CIFAR100"),
        ("[images]\ntrain='a'\ntest='b'\n[ensemble]\nfiles=[]", "expected a list"),
        ("[images]\ntrain='a'\ntest='b'\n[ensemble]\nfiles=['no/*.pt']", "no file matches 'no/\\*.pt'"),
        ("[images]\ntrain='a'\n[ensemble]\nfiles=['runs/*/log.pt']", "test is None; expected a text"),
        ("[image]\n[images]\n[ensemble]", "the top level has the key 'image'"),
        (
            "[images]\ntrain='a'\ntest='b'\n[ensemble]\nfile='x'",
            r"\[ensemble\] has the key 'file'; known: files",
        ),
    ],
)
def test_malformed_source_file_is_refused(source_folder, text, message):
    (source_folder / "source.toml").write_text(text)
    with pytest.raises(SourceError, match=message):
        open_source(SourceRequest(str(source_folder / "source.toml")))


def test_unknown_source_lists_the_known_ones():
    with pytest.raises(SourceError, match=r"Known: digits, cifar10-multirun, .*source\.toml"):
        open_source(SourceRequest("cifar100"))


def test_fewer_than_two_runs_are_refused_before_anything_is_opened():
    with pytest.raises(RequestError, match="ask for 2 or more"):
        SourceRequest("digits", run_count=1)


# images


def test_image_folder_is_read_in_sorted_order_whatever_the_mode(tmp_path):
    image_folder(tmp_path, {"bee": (6, 4), "ant": (6, 4)})
    Image.new("L", (6, 4), 200).save(tmp_path / "train/ant/0.png")
    Image.new("RGBA", (6, 4), (1, 2, 3, 128)).save(tmp_path / "train/ant/1.png")
    source = ImagesFrom("folder", {"folder": tmp_path})
    train = images.load_examples(source, "train")
    assert train.class_names == ("ant", "bee")
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert train.images.shape == (6, 4, 6, 3)
    assert train.images[0, 0, 0].tolist() == [200, 200, 200]
    assert train.images[5, 0, 0].tolist() == [ord("b"), 20, 80]
    assert len(images.image_units(source)) == 4


def test_image_folders_of_mixed_sizes_are_refused(tmp_path):
    image_folder(tmp_path, {"ant": (6, 4), "bee": (6, 5)})
    with pytest.raises(DataError, match="6×5 pixels, the images before it 6×4"):
        images.load_examples(ImagesFrom("folder", {"folder": tmp_path}), "train")


def test_test_class_unknown_to_train_is_refused(tmp_path):
    image_folder(tmp_path, {"ant": (6, 4)})
    (tmp_path / "test" / "wasp").mkdir()
    Image.new("RGB", (6, 4)).save(tmp_path / "test" / "wasp" / "0.png")
    with pytest.raises(DataError, match="'wasp'"):
        images.load_examples(ImagesFrom("folder", {"folder": tmp_path}), "test")


def test_folder_without_images_is_refused(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="holds no images; expected train/<class>"):
        images.load_examples(ImagesFrom("folder", {"folder": tmp_path}), "train")


def test_decompression_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(DataError, match="too large to be an example"):
        decode_image(png(np.zeros((9, 9, 3), np.uint8)), "x.png")
