"""`check` says what there is and names every problem at once; it builds nothing."""

import json
import os

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from kernel_core.sources.catalog import open_source
from kernel_core.sources.images import example_labels, load_examples
from kernel_core.sources.source import SourceRequest
from tests.cli.test_documented_output import documented
from tests.support.command import invoke
from tests.support.planted import write_log


@pytest.fixture
def run(tmp_path):
    environment = {"KERNEL_EXPLORER_CACHE": str(tmp_path / "cache")}

    def run(*arguments):
        done = invoke("check", *arguments, env=environment)
        assert not (tmp_path / "cache").exists()
        return done

    return run


def folder(root, planted, toml='[images]\nfolder = "images"\n[ensemble]\nfiles = "log.pt"\n'):
    """Write a source of 15 images per split in folders a … e."""
    for split in ("train", "test"):
        for i, name in enumerate("abcde"):
            (root / "images" / split / name).mkdir(parents=True)
            for n in range(3):
                Image.new("RGB", (4, 4), (40 * i, n, 0)).save(root / "images" / split / name / f"{n}.png")
    write_log(root / "log.pt", planted.test[:, :15], planted.train[:, :15])
    (root / "source.toml").write_text(toml)
    return root


def test_source_that_fits_is_described(run, source_folder):
    done = run(source_folder)
    assert done.exit_code == 0, done.output
    for line in (
        "planted",
        "  train: 130 images in 5 classes, 8×8 pixels",
        "    by class: ant 26, bee 26, cat 26, dog 26, elk 26",
        "  24 runs in 2 files, 5 classes, logits, float16, of 130 train and 40 test examples",
        "  Features: 7 numbers per example, compared by cosine, euclidean",
        "  kernel, penultimate, penultimate-euclidean, pixels, nngp",
        f"No problem was found. Next:  kernel-explorer build {source_folder}",
    ):
        assert line in done.output.splitlines()
    assert "problem:" not in done.output


def test_json_has_the_documented_keys(run, source_folder):
    answer = json.loads(run(source_folder, "--json").stdout)
    (keys,) = documented("check", "JSON key")
    assert sorted(answer) == sorted(keys)
    assert (answer["problems"], answer["notes"], answer["neighbors"]) == ([], [], None)
    assert answer["images"]["test"]["examples"] == 40
    assert answer["images"]["test"]["sizes"] == [[8, 8]] * len(answer["images"]["test"]["sizes"])
    assert answer["logits"]["runs"] == 24
    assert answer["features"] == {"penultimate": {"width": 7, "by": ["cosine", "euclidean"]}}
    assert list(json.loads(run("digits", "--json").stdout)) == list(answer)


def test_every_problem_is_named_at_once(run, tmp_path, planted):
    root = folder(tmp_path, planted)
    Image.new("RGB", (4, 4)).save(root / "images/train/a/9.png")
    Image.new("RGB", (4, 4)).save(root / "images/train/a/9.gif")
    Image.new("RGB", (5, 4)).save(root / "images/test/a/0.png")
    (root / "images/test/a/1.png").write_bytes(b"GIF")
    write_log(root / "log.pt", planted.test[:1, :15, :4], planted.train[:1, :15, :4])
    save_file({s: np.ones((9, 2), np.float32) for s in ("train", "test")}, root / "f.safetensors")
    with open(root / "source.toml", "a") as file:
        file.write('[features]\nfile = "f.safetensors"\n[features.clip]\nfile = "gone.npy"\n')
    done = run(root)
    assert done.exit_code == 1
    problems = [line for line in done.output.splitlines() if line.startswith("problem: ")]
    for words in (
        "The test images are of several sizes",
        "log.pt holds 1 run",
        "its train logits are of 15 examples, but there are 16 train images (passed over: 1 file of another",
        "log.pt: its logits have 4 classes, but the images have 5 class names",
        "Features: its train features are of 9 examples, but there are 16",
        "Features: its test features are of 9 examples, but there are 15",
        "gone.npy does not exist",
    ):
        assert [problem for problem in problems if words in problem], words
    assert f"It cannot be built yet: {len(problems)} problems." in done.output


