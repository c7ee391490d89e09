"""`kernel-explorer train heads`: what heads are trained on, that they resume, and what is refused."""

import shutil
import sys
import types
from dataclasses import replace
from urllib.error import URLError

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file
from torch import nn

from kernel_core.cli import train_heads
from kernel_core.ensembles.opening import open_ensemble
from kernel_core.files import sha256_of
from kernel_core.networks import fixed_features, heads, loading
from kernel_core.networks.fixed_features import find_features
from kernel_core.pipeline import build
from kernel_core.recipes import HEADS, PATCHES
from kernel_core.sources import catalog
from kernel_core.sources.catalog import open_source
from kernel_core.sources.features import load_features
from kernel_core.sources.source import ImagesFrom, SourceRequest
from tests.support import forked
from tests.support.command import invoke
from tests.support.trainings import listing, train_forking, train_on_a_full_disk

pytestmark = pytest.mark.usefixtures("one_thread")
GROUP = heads.GROUP


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Compute 10 directions instead of hundreds, and train for a few steps."""
    monkeypatch.setattr(fixed_features, "RECIPE", replace(PATCHES, directions=10))
    monkeypatch.setattr(train_heads, "HEADS", replace(HEADS, steps=1))


def train_briefly(how, steps, *arguments):
    """Run the command as `short` has it; this is the work of a forked process."""
    fixed_features.RECIPE = replace(PATCHES, directions=10)
    train_heads.HEADS = replace(HEADS, steps=steps)
    how(*arguments)


@pytest.fixture
def numbers(tmp_path, planted):
    """A file of features in which the class can be found."""
    rng = np.random.default_rng(5)
    return save_numbers(
        tmp_path / "numbers.safetensors",
        {
            split: (np.eye(5)[labels] + 0.3 * rng.normal(size=(len(labels), 5))).astype(np.float32)
            for split, labels in (("train", planted.train_labels), ("test", planted.test_labels))
        },
    )


def save_numbers(path, arrays):
    save_file(arrays, path)
    return path


def train(*arguments, runs=2, code=0):
    """Run the verb in this process; return what it printed."""
    done = invoke("train", "heads", *arguments, "--runs", runs)
    assert done.exit_code in ((1, 2) if code == 1 else (code,)), done.output  # 2: for the arguments
    assert isinstance(done.exception, SystemExit | None), done.exception
    return done


def bits(folder):
    """The content of what an ensemble's folder holds, but for its locks."""
    return {
        str(path.relative_to(folder)): sha256_of(path)
        for path in folder.rglob("*")
        if path.is_file() and ".lock" not in path.name
    }


def test_a_folder_of_heads_is_a_source_with_its_patches(source_folder, tmp_path, cache, in_process):
    out = tmp_path / "out"
    done = train(source_folder, "--out", out, runs=GROUP + 4)
    assert f"{GROUP + 4} runs are in {out}" in done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("run")]
    assert [line.partition(":")[0] for line in lines] == ["runs 0 to 15", "runs 16 to 19"]
    results = build(SourceRequest(str(out)))
    assert results.features_run == "0"
    assert {"kernel", "penultimate", "patches", "pixels"} <= set(results.neighbors)
    patches = load_file(out / "patches.safetensors")
    assert (len(patches["train"]), patches["train"].dtype) == (130, np.float16)
    nearest = results.neighbors["patches"].indices[:, 0]
    unit = {s: v.astype(np.float64) / np.linalg.norm(v.astype(np.float64), axis=1)[:, None]
            for s, v in patches.items()}  # fmt: skip
    np.testing.assert_array_equal(nearest, (unit["test"] @ unit["train"].T).argmax(1))
    assert "patches: " not in invoke("check", out).stdout, "the set has a title that people can read"
    assert f"Patches: {patches['train'].shape[1]} numbers per example" in invoke("check", out).stdout


def test_workers_and_interruptions_change_no_bit(source_folder, tmp_path, numbers, forked_workers):
    common = (source_folder, "--features", numbers, "--subset", 0.5)
    train(*common, "--out", tmp_path / "one", "--workers", 1, runs=2 * GROUP + 4)
    for runs in (4, GROUP + 2, 2 * GROUP + 4):  # parts of groups are added to
        train(*common, "--out", tmp_path / "two", "--workers", 2, runs=runs)
    assert bits(tmp_path / "one") == bits(tmp_path / "two")
    assert len(bits(tmp_path / "one")) == 5


