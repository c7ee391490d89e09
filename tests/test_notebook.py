"""The door for notebooks: tables against the findings they come from, images, HTML, and no torch."""

import doctest
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import kernel_core
from kernel_core.errors import NotBuilt, OutOfMemory, RequestError
from kernel_core.findings.pairs import label_mismatches, nearest_pairs
from kernel_core.notebook import explorer as explorer_module
from kernel_core.notebook import groups, labels, neighbors, verdicts
from tests.support import oracle
from tests.support.command import ROOT, invoke


@pytest.fixture
def digits(digits_cache, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", digits_cache["KERNEL_EXPLORER_CACHE"])
    return kernel_core.open("digits")


@pytest.fixture
def explorer(source_folder, cache):
    return kernel_core.open(source_folder / "source.toml", build=True)


def test_docstring_examples_are_true(digits):
    results = [doctest.testmod(module) for module in (explorer_module, neighbors, labels, groups, verdicts)]
    assert sum(result.attempted for result in results) > 10
    assert not any(result.failed for result in results)


def test_what_is_not_built_is_built_only_when_asked(source_folder, cache, capsys):
    path = str(source_folder / "source.toml")
    with pytest.raises(NotBuilt, match=r"build=True"):
        kernel_core.open(path)
    explorer = kernel_core.open(path, build=True)
    assert "nearest neighbors by kernel" in capsys.readouterr().err
    assert repr(explorer) == repr(kernel_core.open(path))
    assert repr(explorer).startswith("<planted, 24 runs: 130 train and 40 test examples, 5 classes; kernel, ")


def test_opening_what_is_built_loads_no_torch(digits_cache):
    code = (
        "import sys, kernel_core as ke; e = ke.open('digits'); e.neighbors('train:3');"
        "e.show(e.pairs(1, 3))._repr_html_(); e.failures(); e.evaluate(); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**digits_cache, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout.strip() == "False"


def test_planted_duplicates_come_first_with_their_class_names(explorer, planted):
    pairs = explorer.pairs(1, len(planted.exact))
    assert {(f"test:{i}", f"train:{j}") for i, j in planted.exact.items()} == set(
        zip(pairs["query"], pairs["database"], strict=True)
    )
    names = dict(enumerate(explorer.results.class_names))
    assert pairs["query_class"].tolist() == [names[label] for label in pairs["query_label"]]
    assert (explorer.pairs()["rank"] == np.arange(1, 41)).all()
    failures = explorer.failures()
    assert "test:7" in failures["query"].tolist(), "its exact duplicate has another label"
    expected = label_mismatches(explorer.results.neighbors_by("kernel"), *explorer.results.labels)
    assert failures["rank"].tolist() == expected["rank"].tolist()


@pytest.mark.parametrize("query", ["test", "train"])
@pytest.mark.parametrize("database", ["test", "train"])
def test_neighbors_of_any_split_agree_with_the_oracle(explorer, planted, query, database):
    logits = {"test": planted.test, "train": planted.train}
    kernel = oracle.kernel(logits[query], logits[database])
    if query == database:
        np.fill_diagonal(kernel, -np.inf)
    table = explorer.neighbors(f"{query}:4", k=6, database=database)
    expected = np.argsort(-kernel[4], kind="stable")[:6]
    assert table["example"].tolist() == [f"{database}:{i}" for i in expected]
    np.testing.assert_allclose(table["similarity"], kernel[4][expected], atol=1e-3)
    labels = {"test": planted.test_labels, "train": planted.train_labels}[database]
    assert table["label"].tolist() == labels[expected].tolist()


def test_more_neighbors_than_are_kept_are_computed(explorer):
    table = explorer.neighbors("test:0", k=120, by="pixels")
    assert len(table) == len(set(table["example"])) == 120
    assert table["similarity"].is_monotonic_decreasing
    kept = explorer.neighbors("test:0", k=50, by="pixels")
    assert table.head(50)["example"].tolist() == kept["example"].tolist()
    # What is kept was multiplied in float32, what is computed on demand in float64.
    np.testing.assert_allclose(table.head(50)["similarity"], kept["similarity"], atol=1e-6)


def test_image_is_the_source_s(explorer):
    image = explorer.image("train:9")
    np.testing.assert_array_equal(np.asarray(image), explorer.results.examples["train"].images[9])


def test_table_is_shown_with_an_image_per_example_and_names_escaped(explorer):
    pairs = explorer.pairs(1, 3).assign(query_class="<b>ant</b>")
    shown = explorer.show(pairs)
    page = shown._repr_html_()
    assert page.count('src="data:image/png;base64,') == 6
    assert "&lt;b&gt;ant" in page
    assert "<b>ant" not in page
    assert "base64" not in repr(shown)
    assert explorer.show(explorer.neighbors("test:0", 4))._repr_html_().count("<img") == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: e.neighbors("test:40"), r"test:0 … test:39"),
        (lambda e: e.neighbors("dog"), r"'dog' .*expected"),
        (lambda e: e.neighbors("test:0", k=0), r"[01]"),
        (lambda e: e.neighbors("test:0", by="clip"), r"clip"),
        (lambda e: e.neighbors("test:0", database="valid"), r"valid.*train"),
        (lambda e: e.pairs(0, 5), r"at least 1"),
        (lambda e: e.image("train:130"), r"train:129"),
        (lambda e: e.disagreement("kernel", "pixels", vote="best"), r"best.*majority of 3"),
        (lambda e: e.disagreement("kernel", "pixels", k=51), r"1 to 50"),
    ],
)
def test_what_cannot_be_answered_is_said(explorer, call, message):
    with pytest.raises(RequestError, match=message):
        call(explorer)


