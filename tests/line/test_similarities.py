"""A source with every kind of similarity: each agrees with an oracle, on the line, in verbs and notebooks."""

import json

import numpy as np
import pandas as pd
import pytest

import kernel_core as ke
from kernel_core.errors import DataError, NotBuilt, RequestError, SourceError
from kernel_core.pipeline import build, build_map
from kernel_core.results.nearby import Nearby
from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.results.variants import with_variants
from kernel_core.sources.source import SourceRequest
from kernel_core.sources.source_toml import read_source_file
from tests.support import oracle
from tests.support.command import invoke
from tests.support.similarities import FEATURES, SCORES, write_rich_source

NAMES = [
    "kernel", "penultimate", "penultimate-euclidean", "clip", "clip-euclidean", "clip-dot", "trak", "order",
    "pixels",
]  # fmt: skip


@pytest.fixture
def source(source_folder, cache):
    return write_rich_source(source_folder)


def whole(similarity, query="test", database="train"):
    """The whole matrix in float64, the plain way."""
    if similarity == "trak":
        return SCORES.astype(np.float64)
    q, d = (FEATURES[split].astype(np.float64) for split in (query, database))
    if similarity == "clip-euclidean":
        return -np.sqrt(np.square(q[:, None] - d[None]).sum(2))
    if similarity == "clip":
        q, d = (x / np.sqrt(np.square(x).sum(1, keepdims=True)) for x in (q, d))
    return q @ d.T


@pytest.mark.parametrize("similarity", ["clip", "clip-euclidean", "clip-dot", "trak"])
def test_neighbors_agree_with_the_oracle(similarity, source):
    results = build(SourceRequest(str(source)))
    assert list(results.neighbors) == NAMES
    found = results.neighbors_by(similarity)
    oracle.assert_neighbors(found.indices, found.values, whole(similarity), 1e-5)


def test_table_of_neighbors_is_kept_as_it_is_given(source):
    found = build(SourceRequest(str(source))).neighbors_by("order")
    table = pd.read_csv(source / "order.csv")
    assert found.k == 6
    np.testing.assert_array_equal(found.indices.ravel(), table["database_index"])


@pytest.mark.parametrize("similarity", ["clip", "clip-euclidean", "clip-dot"])
def test_other_directions_are_found_on_demand(similarity, source):
    request = SourceRequest(str(source))
    nearby = Nearby(request, build(request), Store())
    for split, among in (("train", "test"), ("train", "train"), ("test", "test")):
        matrix = whole(similarity, split, among)
        if split == among:
            np.fill_diagonal(matrix, -np.inf)
        indices, values = nearby.nearest((split, 9), 5, similarity, among)
        np.testing.assert_allclose(values, -np.sort(-matrix[9])[:5], rtol=1e-5, atol=1e-6)
        assert nearby.rank((split, 9), similarity, (among, int(indices[3])))[0] == 4


def test_given_scores_are_read_both_ways_and_no_further(source):
    request = SourceRequest(str(source))
    nearby = Nearby(request, build(request), Store())
    indices, values = nearby.nearest(("train", 3), 5, "trak", "test")
    np.testing.assert_array_equal(values, -np.sort(-SCORES[:, 3])[:5])
    assert nearby.rank(("train", 3), "trak", ("test", int(indices[1])))[0] == 2
    far = int(np.argmin(SCORES[0]))
    assert nearby.rank(("test", 0), "trak", ("train", far))[0] == 130
    with pytest.raises(NotBuilt, match="given the 50 nearest test→train alone"):
        nearby.nearest(("test", 3), 5, "trak", "test")
    with pytest.raises(NotBuilt, match="given the 6 nearest test→train alone"):
        nearby.rank(("test", 0), "order", ("train", far))


@pytest.mark.parametrize("similarity", ["clip", "clip-euclidean", "clip-dot", "trak"])
def test_nearest_of_a_class_are_those_of_the_whole_matrix(similarity, source, planted):
    request = SourceRequest(str(source))
    nearby = Nearby(request, build(request), Store())
    labels = {"test": planted.test_labels, "train": planted.train_labels}
    directions = [("test", "train")] + [("train", "train")] * (similarity != "trak")
    for split, among in directions:
        matrix = whole(similarity, split, among)
        for index, label in ((9, 0), (9, 4), (12, 2)):  # of another class, and of its own
            values_of_class = np.where(labels[among] == label, matrix[index], -np.inf)
            if split == among:
                values_of_class[index] = -np.inf
            expected = np.argsort(-values_of_class, kind="stable")[:20]
            indices, values = nearby.nearest_of_class((split, index), 20, similarity, among, label)
            np.testing.assert_array_equal(indices, expected)
            np.testing.assert_allclose(values, values_of_class[expected], rtol=1e-5, atol=1e-6)