def test_a_killed_training_keeps_features_and_runs_and_gives_the_same_bits(source_folder, tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = ["train", "heads", str(source_folder), "--runs", "48", "--workers", "1"]
    with forked.running(train_briefly, train_forking, 100, *command, "--out", str(killed)) as process:
        forked.wait_until(lambda: len(list(killed.glob("runs/pending/*.safetensors"))) > 2, process)
    kept = listing(killed)
    assert not (killed / "source.toml").exists(), "killed too late to show anything"
    second, undisturbed = (
        forked.run(train_briefly, train_forking, 100, *command, "--out", str(folder))
        for folder in (killed, whole)
    )
    assert (second.returncode, undisturbed.returncode) == (0, 0), second.stderr
    assert [of for of in kept if "patches" in of[0]] == [of for of in listing(killed) if "patches" in of[0]]
    assert "computing patches" not in second.stderr
    assert "computing patches" in undisturbed.stderr
    assert bits(killed) == bits(whole)


def test_ctrl_c_while_features_are_computed_leaves_no_part_of_them(
    source_folder, tmp_path, monkeypatch, in_process
):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fixed_features, "compute_patches", stopped)
        done = train(source_folder, "--out", tmp_path / "out", code=130)
    assert "Run the same command again" in done.stderr
    assert set(bits(tmp_path / "out")) == {"ensemble.json", "labels.safetensors"}
    train(source_folder, "--out", tmp_path / "out")


def test_with_a_subset_every_example_has_runs_that_did_not_see_it(
    source_folder, tmp_path, cache, in_process, numbers
):
    out = tmp_path / "out"
    train(source_folder, "--features", numbers, "--subset", 0.5, "--out", out, runs=GROUP)
    masks = open_ensemble(open_source(SourceRequest(str(out))).logits).trained_on
    seen = np.stack([masks.of_example(i) for i in range(130)])  # (N, M)
    assert seen.any(axis=1).all()
    assert not seen.all(axis=1).any()
    assert set(seen.sum(axis=0)) == {65}
    assert "training masks" in invoke("check", out).stdout