def test_disagreement_is_one_row_per_query_with_both_votes(explorer):
    table = explorer.disagreement("kernel", "pixels", k=5)
    assert isinstance(table, pd.DataFrame)
    assert sorted(table["query"]) == sorted(f"test:{i}" for i in range(40))
    assert list(table.columns) == [
        "query", "query_label", "query_class", "overlap", "first_vote", "first_share", "first_right",
        "second_vote", "second_share", "second_right",
    ]  # fmt: skip
    only_first = explorer.disagreement("kernel", "pixels", order="first right, second wrong")
    assert (only_first["first_right"] & ~only_first["second_right"]).all()


def test_pairs_are_the_findings_own(digits):
    expected = nearest_pairs(digits.results.neighbors_by("pixels"), *digits.results.labels)
    assert digits.pairs(31, 40, by="pixels")["similarity"].tolist() == expected["similarity"].tolist()[30:40]


def test_pairs_filter_first_and_count_ranks_among_the_matches(digits):
    every = digits.pairs()
    has_three = every[(every["query_class"] == "3") | (every["database_class"] == "3")]
    assert digits.pairs(of_class="3")["rank"].tolist() == has_three["rank"].tolist()
    assert digits.pairs(2, 3, of_class="3")["rank"].tolist() == has_three["rank"].tolist()[1:3]
    differ = every[every["query_label"] != every["database_label"]]
    assert digits.pairs(labels="different")["query"].tolist() == differ["query"].tolist()
    assert len(digits.pairs(threshold=float(every["similarity"][9]), labels="same")) == 10
    assert digits.pairs(threshold=2.0).empty


def test_failures_in_two_orders_and_of_one_pair_of_labels(digits):
    similar, check = digits.failures(), digits.failures(order="label to check")
    assert (similar["query_label"] != similar["database_label"]).all()
    assert sorted(check["query"]) == sorted(digits.pairs()["query"])
    assert np.allclose(check["support"], check["probability"] + check["share"])
    assert list(check.columns[:4]) == ["rank", "query", "database", "similarity"]
    first = similar.iloc[0]
    chosen = digits.failures(label=first["query_class"], against=first["database_class"])
    assert chosen["query"].iloc[0] == first["query"]
    with pytest.raises(RequestError, match="expected most similar, label to check"):
        digits.failures(order="wrong")


