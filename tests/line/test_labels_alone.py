"""A source of labels and logits without images: every verb, every page, the notebook, the writer."""

import json

import numpy as np
import pytest
import streamlit as st
from safetensors.numpy import load_file, save_file

import kernel_core
from kernel_core.ensembles.writer import EnsembleWriter
from kernel_core.errors import DataError, RequestError
from kernel_core.pipeline import build
from kernel_core.sources.source import SourceRequest
from kernel_core.sources.source_toml import read_source_file
from pages.ui.components.gallery import tile_size
from pages.ui.shell import PAGES
from tests.support.app import cells, data_of, open_page, text_of, tiles
from tests.support.command import invoke
from tests.support.planted import CLASS_NAMES, plant

TOML = """name = "alone"
[labels]
file = "labels.npz"
classes = ["ant", "bee", "cat", "dog", "elk"]
[ensemble]
files = ["runs/*/log.pt"]
"""


@pytest.fixture
def alone(source_folder, planted):
    """The planted source with its images removed and its labels in a file of their own; no features."""
    for split in ("train", "test"):
        (source_folder / f"{split}.parquet").unlink()
    (source_folder / "penultimate.safetensors").rename(source_folder / "kept.safetensors")
    np.savez(source_folder / "labels.npz", train=planted.train_labels, test=planted.test_labels)
    (source_folder / "source.toml").write_text(TOML)
    return source_folder


@pytest.fixture
def shown(alone, cache, no_umap, monkeypatch):
    """The results, which the pages show."""
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(alone))
    st.cache_resource.clear()
    assert invoke("map", alone).exit_code == 0
    return build(SourceRequest(str(alone)))


def test_the_kernel_is_that_of_the_source_with_images(tmp_path, alone, planted, cache):
    from tests.support.planted import write_source

    whole = build(SourceRequest(str(write_source(tmp_path / "whole", planted))))
    found = build(SourceRequest(str(alone)))
    assert list(found.neighbors) == ["kernel"]
    np.testing.assert_array_equal(found.neighbors["kernel"].indices, whole.neighbors["kernel"].indices)
    np.testing.assert_array_equal(found.neighbors["kernel"].values, whole.neighbors["kernel"].values)
    for found_labels, labels in zip(found.labels, whole.labels, strict=True):
        np.testing.assert_array_equal(found_labels, labels)
    assert found.class_names == whole.class_names


def test_every_verb_runs(alone, cache, tmp_path, no_umap):
    assert "40 test examples, neighbors by kernel\n" in invoke("build", alone).stdout
    assert json.loads(invoke("evaluate", alone, "--json").stdout)["single"] > 0.5
    assert len(invoke("pairs", alone, "--ranks", "1-5").stdout.splitlines()) == 6
    assert invoke("failures", alone, "--top", "1", "--neighbors", "3").exit_code == 0
    assert "label 3 dog" in invoke("neighbors", alone, "--query", "test:3").stdout
    assert invoke("figures", alone, "--out", tmp_path / "figures").exit_code == 0
    assert invoke("map", alone).exit_code == 0
    assert "examples" in invoke("cache", "list").stdout


def test_the_report_has_no_columns_of_pixels(alone, cache, tmp_path):
    report = invoke("report", alone, "--runs", "5,all", "--out", tmp_path)
    assert report.exit_code == 0, report.output
    assert "pixel" not in report.stdout.lower()
    assert "kernel-explorer features" not in report.stdout
    (table,) = (part for part in report.stdout.split("\n\n") if "pairs by" in part)
    assert [cell.strip() for cell in table.splitlines()[0].split("|")[1:-1]] == [
        "pairs by", "ranks", "same label", "confidence",
    ]  # fmt: skip
    pairs = json.loads(invoke("report", alone, "--runs", "5,all", "--json").stdout)["pairs"]
    assert all("pixel_correlation" not in row for row in pairs)


def test_pixels_are_not_among_the_similarities(alone, cache):
    refused = invoke("pairs", alone, "--similarity", "pixels")
    assert refused.exit_code == 2
    assert "alone has no neighbors by 'pixels'; it has kernel" in refused.stderr


@pytest.mark.parametrize(
    "way", [["--model", "x:y"], ["--train", "cifar10-small"], ["--torchvision", "resnet18"]]
)
def test_networks_are_refused_in_one_line(alone, cache, way):
    refused = invoke("features", alone, *way)
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1
    assert "has labels alone, and a network needs images" in refused.stderr