def test_nearest_of_a_class_are_what_is_kept_where_nothing_else_can_be_compared(source, planted):
    request = SourceRequest(str(source))
    results = build(request)
    kept = results.neighbors_by("order").indices[4]
    indices, _ = Nearby(request, results, Store()).nearest_of_class(("test", 4), 5, "order", "train", 1)
    assert indices.tolist() == [i for i in kept if planted.train_labels[i] == 1][:5]


def test_variant_by_name_is_that_of_the_options(source):
    by_name = build(SourceRequest(str(source), similarities=("kernel.first-10.raw.classes-0-3",)))
    (found,) = by_name.neighbors.values()
    by_options = SourceRequest(
        str(source), run_count=10, transform="none", classes=(0, 3), similarities=("kernel",)
    )
    expected = build(by_options).neighbors["kernel"]
    assert found.spec == expected.spec
    np.testing.assert_array_equal(found.indices, expected.indices)


def test_whitened_kernel_is_found_by_its_name_in_every_direction(source, planted):
    logits = {"test": planted.test, "train": planted.train}
    for name in ("kernel.whitened", "kernel.centred.whitened"):
        for query, database in (("test", "train"), ("train", "train"), ("test", "test")):
            build(SourceRequest(str(source), query=query, database=database, similarities=(name,)))
    request = SourceRequest(str(source))
    results, store = with_variants(build(request), request, Store()), Store()
    assert list(results.variants) == ["kernel.centred.whitened", "kernel.whitened"]
    assert results.title_of("kernel.centred.whitened") == "Kernel (centred logits, whitened)"
    nearby = Nearby(request, results, store)
    for query, database in (("test", "train"), ("train", "train"), ("test", "test")):
        whole = oracle.whitened(logits[query], logits[database], planted.train, transform="centred")
        if query == database:
            np.fill_diagonal(whole, -np.inf)
        indices, _values = nearby.nearest((query, 7), 5, "kernel.centred.whitened", database)
        np.testing.assert_array_equal(indices, np.argsort(-whole[7])[:5])
    with pytest.raises(NotBuilt, match=r"Of kernel \(whitened\), only .* nothing else is computed"):
        nearby.nearest(("train", 3), 5, "kernel.whitened", "test")


@pytest.mark.slow
def test_map_by_the_whitened_kernel_is_of_its_own(source):
    of_kernel, whitened = (
        build_map(SourceRequest(str(source), similarities=(by,))) for by in ("kernel", "kernel.whitened")
    )
    assert not np.array_equal(of_kernel.nearest, whitened.nearest)


def test_variants_appear_once_they_are_built(source, planted):
    request, store = SourceRequest(str(source)), Store()
    results = with_variants(build(request), request, store)
    assert list(results.variants) == []
    build(SourceRequest(str(source), similarities=("kernel.raw", "kernel.first-12")))
    build(SourceRequest(str(source), query="train", database="test"))  # another direction is none
    assert list(results.variants) == ["kernel.first-12", "kernel.raw"]
    assert results.title_of("kernel.raw") == "Kernel (raw logits)"
    matrix = oracle.kernel(planted.test[:12], planted.train[:12])
    found = results.neighbors_by("kernel.first-12")
    oracle.assert_neighbors(found.indices, found.values, matrix, 1e-4)
    indices, _ = Nearby(request, results, store).nearest(("train", 3), 5, "kernel.first-12", "test")
    assert int(np.argmax(oracle.kernel(planted.train[:12], planted.test[:12])[3])) == indices[0]
    with pytest.raises(NotBuilt, match="nothing else is computed"):
        Nearby(request, results, store).nearest(("train", 3), 5, "kernel.raw", "test")
    for path in (store.root / "neighbors").iterdir():
        path.unlink()
    assert list(results.variants) == []


def test_runs_of_a_variant_that_there_are_not_are_refused(source):
    with pytest.raises(RequestError, match=r"25 runs were asked for, but .* hold 24"):
        build(SourceRequest(str(source), similarities=("kernel.first-25",)))