def test_labels_of_both_splits_are_those_of_the_verb(explorer, source_folder, tmp_path):
    source = str(source_folder / "source.toml")
    with pytest.raises(NotBuilt, match=r"train→train by kernel.*build=True"):
        explorer.labels("train")
    explorer.labels("train", build=True)
    for split in ("test", "train"):
        table = explorer.labels(split, "agreement")
        invoke("labels", source, "--split", split, "--order", "agreement", "--csv", tmp_path / "l.csv")
        rows = pd.read_csv(tmp_path / "l.csv")
        assert table["query"].tolist() == [f"{split}:{i}" for i in rows["query_index"]]
        assert np.allclose(table["score"], rows["score"])
        assert table["proposed_class"].tolist() == rows["proposed_class"].tolist()
    first = explorer.labels().iloc[0]
    chosen = explorer.labels(label=first["query_class"], proposed=first["proposed_class"])
    assert chosen["query"].iloc[0] == first["query"]
    assert explorer.labels(both=True)["both_against"].all()
    with pytest.raises(RequestError, match="expected normalized margin"):
        explorer.labels(order="wrong")


def test_memory_that_runs_out_is_one_line(explorer, monkeypatch):
    def run_short(*_, **__):
        raise MemoryError("Unable to allocate 9.00 GiB for an array")

    monkeypatch.setattr("kernel_core.notebook.explorer.accuracies", run_short)
    monkeypatch.setattr("kernel_core.notebook.explorer.open_results", run_short)
    for call in (explorer.evaluate, lambda: kernel_core.open("digits")):
        with pytest.raises(OutOfMemory, match=r"^Memory ran out: 9\.7 GB more .* free here now\. [^\n]+$"):
            call()


def test_within_one_split_each_pair_is_there_once(explorer, source_folder):
    with pytest.raises(NotBuilt, match=r"explorer.within\('train', build=True\)"):
        explorer.within("train")
    within = explorer.within("train", build=True)
    assert within.similarities == ("kernel",)
    assert explorer.within("train", "pixels", build=True).similarities == ("kernel", "pixels")
    source = str(source_folder / "source.toml")
    pairs = kernel_core.open(source).within("train").pairs()
    pd.testing.assert_frame_equal(pairs, within.pairs())
    assert within.disagreement("kernel", "pixels").shape[0] == 130
    assert {name.split(":")[0] for column in ("query", "database") for name in pairs[column]} == {"train"}
    assert len({frozenset(pair) for pair in zip(pairs["query"], pairs["database"], strict=True)}) == len(
        pairs
    )


def test_what_is_computed_comes_from_the_cache_of_the_results(explorer, tmp_path, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", str(tmp_path / "another"))
    assert len(explorer.neighbors("train:3", k=4, by="penultimate")) == 4
    assert not (tmp_path / "another").exists()


def test_groups_are_those_of_the_verb(explorer, source_folder, tmp_path):
    with pytest.raises(NotBuilt, match=r"test→test by kernel.*build=True"):
        explorer.groups(0.9)
    table = explorer.groups(0.9, build=True)
    assert invoke("groups", source_folder, "--threshold", 0.9, "--csv", tmp_path / "g.csv").exit_code == 0
    written = pd.read_csv(tmp_path / "g.csv")
    same = ["group", "size", "is_mixed", "crosses", "label", "class_name", "similarity", "is_medoid"]
    pd.testing.assert_frame_equal(table[same], written[same])
    assert table["example"].tolist() == (written["split"] + ":" + written["index"].astype(str)).tolist()
    mixed = explorer.groups(0.9, labels="different", of_class="cat", crossing=True)
    assert mixed["example"].tolist() == ["test:7", "train:53"]
    assert explorer.groups(0.9, aligned=0.99).empty
    assert "test:7" in explorer.show(mixed)._repr_html_()
    assert len(explorer.groups()) == 6, "by default, from the similarity of rank 3 of 40 on"