def test_images_are_looked_at_though_the_rest_is_wrong(run, tmp_path, planted):
    root = folder(tmp_path, planted, '[images]\nfolder = "images"\n[ensemble]\nfiles = "no/*.pt"\n')
    done = run(root)
    assert done.exit_code == 1
    assert "problem: " in done.output
    assert "no file matches 'no/*.pt'" in done.output
    assert "train: 15 images in 5 classes, 4×4 pixels" in done.output
    os.rename(root / "images/train", root / "images/Train")
    os.rename(root / "images/test", root / "images/val")
    done = run(root)
    assert "has the folders Train, val; expected train and test" in done.output
    assert "It cannot be built yet: 2 problems." in done.output


def test_each_file_of_logits_that_cannot_be_read_is_named(run, tmp_path, planted):
    toml = '[images]\nfolder = "images"\n[ensemble]\nfiles = ["log.pt", "a.pt", "b.pt"]\n'
    root = folder(tmp_path, planted, toml)
    for name in ("a.pt", "b.pt"):
        (root / name).write_bytes(b"<!doctype html>")
    printed = run(root).output.splitlines()
    assert len([line for line in printed if line.startswith("problem: ") and "HTML" in line]) == 2


def test_what_is_not_downloaded_is_no_problem(run, tmp_path, planted, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "source.toml").write_text('[images]\ntorchvision = "MNIST"\n[ensemble]\nfiles = "log.pt"\n')
    write_log(tmp_path / "log.pt", planted.test, planted.train)
    done = run(tmp_path)
    assert done.exit_code == 0, done.output
    assert "note: MNIST is not downloaded" in done.output
    assert run("nobody-knows").exit_code == 1


def test_what_looks_wrong_with_logits_is_a_note(run, tmp_path, planted):
    root = folder(tmp_path / "a", planted)
    labels = np.repeat(np.arange(5), 3)
    right = np.random.default_rng(0).normal(size=(4, 15, 5)) + 6 * np.eye(5)[labels]
    other = right[..., [1, 2, 3, 4, 0]].astype(np.float16)
    write_log(root / "log.pt", other, other[::-1].copy())
    done = run(root)
    assert done.exit_code == 0
    assert 'write classes = ["b", "c", "d", "e", "a"] under [images]' in done.stdout
    write_log(root / "log.pt", other[[0, 0]], other[[0, 0]])
    done = run(root)
    assert done.exit_code == 1
    assert "problem: log.pt: all 2 runs have the same logits" in done.stdout


@pytest.mark.parametrize("reader", ["folder", "parquet"])
def test_labels_are_known_without_decoding_an_image(tmp_path, planted, source_folder, reader):
    root = source_folder if reader == "parquet" else folder(tmp_path / "a", planted)
    names = "cat bee elk dog ant" if reader == "parquet" else "c b e d a"
    text = (root / "source.toml").read_text()
    for toml in (text, text.replace("[images]", f"[images]\nclasses = {json.dumps(names.split())}")):
        (root / "source.toml").write_text(toml)
        source = open_source(SourceRequest(str(root))).images
        examples = load_examples(source, "train")
        labels, class_names = example_labels(source, "train")
        np.testing.assert_array_equal(labels, examples.labels)
        assert class_names == examples.class_names


def test_pipe_in_an_image_s_place_is_a_problem(run, tmp_path, planted):
    root = folder(tmp_path, planted)
    (root / "images/test/a/0.png").unlink()
    os.mkfifo(root / "images/test/a/0.png")
    done = run(root)
    assert done.exit_code == 1
    assert "a/0.png is a pipe; expected a file" in done.output


def test_images_alone_are_described_and_what_is_trained(run, tmp_path):
    for name, size in (("ant", (30, 20)), ("bee", (20, 30))):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for n in range(20):
            Image.new("RGB", size, (n, 0, 0)).save(tmp_path / "pets" / name / f"{n}.png")
    done = run(tmp_path / "pets")
    assert done.exit_code == 0, done.output
    for line in (
        "pets",
        "  train: 36 images in 2 classes, resized to 32×32 pixels",
        "    by class: ant 18, bee 18",
        "  test: 4 images in 2 classes, held out of 40, resized to 32×32 pixels",
        "  128 runs of a small network on fixed features are trained here",
        f"No problem was found. Next:  kernel-explorer build {tmp_path / 'pets'}",
    ):
        assert line in done.output.splitlines()
    answer = json.loads(run(tmp_path / "pets", "--json").stdout)
    assert answer["logits"] == {"trained_here": 128}
    assert answer["images"]["test"]["examples"] == 4