def test_verbs_and_notebook_take_any_similarity(source):
    evaluation = json.loads(invoke("evaluate", source, "--json").stdout)
    assert {"clip_knn3", "clip_euclidean_knn3", "clip_dot_knn3", "trak_knn3", "order_knn3"} <= set(evaluation)
    assert "CLIP ViT-B/32 (cosine), 3 nearest" in invoke("evaluate", source).stdout
    assert "by TRAK" in invoke("neighbors", source, "--query", "test:3", "--similarity", "trak").stdout
    pairs = (
        invoke("pairs", source, "--similarity", "clip-dot", "--ranks", "1-1").stdout.splitlines()[1].split()
    )
    assert float(pairs[5]) == pytest.approx(whole("clip-dot").max(), abs=1e-3)
    explorer = ke.open(source)
    assert explorer.similarities == tuple(NAMES)
    assert len(explorer.disagreement("clip", "trak")) == 40
    assert explorer.neighbors("train:3", by="trak", database="test", k=2)[
        "similarity"
    ].is_monotonic_decreasing
    report = " ".join(invoke("report", source, "--runs", "all").stdout.split())
    assert "CLIP ViT-B/32 (dot product), 3-NN:" in report


def test_notebook_builds_the_variants_that_it_names(source):
    build(SourceRequest(str(source)))
    with pytest.raises(NotBuilt):
        ke.open(source, variants=["kernel.raw"])
    explorer = ke.open(source, variants=["kernel.raw", "kernel.first-12"], build=True)
    assert explorer.similarities == (*NAMES, "kernel.first-12", "kernel.raw")
    assert len(ke.open(source).neighbors("test:3", by="kernel.raw", k=4)) == 4


def test_similarity_that_is_not_offered_is_named_with_those_that_are(source):
    done = invoke("pairs", source, "--similarity", "dino")
    assert "no neighbors by 'dino'; it has kernel, penultimate" in done.stderr
    done = invoke("pairs", source, "--similarity", "trak", "--query", "train")
    assert "test→train alone" in done.stderr
    assert "Traceback" not in done.stderr


def test_map_by_another_similarity_has_an_entry_of_its_own(source):
    maps = [build_map(SourceRequest(str(source), similarities=(by,))) for by in ("clip", "clip-euclidean")]
    assert not np.array_equal(maps[0].xy, maps[1].xy)
    for by in ("clip-dot", "trak"):
        with pytest.raises(RequestError, match="its values are not distances"):
            build_map(SourceRequest(str(source), similarities=(by,)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[features.Clip]\nfile = "clip-train.npy"', r"\[features.Clip\] has the name 'Clip'"),
        ('[features.pixels]\nfile = "clip-train.npy"', "expected a name of its own"),
        ('[features.clip]\ntrain = "clip-train.npy"', r"names train; expected file, or one file per split"),
        ('[features.clip]\nfile = "x"\ntrain = "y"\ntest = "z"', "names file and train and test"),
        ('[features.clip]\nfile = "x"\nby = "l1"', r"one or more of cosine, euclidean, dot, not 'l1'"),
        ('[features.clip]\nfile = "x"\nlayer = 1', r"\[features.clip\] has the key 'layer'"),
        ('[neighbors]\ntrak = "x"', r"expected a section \[neighbors.trak\]"),
        ('[neighbors.trak]\nfile = "x"\nquery = "val"', '"train" or "test"'),
        ('[features.a]\nfile = "x"\n[neighbors.a]\nfile = "y"', "two similarities are called 'a'"),
        ('[features.penultimate]\nfile = "x"', "two similarities are called 'penultimate'"),
    ],
)
def test_wrong_sections_are_named(source_folder, text, message):
    path = source_folder / "source.toml"
    path.write_text(path.read_text() + "\n" + text)
    with pytest.raises(SourceError, match=message):
        read_source_file(path)


def test_features_of_another_number_of_examples_are_refused(source):
    np.save(source / "clip-test.npy", FEATURES["test"][:-1])
    with pytest.raises(DataError, match=r"CLIP ViT-B/32 \(cosine\): its test features are of 39 examples"):
        build(SourceRequest(str(source)))
    with pytest.raises(NotBuilt):
        open_results(SourceRequest(str(source)))


def test_run_and_layer_are_those_of_the_penultimate_features(source):
    results = build(SourceRequest(str(source)))
    assert (results.features_run, results.features_layer) == ("0", "before the head")
