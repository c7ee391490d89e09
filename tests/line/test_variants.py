"""Variants of the kernel and other directions: their neighbors against the oracle, and their texts."""

import json

import numpy as np
import pandas as pd
import pytest

from kernel_core.checks import refuse_single_example
from kernel_core.errors import NotBuilt, RequestError
from kernel_core.findings.pairs import expand_neighbors, label_mismatches, nearest_pairs
from kernel_core.pipeline import build
from kernel_core.records import ExampleSet
from kernel_core.report import figures
from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.results.upkeep import list_entries
from kernel_core.search import products
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import KernelSpec
from tests.support import oracle
from tests.support.command import invoke

VARIANTS = [
    {"transform": "none"},
    {"classes": (3,)},
    {"classes": (0, 2, 4), "transform": "none", "run_count": 16},
    {"query": "train"},
    {"query": "test", "database": "test"},
    {"query": "train", "database": "test", "classes": (0, 1)},
    {"query": "train", "transform": "none"},
    {"transform": "centred", "classes": (1, 4)},
    {"transform": "shift", "run_count": 16},
    {"query": "train", "transform": "shift"},
    {"whitened": True},
    {"transform": "centred", "whitened": True, "query": "test", "database": "test"},
    {"classes": (0, 2), "whitened": True, "query": "train", "run_count": 16},
]


@pytest.fixture
def ask(source_folder, cache):
    """Make requests for the planted source."""
    return lambda **fields: SourceRequest(str(source_folder), **fields)


def expected(planted, query="test", database="train", run_count=None, whitened=False, **variant):
    """Return the whole kernel by the oracle; within one split, minus infinity for an example with itself."""
    logits = {"test": planted.test[:run_count], "train": planted.train[:run_count]}
    if whitened:
        whole = oracle.whitened(logits[query], logits[database], logits["train"], **variant)
    else:
        whole = oracle.kernel(logits[query], logits[database], **variant)
    if query == database:
        np.fill_diagonal(whole, -np.inf)
    return whole


def spec_of(entry):
    _arrays, meta = Store().read("neighbors", entry.key)
    return KernelSpec.from_json(meta["spec"])


def neighbor_entries():
    return {entry.key for entry in list_entries(Store()) if entry.kind == "neighbors"}


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_neighbors_agree_with_the_oracle(variant, ask, planted):
    results = build(ask(**variant))
    assert list(results.neighbors) == ["kernel"], "a variant is built alone"
    neighbors, whole = results.neighbors_by("kernel"), expected(planted, **variant)
    assert neighbors.k == min(50, whole.shape[1] - (results.query == results.database))
    oracle.assert_neighbors(neighbors.indices, neighbors.values, whole, 2e-6)
    assert neighbors.spec == KernelSpec("kernel", **{"run_count": None, **variant})
    assert not results.class_neighbors


@pytest.mark.parametrize(
    "variant", [{}, {"query": "train", "transform": "none"}, {"whitened": True}], ids=str
)
def test_each_class_has_its_own_neighbors_beside_those_of_all(variant, ask, planted):
    results = build(ask(classes="each", **variant))
    assert sorted(results.class_neighbors) == [0, 1, 2, 3, 4]
    for classes, neighbors in [(None, results.neighbors["kernel"]), *results.class_neighbors.items()]:
        classes = None if classes is None else (classes,)
        whole = expected(planted, classes=classes, **variant)
        assert neighbors.spec.classes == classes
        oracle.assert_neighbors(neighbors.indices, neighbors.values, whole, 2e-6)
    assert results.neighbors["kernel"].product in {product.name for product in products.exact_on_cpu()}
    of_class = {neighbors.product for neighbors in results.class_neighbors.values()}
    assert of_class <= {product.name for product in products.exact_on_cpu()}, "each entry says it"
    one = open_results(ask(classes=(3,), **variant))  # shares the entry, so that nothing is left to build
    np.testing.assert_array_equal(one.neighbors["kernel"].indices, results.class_neighbors[3].indices)


