"""The closed form of wide networks as a similarity: all pairs in float64, verbs, notebooks and pages."""

import itertools
import json

import numpy as np
import pytest

import kernel_core
from kernel_core.errors import RequestError
from kernel_core.explain import on_demand
from kernel_core.nngp import BLOCK, gray_inputs
from kernel_core.pipeline import build
from kernel_core.records import ExampleSet
from kernel_core.results.directions import in_direction
from kernel_core.results.nearby import Nearby
from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.results.variants import with_variants
from kernel_core.sources.source import SourceRequest
from tests.support import oracle
from tests.support.app import open_page, text_of
from tests.support.command import invoke
from tests.support.planted import CLASS_NAMES, write_parquet

SIZES = {"color": (8, 8), "gray": (28, 28), "one image per split is black": (9, 6)}


def images_of(name, n, rng):
    """Random images (n, H, W, 3) of one of `SIZES`."""
    height, width = SIZES[name]
    images = rng.integers(0, 256, (n, height, width, 3), dtype=np.uint8)
    if name == "gray":
        images[...] = images[..., :1]
    if "black" in name:
        images[-1] = 0
    return images


ONE_SIZE = pytest.mark.parametrize("source", ["color"], indirect=True)


@pytest.fixture(params=SIZES)
def source(request, source_folder, planted, cache):
    """The planted source with other images: some training images are there twice, and in the test set too."""
    rng = np.random.default_rng(len(request.param))
    train = images_of(request.param, len(planted.train_labels), rng)
    test = images_of(request.param, len(planted.test_labels), rng)
    train[100], train[7], test[5] = train[30], train[120], train[30]
    for split, images, labels in (
        ("train", train, planted.train_labels),
        ("test", test, planted.test_labels),
    ):
        write_parquet(source_folder / f"{split}.parquet", images, labels, CLASS_NAMES)
    return source_folder


def asked(source, **parts):
    return SourceRequest(str(source), similarities=("nngp",), **parts)


def whole(examples, query="test", database="train"):
    """All pairs in float64, by covariances instead of correlations, from the images as they are."""
    gray = {
        split: of.images.astype(np.float64).mean(3).reshape(len(of), -1) for split, of in examples.items()
    }
    q, d = (gray[split] - gray["train"].mean(0) for split in (query, database))
    cross, own, other = q @ d.T, np.square(q).sum(1)[:, None], np.square(d).sum(1)
    for _ in range(2):
        lengths = np.sqrt(own * other)
        angle = np.arccos(np.clip(cross / lengths, -1, 1))
        cross = lengths * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
        own, other = own / 2, other / 2
    return cross / np.sqrt(own * other)


def test_neighbors_are_those_of_all_pairs(source):
    results = build(asked(source))
    (found,) = results.neighbors.values()
    expected = whole(results.examples)
    oracle.assert_neighbors(found.indices, found.values, expected, 1e-6)
    assert found.indices[5, :2].tolist() == [30, 100], "the same image twice: the first comes first"
    assert found.values[5, 0] == found.values[5, 1] == pytest.approx(1, abs=1e-6)
    for row in found.indices.tolist():
        if {7, 120} <= set(row):
            assert row.index(120) == row.index(7) + 1
    first = np.sort(-expected, axis=1)
    clear = np.flatnonzero((np.diff(first[:, :6], axis=1) > 1e-6).all(1))
    assert len(clear) > 30
    oracle.assert_exact_order(found.indices[clear, :5], expected[clear])


def test_order_is_that_of_pairs_whose_values_differ_by_less_than_float32_holds():
    """Values near each other are told apart by their cosine, where ties go to the lower index."""
    rng = np.random.default_rng(0)
    cosine = np.sort(rng.uniform(-1e-3, 1e-3, 3000).astype(np.float32))
    values = kernel_core.nngp.nngp_of_cosine(cosine)
    assert (np.diff(values) >= 0).all()
    assert len(np.unique(values.astype(np.float32))) < len(np.unique(cosine))


@ONE_SIZE
def test_size_of_blocks_does_not_matter(source, monkeypatch):
    usual = build(asked(source)).neighbors["nngp"]
    other = source.parent / "other-cache"
    monkeypatch.setattr("kernel_core.nngp.BLOCK", 1)
    monkeypatch.setattr("kernel_core.similarity.vectors.piece_bytes", lambda _: 1)
    tight = build(asked(source), device="cpu", budget=16_100_000, store=Store(other)).neighbors["nngp"]
    np.testing.assert_array_equal(usual.indices, tight.indices)
    np.testing.assert_array_equal(usual.values, tight.values)