def test_training_on_it_is_refused(alone, cache, tmp_path):
    refused = invoke(
        "train", "cifar10-small", "--images", alone / "source.toml", "--runs", "2", "--out", tmp_path / "out"
    )
    assert refused.exit_code == 1
    assert "labels alone; a network needs images" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_features_can_be_added(alone, cache):
    (alone / "source.toml").write_text(TOML + '[features]\nfile = "kept.safetensors"\n')
    assert list(build(SourceRequest(str(alone))).neighbors) == [
        "kernel",
        "penultimate",
        "penultimate-euclidean",
    ]


def test_another_number_of_labels_is_said(alone, planted, cache):
    np.savez(alone / "labels.npz", train=planted.train_labels, test=planted.test_labels[:-1])
    with pytest.raises(
        DataError, match="40 examples, but there are 39 test labels; expected one row per label"
    ):
        build(SourceRequest(str(alone)))


def test_other_labels_are_another_build(alone, planted, cache):
    first = build(SourceRequest(str(alone))).id
    np.savez(alone / "labels.npz", train=planted.train_labels, test=planted.test_labels[::-1])
    second = build(SourceRequest(str(alone))).id
    (alone / "source.toml").write_text(TOML.replace('"ant"', '"auk"'))
    third = build(SourceRequest(str(alone)))
    assert len({first, second, third.id}) == 3
    assert third.class_names[0] == "auk"