def test_other_variants_beside_each_class_are_their_own(ask, planted):
    """They are not among those that one pass over the logits finds."""
    results = build(ask(classes="each", similarities=("kernel", "kernel.raw", "kernel.classes-1-2")))
    for name, variant in (("kernel.raw", {"transform": "none"}), ("kernel.classes-1-2", {"classes": (1, 2)})):
        neighbors = results.neighbors[name]
        oracle.assert_neighbors(neighbors.indices, neighbors.values, expected(planted, **variant), 1e-6)


def test_lost_table_of_one_class_is_built_again_alone(ask):
    build(ask(classes="each"))
    before = neighbor_entries()
    one = open_results(ask(classes=(2,)))
    (path,) = (e.path for e in list_entries(Store()) if e.kind == "neighbors" and spec_of(e) == one.spec)
    written = {e.path: e.path.stat().st_ino for e in list_entries(Store()) if e.path != path}
    path.unlink()
    with pytest.raises(NotBuilt):
        open_results(ask(classes="each"))
    build(ask(classes="each"))
    assert neighbor_entries() == before
    assert {p: p.stat().st_ino for p in written} == written, "the other tables stay as they are"


def test_variants_are_cached_apart_and_computed_once(ask):
    default = build(ask())
    requests = [ask(**variant) for variant in VARIANTS] + [ask(classes="each")]
    ids = {build(request).id for request in requests} | {default.id}
    assert len(ids) == len(VARIANTS) + 2
    # Four similarities by default, one per variant, one per class but for class 3, which is a variant, too.
    assert len(neighbor_entries()) == 4 + len(VARIANTS) + 4
    steps = []
    for request in requests:
        build(request, progress=lambda step, *_: steps.append(step))
    assert set(steps) == {"checking the source's files"}
    assert open_results(ask()).id == default.id


@pytest.mark.parametrize("split", ["test", "train"])
def test_predictions_are_of_the_query_split(split, ask, planted):
    results = build(ask(query=split))
    logits = {"test": planted.test, "train": planted.train}[split]
    labels = {"test": planted.test_labels, "train": planted.train_labels}[split]
    np.testing.assert_array_equal(results.labels[0], labels)
    np.testing.assert_array_equal(results.labels[1], planted.train_labels)
    np.testing.assert_array_equal(results.predictions.predicted, logits.astype(np.float64).mean(0).argmax(1))
    np.testing.assert_allclose(results.predictions.single, (logits.argmax(-1) == labels).mean(1))


def test_only_the_similarities_asked_for_are_built(ask):
    results = build(ask(similarities=("pixels", "kernel", "pixels"), transform="none"))
    assert list(results.neighbors) == ["kernel", "pixels"]
    assert results.spec.transform == "none"
    assert len(neighbor_entries()) == 2
    with pytest.raises(
        RequestError, match=r"'penultimate' were not asked for; .* hold those by kernel, pixels"
    ):
        results.neighbors_by("penultimate")
    alone = build(ask(similarities=("penultimate-euclidean",), query="train"))
    assert (alone.query, alone.database, alone.features_layer) == ("train", "train", "before the head")
    features = alone.neighbors_by("penultimate-euclidean")
    assert (features.indices != np.arange(130)[:, None]).all()


def test_within_one_split_each_pair_stands_once(ask):
    results = build(ask(query="train"))
    neighbors = results.neighbors_by("kernel")
    pairs = nearest_pairs(neighbors, *results.labels)
    unordered = [frozenset(pair) for pair in zip(pairs["query_index"], pairs["database_index"], strict=True)]
    assert len(set(unordered)) == len(unordered) < 130, "some examples must be nearest to each other"
    assert set(unordered) == {frozenset((i, int(j))) for i, j in enumerate(neighbors.indices[:, 0])}
    assert pairs["rank"].tolist() == list(range(1, len(pairs) + 1))
    assert pairs["similarity"].is_monotonic_decreasing
    assert set(pairs["query_split"]) == set(pairs["database_split"]) == {"train"}
    for pair in pairs.itertuples():
        if neighbors.indices[pair.database_index, 0] == pair.query_index:
            assert pair.query_index < pair.database_index
    mismatches = label_mismatches(neighbors, *results.labels).head(3)
    table = expand_neighbors(mismatches, neighbors, results.labels[1], 4)
    assert (results.labels[0][table["query_index"]] == table["query_label"]).all()
    assert (results.labels[1][table["database_index"]] == table["database_label"]).all()