def test_images_alone_of_several_sizes_and_without_a_test_split_are_enough(tmp_path, cache, in_process):
    rng = np.random.default_rng(2)
    for name in ("ant", "bee"):
        (tmp_path / "insects" / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 256, (20 + i, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "insects" / name / f"{i}.png")
    train(tmp_path / "insects", "--out", tmp_path / "out")
    results = build(SourceRequest(str(tmp_path / "out")))
    assert {split: len(examples) for split, examples in results.examples.items()} == {"train": 22, "test": 2}


def test_a_data_set_is_known_by_its_name(source_folder, tmp_path, in_process, monkeypatch):
    here = ImagesFrom("parquet", shards={s: (source_folder / f"{s}.parquet",) for s in ("train", "test")})
    monkeypatch.setattr(catalog, "standard_images", lambda name, **_: {"cifar10": here}[name])
    train("cifar10", "--out", tmp_path / "out")
    done = train("cifar10-multirun", "--out", tmp_path / "no", code=1)
    assert "cifar10-multirun has an ensemble already" in done.stderr


def test_features_of_the_source_are_used_where_they_lie(source_folder, tmp_path, cache, in_process):
    rng = np.random.default_rng(0)
    for split, count in (("train", 130), ("test", 40)):
        np.save(source_folder / f"clip_{split}.npy", rng.normal(size=(count, 9)).astype(np.float32))
    with open(source_folder / "source.toml", "a") as toml:
        toml.write('[features.clip]\ntrain = "clip_train.npy"\ntest = "clip_test.npy"\n')
        toml.write('title = "CLIP"\nby = ["cosine", "dot"]\n')
    for name, here, title in (("clip", "clip", "CLIP"), ("penultimate", "fixed", "Fixed features")):
        train(source_folder, "--features", name, "--out", tmp_path / name)
        assert not list((tmp_path / name).glob(f"{here}*"))
        own, fixed = open_source(SourceRequest(str(tmp_path / name))).feature_sets
        assert (own.name, fixed.name, fixed.title) == ("penultimate", here, title)
        assert all(path.parent == source_folder for path in fixed.files.values())
    assert "clip-dot" in build(SourceRequest(str(tmp_path / "clip"))).neighbors


def parquet(path, train, test):
    rows, splits = [*train.tolist(), *test.tolist()], ["train"] * len(train) + ["test"] * len(test)
    pq.write_table(pa.table({"embedding": rows, "split": splits}), path)


def two_arrays(path, train, test):
    np.save(path, train)
    np.save(path.with_name(path.name.replace("train", "test")), test)


@pytest.mark.parametrize(
    ("file", "write"),
    [
        ("My Numbers.npz", lambda path, train, test: np.savez(path, train=train, test=test)),
        ("my-numbers.parquet", parquet),
        ("my-numbers-train.npy", two_arrays),
    ],
    ids=["npz", "parquet", "two npy"],
)
def test_files_of_every_form_give_the_same_heads(source_folder, tmp_path, numbers, in_process, file, write):
    content = load_file(numbers)
    write(tmp_path / file, content["train"], content["test"])
    train(source_folder, "--features", numbers, "--out", tmp_path / "one")
    train(source_folder, "--features", tmp_path / file, "--out", tmp_path / "two")
    one, two = (
        open_ensemble(open_source(SourceRequest(str(tmp_path / name))).logits) for name in ("one", "two")
    )
    np.testing.assert_array_equal(one.parts[0]["train"], two.parts[0]["train"])
    names = [features.name for features in open_source(SourceRequest(str(tmp_path / "two"))).feature_sets]
    assert names[1].startswith("my-numbers")


def test_heads_learn_what_features_say(source_folder, tmp_path, cache, in_process, numbers):
    train(source_folder, "--features", numbers, "--share", 1, "--epochs", 60, "--out", tmp_path / "out")
    assert build(SourceRequest(str(tmp_path / "out"))).predictions.single.min() > 0.8  # of 0.2 by chance


def test_labels_without_images_suffice_where_features_lie_in_a_file(tmp_path, planted, in_process, numbers):
    source = tmp_path / "labels-alone"
    source.mkdir()
    np.savez(source / "labels.npz", train=planted.train_labels, test=planted.test_labels)
    (source / "source.toml").write_text('[labels]\nfile = "labels.npz"\n')
    train(source, "--features", numbers, "--out", tmp_path / "out")
    assert not open_source(SourceRequest(str(tmp_path / "out"))).images.has_images
    done = train(source, "--out", tmp_path / "patches", code=1)
    assert "There are labels alone" in done.stderr
    assert not (tmp_path / "patches").exists()


def ones(content):
    return {split: np.ones_like(values) for split, values in content.items()}


def with_nan(content):
    content["train"][7, 1] = np.nan
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (ones, "are the same for every training example"),
        (with_nan, "features of example 7 are NaN"),
        (lambda of: {**of, "train": of["train"][1:]}, "of 129 examples, but there are 130 train images"),
        (lambda of: {"train": of["train"]}, "expected one called test"),
        (lambda of: {**of, "test": of["test"][:, :2]}, "expected one width"),
        (lambda of: {s: v[:, 0] for s, v in of.items()}, "two axes"),
    ],
    ids=["constant", "NaN", "another length", "no test split", "two widths", "one axis"],
)
def test_features_that_cannot_be_used_are_refused_before_anything_is_written(
    source_folder, tmp_path, in_process, numbers, change, message
):
    save_numbers(numbers, change(load_file(numbers)))
    done = train(source_folder, "--features", numbers, "--out", tmp_path / "out", code=1)
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_column_that_is_constant_does_no_harm(source_folder, tmp_path, in_process, numbers):
    content = load_file(numbers)
    for values in content.values():
        values[:, 2] = 4
    train(source_folder, "--features", save_numbers(numbers, content), "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("color", "message"),
    [
        (lambda _: 90, "The images are the same for every training example"),
        (lambda i: 5 * i, "The images have one color each"),
    ],
    ids=["all alike", "one color each"],
)
def test_images_that_say_nothing_are_refused_before_anything_is_written(tmp_path, color, message):
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            (tmp_path / "flat" / split / name).mkdir(parents=True)
            for i in range(6):
                image = Image.new("RGB", (8, 8), (color(i), 0, 0))
                image.save(tmp_path / "flat" / split / name / f"{i}.png")
    assert message in train(tmp_path / "flat", "--out", tmp_path / "out", code=1).stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--features", "clip"], "the source has penultimate, and there is no such file"),
        (["--features", "torchvision:resnet81"], "it has resnet18"),
        (["--features", "timm:resnet18"], "pip install 'kernel-explorer[timm]'"),
        (["--weights", "here.pth"], "--weights is for --features torchvision:NAME"),
        (["--share", "0"], "--share is 0; expected a number above 0"),
        (["--share", "nan"], "--share is nan; expected"),
        (["--subset", "1.5"], "--subset is 1.5; expected a number above 0 and up to 1"),
        (["--size", "3"], "--size is 3; expected 4 to 512 pixels"),
        (["--images", "digits"], "heads needs PATH, images or a source, and there is --images too"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_request_that_makes_no_sense_is_one_line(source_folder, tmp_path, monkeypatch, options, message):
    monkeypatch.setitem(sys.modules, "timm", None)  # as if it were not installed
    done = train(source_folder, *options, "--out", tmp_path / "out", code=1)
    assert message in done.stderr
    assert len([line for line in done.stderr.splitlines() if "Error" in line]) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--features", "--weights", "--share", "--subset"])
def test_options_of_heads_are_refused_by_other_recipes(tmp_path, option):
    done = invoke("train", "digits", "--runs", 2, option, "0.5", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert f"{option} is for heads, not for digits" in done.stderr


def test_one_run_alone_is_refused(source_folder, tmp_path):
    assert "ask for 2 or more" in train(source_folder, "--out", tmp_path / "out", runs=1, code=1).stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--share", "0.5"], "made_by.recipe.share is 0.25 there, 0.5 here"),
        (["--subset", "0.5"], "made_by.recipe.subset is 1.0 there, 0.5 here"),
        (["--seed", "1"], "made_by.seed is 0 there, 1 here"),
        (["--features", "penultimate"], 'made_by.features.name is "numbers.safetensors" there'),
        (["--features", "NUMBERS"], "made_by.features.sha256 is"),
    ],
    ids=["share", "subset", "seed", "other features", "the same file with other content"],
)
def test_a_folder_of_other_heads_is_refused_and_unchanged(
    source_folder, tmp_path, in_process, numbers, options, message
):
    out = tmp_path / "out"
    train(source_folder, "--features", numbers, "--out", out)
    before = listing(out)
    if options[1] == "NUMBERS":
        content = load_file(numbers)
        save_numbers(numbers, {split: 2 * values for split, values in content.items()})
    arguments = ["--features", numbers, *options] if options[0] != "--features" else options
    arguments = [numbers if word == "NUMBERS" else word for word in arguments]
    assert message in train(source_folder, *arguments, "--out", out, code=1).stderr
    assert listing(out) == before