@pytest.mark.parametrize(
    "arguments",
    [("pairs", "--order", "twin"), ("pairs", "--aligned", 0.5), ("groups", "--order", "twin"), ("aligned",)],
)
def test_what_compares_pixels_is_refused(alone, cache, arguments):
    verb, *options = arguments
    done = invoke(verb, alone, *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "alone has labels alone; there are no pixels to compare" in done.stderr


def test_test_labels_alone(alone, planted, cache):
    np.save(alone / "labels.npy", planted.test_labels)
    toml = TOML.replace("labels.npz", "labels.npy") + 'splits = ["test"]\n'
    (alone / "source.toml").write_text(toml)
    results = build(SourceRequest(str(alone)))
    assert (list(results.examples), results.has_images) == (["test"], False)


# Pages


@pytest.mark.parametrize("name", [name for group in PAGES.values() for name in group])
def test_every_page_shows_it(name, shown):
    app = open_page(name)
    text = text_of(app).lower()
    assert not app.error
    assert "--model" not in text
    if name not in ("overview", "pair"):  # the Overview and why a kernel has its value name no pixels either
        assert "by pixels" not in text


def test_groups_need_no_images_and_say_that_pixels_do(alone, shown):
    (first, *_) = cells(open_page("groups", threshold=0.9), "groups")
    assert [(tile["example"], tile["src"]) for tile in tiles(first)] == [("test:7", ""), ("train:53", "")]
    done = invoke("groups", alone, "--threshold", 0.9, "--aligned-pixels", 0.9)
    assert done.exit_code == 2
    assert "alone has labels alone; there are no pixels to compare" in done.stderr


def test_overview_has_no_size_of_images(shown):
    text = text_of(open_page("overview"))
    assert "training and 40 test examples of" in text
    assert "pixels" not in text.split("Similar means")[0]


def test_tiles_have_label_and_index_and_no_image(shown, planted):
    app = open_page("near_duplicates", first=1, last=40)
    assert "There is no twin score here: it compares images" in text_of(app)
    shown_tiles = [tile for cell in cells(app, "pairs") for tile in tiles(cell)]
    assert len(shown_tiles) == 80
    for tile in shown_tiles:
        split, index = tile["example"].split(":")
        labels = {"train": planted.train_labels, "test": planted.test_labels}[split]
        assert (tile["src"], tile["label"]) == ("", CLASS_NAMES[labels[int(index)]])
    medium = data_of(app, "pairs")["look"]["sizes"]["m"]
    assert medium["width"] == medium["height"] == 96


@pytest.mark.parametrize(
    ("page", "variant"), [("disagreement", "kernel.raw"), ("feature_pairs", "kernel.first-10")]
)
def test_pages_of_two_similarities_offer_a_variant_of_the_kernel(shown, alone, page, variant):
    assert "not built yet" in text_of(open_page(page))
    build(SourceRequest(str(alone), similarities=(variant,)))
    st.cache_resource.clear()
    app = open_page(page)
    assert "not built yet" not in text_of(app)
    assert len(app.dataframe)


def test_nearest_pairs_have_no_numbers_of_pixels(shown, alone):
    build(SourceRequest(str(alone), similarities=("kernel.first-10",)))
    st.cache_resource.clear()
    table = open_page("feature_pairs").dataframe[0].value
    assert list(table.columns) == ["By", "Same label", "Ensemble's probability"]


def test_pair_shows_two_tiles_and_no_pixels(shown):
    app = open_page("pair", a="test:3", b="train:7")
    (cell,) = cells(app, "two_labels")
    assert [tile["example"] for tile in tiles(cell)] == ["test:3", "train:7"]
    assert not [heading.value for heading in app.header if "pixels" in heading.value]


def test_example_shows_its_label_in_the_image_s_place(shown):
    app = open_page("example", example="test:3")
    assert any("verdict-blank" in block.proto.body for block in app.get("html"))


def test_a_tile_without_an_image_is_a_square():
    assert tile_size((0, 0), 96) == (96, 96, "auto")


# The door for notebooks


def test_the_notebook_shows_labels_and_has_no_images(shown, alone):
    explorer = kernel_core.open(alone)
    with pytest.raises(RequestError, match="alone has labels alone; there is no image of test:3"):
        explorer.image("test:3")
    page = explorer.show(explorer.neighbors("test:3", k=2))._repr_html_()
    assert "<img" not in page
    table = explorer.neighbors("test:3", k=2)
    for example, name in zip(table["example"], table["class_name"], strict=True):
        assert f"{name}<br>{example}" in page


# The writer


def written(folder, planted, **more):
    labels = {"train": planted.train_labels, "test": planted.test_labels}
    with EnsembleWriter(folder, labels=labels, **more) as writer:
        for run in range(len(planted.test)):
            writer.add(run, logits={"train": planted.train[run], "test": planted.test[run]})
    return folder


@pytest.mark.parametrize("names", [CLASS_NAMES, None])
def test_the_writer_writes_such_a_source(tmp_path, planted, cache, names):
    folder = written(tmp_path / "out", planted, class_names=names)
    assert not (folder / "images").exists()
    found = build(SourceRequest(str(folder)))
    np.testing.assert_array_equal(found.labels[0], planted.test_labels)
    np.testing.assert_array_equal(found.labels[1], planted.train_labels)
    assert found.class_names == (names or ("0", "1", "2", "3", "4"))
    assert read_source_file(folder / "source.toml").images.reader == "labels"


def test_the_writer_goes_on_with_the_same_labels_and_refuses_others(tmp_path, planted):
    folder = written(tmp_path / "out", planted)
    assert len(EnsembleWriter(folder).runs) == len(planted.test)
    other = {"train": planted.train_labels, "test": planted.test_labels[::-1]}
    with pytest.raises(RequestError, match="holds another ensemble"):
        EnsembleWriter(folder, labels=other)
    assert list(load_file(folder / "labels.safetensors")) == ["test", "train"]


def test_the_writer_takes_images_or_labels(tmp_path, planted):
    labels = {"test": planted.test_labels}
    with pytest.raises(RequestError, match="images bring their labels"):
        EnsembleWriter(tmp_path / "a", images="digits", labels=labels)
    with pytest.raises(RequestError, match="labels is of type list"):
        EnsembleWriter(tmp_path / "b", labels=[1, 2])
    with pytest.raises(DataError, match="expected integers"):
        EnsembleWriter(tmp_path / "c", labels={"test": np.array([0.5])})
    assert not list(tmp_path.iterdir())


def test_the_writer_takes_the_labels_of_such_a_source(tmp_path):
    planted = plant()
    save_file({"train": planted.train_labels, "test": planted.test_labels}, tmp_path / "a.safetensors")
    (tmp_path / "source.toml").write_text('[labels]\nfile = "a.safetensors"\n')
    writer = EnsembleWriter(tmp_path / "out", images=tmp_path / "source.toml")
    np.testing.assert_array_equal(writer.labels["train"], planted.train_labels)


def test_static_copy_has_no_images_and_keeps_names_as_text(alone, cache, tmp_path):
    name = "</script><img src=x>"
    (alone / "source.toml").write_text(TOML.replace('"ant"', f'"{name}"'))
    done = invoke("export", alone, "--out", tmp_path / "copy")
    assert done.exit_code == 0, done.output
    assert "not copied: Neighbors test→test are not built: kernel-explorer build SOURCE" in done.stderr
    assert "Twin scores" not in done.stderr
    assert not (tmp_path / "copy" / "images").exists()
    about = (tmp_path / "copy" / "data" / "about.js").read_text()
    assert json.loads(about[about.index("{") : about.rindex(")")])["classes"][0] == name
    for path in (tmp_path / "copy").rglob("*.*"):
        assert "<img" not in path.read_text()