def test_figures_of_another_direction_are_drawn_without_features_or_pixels(ask, tmp_path):
    results = build(ask(query="train", database="test"))
    assert {path.name for path in figures.draw_all(results, tmp_path)} >= {"random_pairs.png"}


def test_example_without_another_in_its_split_is_refused():
    lonely = ExampleSet("test", np.zeros((1, 8, 8, 3), np.uint8), np.zeros(1, np.int64), ("a",))
    with pytest.raises(RequestError, match="The test split has 1 example"):
        refuse_single_example([KernelSpec("kernel", database="test")], {"test": lonely})


def test_class_that_there_is_none_of_is_refused_before_anything_is_computed(ask):
    with pytest.raises(RequestError, match=r"planted has 5 classes\. Choose classes from 0 to 4"):
        build(ask(classes=(0, 5)))
    assert {entry.kind for entry in list_entries(Store())} <= {"hashes", "examples", "images"}


def test_request_for_each_class_needs_the_kernel(ask):
    for similarities in (("pixels",), ()):
        with pytest.raises(RequestError, match="the kernel among them"):
            ask(classes="each", similarities=similarities)


def test_build_says_what_was_built(source_folder, cache):
    def printed(*words):
        done = invoke("build", source_folder, *words)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    sizes = "130 train and 40 test examples, neighbors by"
    assert printed("--query", "train", "--transform", "none") == (
        f"planted: 24 runs, raw logits, train→train, {sizes} kernel\n"
    )
    assert printed("--classes", "each", "--runs", 9) == (
        f"planted: 9 runs, {sizes} kernel, and by the kernel of each of 5 classes\n"
    )
    assert printed("--similarity", "pixels", "--similarity", "kernel", "--classes", "3,0") == (
        f"planted: 24 runs, classes 0, 3, {sizes} kernel, pixels\n"
    )
    listing = invoke("cache", "list").stdout
    assert "planted: train predictions of 24 runs" in listing
    assert "planted: train→train neighbors by kernel (raw logits)" in listing
    assert "planted: test→train neighbors by kernel (classes 0, 3)" in listing


def test_evaluate_names_the_variant_and_says_what_is_not_there(source_folder, cache):
    words = ("evaluate", source_folder, "--query", "train", "--transform", "none")
    lines = invoke(*words).stdout.splitlines()
    assert lines[0] == "planted, 24 runs, raw logits, train→train"
    assert lines[5].split() == ["Features", "(cosine),", "3", "nearest", "not", "asked", "for"]
    values = json.loads(invoke(*words, "--json").stdout)
    variant = [values[name] for name in ("query", "database", "transform", "classes")]
    assert variant == ["train", "train", "none", None]
    assert values["penultimate_knn3"] is values["pixels_knn3"] is values["kernel_class_knn3"] is None
    assert lines[3].split()[-1] == f"{values['kernel_knn3']:.2%}"
    text = (source_folder / "source.toml").read_text()
    (source_folder / "source.toml").write_text(text.split("[features]")[0])
    lines = invoke(*words).stdout.splitlines()
    assert lines[5].endswith("no features")
    assert lines[6].endswith("not asked for")


def test_evaluate_gives_an_accuracy_for_each_class(source_folder, cache, planted):
    words = ("evaluate", source_folder, "--classes", "each")
    each = json.loads(invoke(*words, "--json").stdout)["kernel_class_knn3"]
    assert len(each) == 5
    lines = invoke(*words).stdout.splitlines()
    assert lines[0] == "planted, 24 runs"
    for c, (line, name) in enumerate(zip(lines[8:], ("ant", "bee", "cat", "dog", "elk"), strict=True)):
        assert line.split() == f"Kernel of class {c} {name}, 3 nearest {each[c]:.2%}".split()