def test_mean_image_is_that_of_the_training_set_whatever_is_read_at_once(monkeypatch):
    rng = np.random.default_rng(3)
    sets = {
        split: ExampleSet(split, rng.integers(0, 256, (n, 3, 5, 3), np.uint8), np.zeros(n, np.int64), ("a",))
        for split, n in (("test", 4), ("train", 11))
    }
    for block in (BLOCK, 100, 1):
        monkeypatch.setattr("kernel_core.nngp.BLOCK", block)
        inputs = gray_inputs(sets)
        sums = {split: of.images.sum(3, dtype=np.float64).reshape(len(of), -1) for split, of in sets.items()}
        for split, of_split in inputs.items():
            assert of_split.shape == (len(sets[split]), 15)
            np.testing.assert_array_equal(of_split[:], sums[split] - sums["train"].mean(0))
            np.testing.assert_array_equal(of_split[np.array([2, 0])], of_split[:][[2, 0]])
    alone = gray_inputs({"test": sets["test"]})["test"]
    np.testing.assert_allclose(alone[:].mean(0), 0, atol=1e-9)


@pytest.mark.parametrize("block", [on_demand.BLOCK, 100])
def test_other_directions_are_found_on_demand_as_a_build_finds_them(source, block, monkeypatch):
    monkeypatch.setattr(on_demand, "BLOCK", block)
    request = asked(source)
    results, store = build(request), Store()
    nearby = Nearby(request, results, store)
    for split, among in itertools.product(("train", "test"), repeat=2):
        matrix = whole(results.examples, split, among)
        if split == among:
            np.fill_diagonal(matrix, -np.inf)
        indices, values = nearby.nearest((split, 5), 12, "nngp", among)
        np.testing.assert_allclose(values, -np.sort(-matrix[5])[:12], atol=1e-6)
        place, value = nearby.rank((split, 5), "nngp", (among, int(indices[3])))[:2]
        assert (place, value) == (4, pytest.approx(values[3], abs=1e-7))
    built = build(asked(source, query="train", database="train"), store=store).neighbors["nngp"]
    indices, _ = Nearby(request, results, store).nearest(("train", 30), 50, "nngp", "train")
    assert indices.tolist() == built.indices[30].tolist()


@ONE_SIZE
def test_it_is_found_where_somebody_asks_for_it_alone(source):
    request, store = SourceRequest(str(source)), Store()
    results = build(request)
    assert "nngp" not in results.neighbors
    assert {"nngp", "pixels"} <= set(results.fitting)
    shown = with_variants(results, request, store)
    within = in_direction(results, request, store, "train", "train")
    assert "nngp" not in (*shown.names, *within.names)
    build(asked(source))
    assert shown.names.count("nngp") == 1
    assert "nngp" not in within.names
    build(asked(source, query="train", database="train"))
    assert within.names == ("nngp",)
    assert shown.neighbors_by("nngp").spec.direction == "test→train"
    assert "nngp" not in open_results(request).neighbors
    only = with_variants(open_results(asked(source)), asked(source), store)
    assert only.names == ("nngp",)


@ONE_SIZE
def test_verbs_and_notebook_take_it(source):
    printed = invoke("pairs", source, "--similarity", "nngp", "--ranks", "1-2", "--json")
    assert printed.exit_code == 0, printed.output
    first = json.loads(printed.stdout)["pairs"][0]
    assert (first["query_index"], first["database_index"]) == (5, 30)
    accuracy = json.loads(invoke("evaluate", source, "--similarity", "nngp", "--json").stdout)
    assert 0 <= accuracy["nngp_knn3"] <= 1
    explorer = kernel_core.open(source, variants=["nngp"], build=True)
    assert explorer.pairs(1, 1, by="nngp")["query"].tolist() == ["test:5"]
    assert "nngp_knn3" not in kernel_core.open(source).evaluate()


def test_a_source_of_labels_alone_does_not_offer_it(source_folder, planted, cache):
    for split in ("train", "test"):
        (source_folder / f"{split}.parquet").unlink()
    np.savez(source_folder / "labels.npz", train=planted.train_labels, test=planted.test_labels)
    (source_folder / "source.toml").write_text(
        'name = "alone"\n[labels]\nfile = "labels.npz"\n[ensemble]\nfiles = ["runs/*/log.pt"]\n'
        '[features]\nfile = "penultimate.safetensors"\n'
    )
    with pytest.raises(RequestError, match="has no neighbors by 'nngp'; it has kernel, penultimate"):
        build(asked(source_folder))
    assert "nngp" not in build(SourceRequest(str(source_folder))).fitting


@ONE_SIZE
def test_pages_offer_it_and_show_it_once_it_is_built(source, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source))
    build(SourceRequest(str(source)))
    app = open_page("near_duplicates")
    assert "NNGP" not in app.get_by_key("by").options
    app = app.get_by_key("by_nngp").click().run()
    assert app.query_params["by"] == "nngp"
    assert "These neighbors are not built yet" in text_of(app)
    assert "what networks of infinite width see before any training" in text_of(app)
    assert any("--similarity nngp" in code.value for code in app.code)
    app = open_page("disagreement", by="nngp", other="nngp")
    assert app.get_by_key("other").value != "nngp"
    build(asked(source))
    app = open_page("near_duplicates", by="nngp")
    assert "NNGP" in app.get_by_key("by").options
    assert "before any training" in app.get_by_key("by").help
    assert "by_nngp" not in [button.key for button in app.button], "one button is enough"
    assert not app.exception
