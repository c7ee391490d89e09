"""A source without outputs for the training set: test examples, compared with one another."""

import json

import numpy as np
import pytest
import streamlit as st
import torch
from safetensors.numpy import save_file

from kernel_core.errors import DataError, RequestError, SourceError
from kernel_core.findings import map_layout
from kernel_core.findings.pairs import nearest_pairs
from kernel_core.findings.twins import twin_pairs
from kernel_core.pipeline import build
from kernel_core.report import pair_quality
from kernel_core.results.accuracy import accuracies, class_accuracies
from kernel_core.results.opening import open_results
from kernel_core.sources.source import SourceRequest
from kernel_core.sources.source_toml import read_source_file
from pages.ui.shell import PAGES
from tests.support import oracle
from tests.support.app import cells, open_page, text_of
from tests.support.command import invoke
from tests.support.planted import write_source

TOML = """name = "alone"
[images]
test = "test.parquet"
[ensemble]
files = ["runs/*/log.pt"]
splits = ["test"]
"""


def strip_training_set(folder, planted, features=False):
    """Take from a source folder all that is of its training set."""
    for name, part in (("a", slice(14)), ("b", slice(14, None))):
        torch.save({"logits": torch.from_numpy(planted.test[part])}, folder / f"runs/{name}/log.pt")
    (folder / "train.parquet").unlink()
    (folder / "penultimate.safetensors").unlink()
    (folder / "source.toml").write_text(TOML)
    if features:
        values = np.random.default_rng(2).normal(size=(40, 6)).astype(np.float32)
        save_file(
            {"test": values}, folder / "penultimate.safetensors", metadata={"run": "3", "layer": "pool"}
        )
        (folder / "source.toml").write_text(TOML + '[features]\nfile = "penultimate.safetensors"\n')
    return folder


@pytest.fixture
def alone(source_folder, planted):
    """A source of the planted test examples alone, without features."""
    return strip_training_set(source_folder, planted)


def test_twins_are_other_test_examples_and_each_pair_stands_once(alone, cache):
    results = build(SourceRequest(str(alone)))
    expected = twin_pairs(results.neighbors["kernel"], results.aligned["kernel"], *results.labels)
    assert len(expected) < 40
    answer = json.loads(invoke("pairs", alone, "--order", "twin", "--ranks", "1-20", "--json").stdout)
    assert [row["database_index"] for row in answer["pairs"]] == expected["database_index"][:20].tolist()
    assert answer["count"] == len(expected)


def test_neighbors_are_other_test_examples_and_agree_with_the_oracle(alone, planted, cache):
    results = build(SourceRequest(str(alone)))
    assert (results.query, results.database, list(results.examples)) == ("test", "test", ["test"])
    assert list(results.neighbors) == ["kernel", "pixels"]
    whole = oracle.kernel(planted.test, planted.test)
    np.fill_diagonal(whole, -np.inf)
    found = results.neighbors_by("kernel")
    oracle.assert_neighbors(found.indices, found.values, whole, 1e-6)
    assert set(results.traces) == {"test"}
    assert open_results(SourceRequest(str(alone)), complete=True).id == results.id


def test_it_says_what_the_whole_source_says_of_its_test_split(tmp_path, planted, cache):
    whole = write_source(tmp_path / "whole", planted)
    alone = strip_training_set(write_source(tmp_path / "alone", planted), planted, features=True)
    request = SourceRequest(str(whole), database="test", classes="each")
    expected, found = build(request), build(SourceRequest(str(alone), classes="each"))
    np.testing.assert_array_equal(found.neighbors["kernel"].indices, expected.neighbors["kernel"].indices)
    assert accuracies(found) == accuracies(expected)
    assert class_accuracies(found) == class_accuracies(expected)
    names = ["kernel", "penultimate", "penultimate-euclidean", "pixels"]
    assert list(build(SourceRequest(str(alone))).neighbors) == names


def test_a_direction_that_it_says_itself_is_no_variant(alone, cache):
    plain = build(SourceRequest(str(alone)))
    assert build(SourceRequest(str(alone), database="test")).id == plain.id


@pytest.mark.parametrize(
    "arguments",
    [["evaluate", "--database", "train"], ["build", "--query", "train"], ["neighbors", "--query", "train:3"]],
)
def test_the_other_split_is_refused(arguments, alone, cache):
    done = invoke(arguments[0], alone, *arguments[1:])
    assert done.exit_code != 0
    assert "alone has logits of the test split alone" in done.stderr
    assert "test→test" in done.stderr


def test_every_verb_runs(alone, cache, tmp_path):
    assert "test→test, 40 test examples, neighbors by kernel, pixels" in invoke("build", alone).stdout
    assert json.loads(invoke("evaluate", alone, "--json").stdout)["database"] == "test"
    assert len(invoke("pairs", alone, "--ranks", "1-5").stdout.splitlines()) == 6
    assert invoke("failures", alone, "--top", "2", "--neighbors", "3").exit_code == 0
    assert "test" in invoke("neighbors", alone, "--query", "test:3").stdout
    assert invoke("figures", alone, "--out", tmp_path / "figures").exit_code == 0
    report = invoke("report", alone, "--runs", "5,all")
    assert report.exit_code == 0, report.output
    assert report.stdout.startswith("# alone\n\n24 runs, 40 test examples, 5 classes.\n")
    assert "nearest other test example" in " ".join(report.stdout.split())
    assert "training" not in report.stdout