def test_neighbors_are_of_the_split_that_the_example_names(source_folder, cache, planted):
    def listed(*words):
        return json.loads(invoke("neighbors", source_folder, "--k", 3, "--json", *words).stdout)

    for query, database in (("test", "train"), ("train", "train"), ("train", "test"), ("test", "test")):
        one = listed("--query", f"{query}:7", "--database", database, "--classes", "1,2")
        row = expected(planted, query, database, classes=(1, 2))[7]
        assert (one["query_split"], one["classes"], one["transform"]) == (query, [1, 2], "log_softmax")
        assert {n["database_split"] for n in one["neighbors"]} == {database}
        assert [n["database_index"] for n in one["neighbors"]] == np.argsort(-row)[:3].tolist()
        labels = {"test": planted.test_labels, "train": planted.train_labels}
        assert one["query_label"] == labels[query][7]
        assert [n["database_label"] for n in one["neighbors"]] == [
            labels[database][n["database_index"]] for n in one["neighbors"]
        ]
    people = invoke("neighbors", source_folder, "--query", "train:7", "--transform", "none").stdout
    assert people.startswith("train:7, label 2 cat, by Kernel (raw logits)\n")


def test_pairs_and_failures_name_their_splits(source_folder, cache, tmp_path):
    for verb in ("pairs", "failures"):
        words = (verb, source_folder, "--query", "train", "--database", "test", "--csv", tmp_path / "t.csv")
        done = invoke(*words, *(["--ranks", "1-5"] if verb == "pairs" else []))
        assert done.exit_code == 0, done.stderr
        table = pd.read_csv(tmp_path / "t.csv")
        assert (set(table["query_split"]), set(table["database_split"])) == ({"train"}, {"test"})
    assert len(neighbor_entries()) == 1, "only what is shown is built"


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["build", "--classes", "12"], 2, "Class 12 was asked for, but planted has 5 classes"),
        (["build", "--classes", "3,3"], 2, "each once"),
        (["build", "--classes", "x"], 2, "as in 0,3"),
        (["build", "--classes", ""], 2, "as in 0,3"),
        (["build", "--classes", "-1"], 2, "as in 0,3"),
        (["pairs", "--classes", "each"], 2, "as in 0,3"),
        (["build", "--transform", "foo"], 2, "'log_softmax', 'none'"),
        (["build", "--query", "valid"], 2, "'train', 'test'"),
        (["build", "--transform", "shift", "--classes", "0"], 2, "the same for every class"),
        (["build", "--transform", "shift", "--classes", "each"], 2, "the same for every class"),
        (["pairs", "--similarity", "pixels", "--whitened"], 2, "whitened: pixels does not depend"),
        (["pairs", "--similarity", "kernel.shift.classes-0"], 2, "the same for every class"),
        (["build", "--similarity", "pixels", "--transform", "none"], 2, "raw logits: pixels does not depend"),
        (["build", "--similarity", "pixels", "--classes", "0"], 2, "class 0: pixels does not depend"),
        (["build", "--similarity", "pixels", "--classes", "each"], 2, "the kernel among them"),
        (["pairs", "--similarity", "pixels", "--transform", "none"], 2, "raw logits: pixels does not depend"),
        (["build", "--query", "train", "--runs", "25"], 2, "ask for 2 to 24"),
        (["neighbors", "--query", "train:130"], 2, "expected train:0 … train:129"),
        (["neighbors", "--query", "test:40", "--database", "test"], 2, "expected test:0 … test:39"),
        (["neighbors", "--query", "valid:3"], 2, "as in test:123 or train:123"),
        (["neighbors", "--query", "test:3", "--database", "test", "--k", "40"], 2, "ask for 1 to 39"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_one_message(words, status, message, source_folder, cache):
    done = invoke(words[0], source_folder, *words[1:])
    assert isinstance(done.exception, SystemExit), done.exception  # anything else would be a traceback
    assert (done.exit_code, done.stdout) == (status, "")
    assert message in done.stderr
    assert done.stderr.count("Error:") == 1


@pytest.mark.parametrize("verb", ["build", "pairs"])
def test_similarity_that_the_source_lacks_is_refused_before_anything_is_built(verb, source_folder, cache):
    text = (source_folder / "source.toml").read_text()
    (source_folder / "source.toml").write_text(text.split("[features]")[0])
    done = invoke(verb, source_folder, "--similarity", "penultimate", "--query", "train")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "it has kernel, pixels" in done.stderr
    assert "name their file under [features]" in done.stderr
    assert {entry.kind for entry in list_entries(Store())} <= {"hashes"}