def test_patches_that_were_replaced_in_the_folder_are_noticed(source_folder, tmp_path, in_process, numbers):
    out = tmp_path / "out"
    train(source_folder, "--out", out)
    shutil.copy(numbers, out / "patches.safetensors")
    done = train(source_folder, "--out", out, runs=4, code=1)
    assert "patches.safetensors holds other features" in done.stderr
    (out / "patches.safetensors").unlink()
    train(source_folder, "--out", out, runs=4)


def test_a_full_disk_leaves_no_part_of_the_features(source_folder, tmp_path):
    out = tmp_path / "out"
    command = ["train", "heads", str(source_folder), "--out", str(out)]
    done = forked.run(train_briefly, train_on_a_full_disk, 1, *command)
    assert done.returncode == 1
    assert f"Cannot write the features to {out / 'patches.safetensors'} (File too large)" in done.stderr
    assert "Traceback" not in done.stderr
    assert set(bits(out)) == {"ensemble.json", "labels.safetensors"}


class Small(nn.Module):
    """A network that sees the mean color."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.body, self.head = nn.Linear(3, 6), nn.Linear(6, 5)

    def forward(self, images):
        return self.head(self.body(images.mean((2, 3))).relu())


def colors(folder):
    """What Small's layer before the last gives for the planted images, computed from the file's weights."""
    from kernel_core.sources.images import load_examples

    images = load_examples(open_source(SourceRequest(str(folder))).images, "test").images
    with torch.no_grad():
        scaled = torch.from_numpy(images).float().mean((1, 2)) / 255
        return Small().body(scaled).relu().numpy()


def test_features_of_a_torchvision_network_are_computed_once_with_weights_of_a_file(
    source_folder, tmp_path, in_process, monkeypatch
):
    made = []

    def network(name, weights, _transform):
        made.append((name, weights))
        return loading.LoadedNetwork(Small(), name)

    monkeypatch.setitem(
        fixed_features.NETWORKS, "torchvision", (network, fixed_features.NETWORKS["torchvision"][1])
    )
    torch.save(Small().state_dict(), tmp_path / "small.pth")
    common = (source_folder, "--features", "torchvision:resnet18", "--out", tmp_path / "out")
    weights = ("--weights", tmp_path / "small.pth")
    train(*common, *weights)
    train(*common, *weights, runs=4)
    assert made == [("resnet18", tmp_path / "small.pth")], "the second call finds them in the folder"
    stored = load_file(tmp_path / "out/resnet18.safetensors")["test"]
    np.testing.assert_allclose(stored, colors(source_folder), atol=1e-3)
    assert "made_by.features.weights" in train(*common, code=1).stderr, "the pretrained ones are others"
    _, fixed = open_source(SourceRequest(str(tmp_path / "out"))).feature_sets
    assert (fixed.name, load_features(fixed).layer) == ("resnet18", "head:input")


def test_a_failed_download_writes_nothing_so_that_weights_can_be_named(source_folder, tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    done = train(source_folder, "--features", "torchvision:resnet18", "--out", tmp_path / "out", code=1)
    assert "no route to host" in done.stderr
    assert "pass it with --weights" in done.stderr
    assert not (tmp_path / "out").exists()


def test_timm_networks_get_timms_own_transforms(source_folder, tmp_path, in_process, monkeypatch):
    def create_transform(scale, is_training):
        assert not is_training
        return lambda image: torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / scale

    timm = types.SimpleNamespace(
        list_models=lambda: ["small_net", "other_net"],
        list_pretrained=lambda name: [f"{name}.a1", f"{name}.b2"] if name == "small_net" else [],
        models=types.SimpleNamespace(get_pretrained_cfg=lambda _: types.SimpleNamespace(tag="a1")),
        create_model=lambda name, pretrained: Small() if (name, pretrained) == ("small_net.a1", True) else 1,
        data=types.SimpleNamespace(
            create_transform=create_transform, resolve_model_data_config=lambda _: {"scale": 255}
        ),
    )
    monkeypatch.setitem(sys.modules, "timm", timm)
    train(source_folder, "--features", "timm:small_net", "--out", tmp_path / "out")
    stored = load_file(tmp_path / "out/small_net.safetensors")["test"]
    np.testing.assert_allclose(stored, colors(source_folder), atol=1e-3)
    wrong = {"smal_net": "it has small_net", "small_net.c": "it has small_net.a1", "other_net": "it has none"}
    for name, message in wrong.items():
        done = train(source_folder, "--features", f"timm:{name}", "--out", tmp_path / "no", code=1)
        assert message in done.stderr


def test_the_default_number_of_runs_is_that_of_the_table(source_folder, tmp_path, in_process, numbers):
    done = invoke(
        "train", "heads", source_folder, "--features", numbers, "--epochs", 1, "--out", tmp_path / "o"
    )
    assert "128 runs are in" in done.stdout


def test_a_name_that_stands_for_other_features_is_not_taken():
    names = {text: fixed_features._free_name(text) for text in ("patches", "Penultimate", "99", "ViT-B/32 x")}
    assert names == {"patches": "fixed", "Penultimate": "fixed", "99": "fixed", "ViT-B/32 x": "vit-b-32-x"}
    assert find_features("patches", []).set.name == "patches"