def test_train_recipe_is_refused_for_features_since_there_are_no_training_images(alone, cache):
    done = invoke("features", alone, "--train", "cifar10-small")
    assert done.exit_code != 0
    assert "no training images" in done.stderr
    assert not (alone / "penultimate.safetensors").exists()


def test_missing_train_logits_say_how_to_go_on_without_them(alone, cache):
    toml = (alone / "source.toml").read_text().replace('splits = ["test"]\n', "")
    (alone / "source.toml").write_text(toml.replace("[ensemble]", 'train = "test.parquet"\n[ensemble]'))
    with pytest.raises(
        DataError, match=r"'logits_train' is missing .*splits = \[\"test\"\] under \[ensemble\]"
    ):
        build(SourceRequest(str(alone)))


@pytest.mark.parametrize(
    "splits", ['"test"', '["train"]', '["test", "test"]', "[]", '["test", "valid"]', "3"]
)
def test_other_splits_are_refused(splits, alone):
    path = alone / "source.toml"
    path.write_text(path.read_text().replace('["test"]', splits))
    with pytest.raises(SourceError, match=r"splits is .*expected \[\"train\", \"test\"\]"):
        read_source_file(path)


def test_images_of_the_test_set_alone_name_the_missing_key(alone):
    path = alone / "source.toml"
    path.write_text(path.read_text().replace('splits = ["test"]\n', ""))
    with pytest.raises(SourceError, match="train is None"):
        read_source_file(path)


def test_image_folders_need_no_training_set(alone, cache, tmp_path):
    from PIL import Image

    images = build(SourceRequest(str(alone))).examples["test"]
    for c, name in enumerate(images.class_names):
        (alone / "pictures/test" / name).mkdir(parents=True)
        for i in np.flatnonzero(images.labels == c):
            Image.fromarray(images.images[i]).save(alone / f"pictures/test/{name}/{i:03}.png")
    toml = (alone / "source.toml").read_text()
    (alone / "source.toml").write_text(toml.replace('test = "test.parquet"', 'folder = "pictures"'))
    found = build(SourceRequest(str(alone))).examples
    assert list(found) == ["test"]
    assert found["test"].class_names == images.class_names
    np.testing.assert_array_equal(found["test"].labels, np.sort(images.labels))


def test_map_is_of_the_test_examples(alone, cache, no_umap, tmp_path):
    done = invoke("map", alone, "--csv", tmp_path / "map.csv")
    assert done.exit_code == 0, done.output
    assert "a map of 40 test examples;" in done.stdout
    assert len((tmp_path / "map.csv").read_text().splitlines()) == 41


def test_directions_leave_out_a_split_that_is_not_there():
    assert map_layout.search_directions((40, 0)) == [("test", "test")]
    with pytest.raises(RequestError, match="at least 16"):
        map_layout.search_directions((15, 0))


def test_random_confident_pairs_are_never_an_example_with_itself(alone, cache):
    results = build(SourceRequest(str(alone)))
    for seed in range(20):
        pairs = pair_quality.random_confident_pairs(results, 10, seed)
        assert (pairs["query_index"] != pairs["database_index"]).all()
        assert (pairs["query_label"] == pairs["database_label"]).all()


@pytest.mark.parametrize("name", [name for group in PAGES.values() for name in group])
def test_every_page_shows_it(name, alone, cache, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(alone))
    st.cache_resource.clear()
    build(SourceRequest(str(alone)))
    text = text_of(open_page(name))
    assert "training example" not in text
    if name == "random_examples":
        assert "--model" in text
        assert "--train" not in text


def test_pairs_and_lists_are_of_the_test_split(alone, cache, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(alone))
    st.cache_resource.clear()
    results = build(SourceRequest(str(alone)))
    pairs = nearest_pairs(results.neighbors["kernel"], *results.labels)
    app = open_page("near_duplicates", first=1, last=len(pairs))
    shown = [[tile["example"] for tile in cell["groups"][0]["tiles"]] for cell in cells(app, "pairs")]
    assert shown == [
        [f"test:{pair.query_index}", f"test:{pair.database_index}"] for pair in pairs.itertuples()
    ]
    lists = cells(open_page("example", example="test:5"), "lists")
    nearest = [tile["example"] for tile in lists[0]["groups"][0]["tiles"]]
    assert nearest == [f"test:{i}" for i in results.neighbors["kernel"].indices[5, :10]]


def test_groups_are_of_test_examples(alone, cache, monkeypatch):
    done = invoke("groups", alone, "--threshold", -1, "--json")
    found = json.loads(done.stdout)
    assert found["directions"] == ["test→test"]
    assert [(group["test"], group["train"], group["crosses"]) for group in found["groups"]] == [
        (40, 0, False)
    ]
    build(SourceRequest(str(alone)))
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(alone))
    st.cache_resource.clear()
    app = open_page("groups", threshold=-1)
    assert "1 group holds 40 of 40 examples (with mixed labels: 1;" in text_of(app)
    assert "groups_test" not in {button.key for button in app.button}
