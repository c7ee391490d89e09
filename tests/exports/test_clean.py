"""`kernel-explorer clean`: what is kept and dropped; each file is read back by what it is for."""

import importlib.util
import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import kernel_core
from kernel_core.errors import RequestError
from kernel_core.exports.decisions import Rules, clean
from kernel_core.exports.graphs import atlas_parquet
from kernel_core.results.opening import open_results
from kernel_core.results.verdicts import read_judged
from kernel_core.review.verdict_file import VerdictFile
from kernel_core.sources.source import SourceRequest
from tests.support.command import invoke
from tests.support.verdicts import Plant


@pytest.fixture
def digits(digits_cache, monkeypatch, tmp_path):
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", digits_cache["KERNEL_EXPLORER_CACHE"])
    monkeypatch.setenv("KERNEL_EXPLORER_VERDICTS", str(tmp_path / "v.jsonl"))
    return open_results(SourceRequest("digits"))


@pytest.fixture
def planted_verdicts(digits, tmp_path):
    """Duplicates across and within the splits, one judged different, and labels of every verdict."""
    plant = Plant(digits, tmp_path / "v.jsonl")
    plant(("test", 3), ("train", 10), "near-duplicate")
    plant(("test", 4), ("train", 11), "different")
    plant(("test", 5), ("train", 12), "exact")
    plant(("test", 5), ("train", 12), "different", "Bob")  # a tie: undecided
    plant(("train", 20), ("train", 21), "exact")
    plant(("train", 21), ("train", 22), "very similar")  # with the pair above a group of three
    plant(("test", 30), ("test", 31), "exact")
    plant(("test", 40), verdict="guessed", proposed_label="7")
    plant(("test", 41), verdict="both", proposed_label="2")
    plant(("test", 42), verdict="neither")
    plant(("test", 43), verdict="given", proposed_label="9")
    plant(("test", 43), verdict="given", reviewer="Bob", proposed_label="9")
    return tmp_path


def cleaned(digits, folder, **rules):
    return clean(digits, read_judged(digits, VerdictFile(folder / "v.jsonl")), Rules(**rules))


@pytest.mark.parametrize(
    ("rules", "test", "train"),
    [
        ({}, [3, 31, 42], [21, 22]),
        ({"side": "train"}, [31, 42], [10, 21, 22]),
        ({"side": "both"}, [3, 31, 42], [10, 21, 22]),
        ({"labels": "drop"}, [3, 31, 40, 42], [21, 22]),
        ({"labels": "keep"}, [3, 31], [21, 22]),
        ({"leaked": ("exact",)}, [31, 42], [21]),
    ],
)
def test_what_is_dropped(digits, planted_verdicts, rules, test, train):
    found = cleaned(digits, planted_verdicts, **rules)
    assert found.drop == {"train": train, "test": test}
    for split, examples in digits.examples.items():
        assert sorted(found.keep[split] + found.drop[split]) == list(range(len(examples)))


def test_notebook_gives_what_the_verb_writes(folder):
    explorer = kernel_core.open("digits")
    found = explorer.clean()
    for split, kept in found.keep.items():
        assert kept == use(folder).kept(split)
    assert found.dropped.to_csv(index=False) == (folder / "dropped.csv").read_text()
    assert explorer.clean(drop="both", labels="keep").drop == {"train": [10, 21, 22], "test": [3, 31]}
    with pytest.raises(RequestError, match="expected one of test, train, both"):
        explorer.clean(drop="all")


def test_a_member_that_is_gone_takes_no_other_with_it(digits, tmp_path):
    plant = Plant(digits, tmp_path / "v.jsonl")
    plant(("test", 1), ("train", 9), "exact")
    plant(("test", 1), ("test", 2), "exact")
    assert cleaned(digits, tmp_path).drop["test"] == [1]


def test_machine_counts_unless_somebody_judged(digits, planted_verdicts, monkeypatch):
    found = [(("test", 4), ("train", 11)), (("test", 50), ("train", 60)), (("test", 3), ("train", 10))]
    monkeypatch.setattr("kernel_core.exports.decisions._by_machine", lambda _: found)
    rows = cleaned(digits, planted_verdicts, machine=True).dropped.set_index(["split", "index"])["by"]
    assert rows.loc[("test", 50)] == "machine-found"
    assert rows.loc[("test", 3)] == "judged"
    assert ("test", 4) not in rows.index


@pytest.fixture
def folder(digits, planted_verdicts):
    out = planted_verdicts / "out"
    done = invoke("clean", "digits", "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "Kept: 1,295 of 1,297 train and 497 of 500 test examples. Labels to correct: 3." in done.stdout
    return out


def use(folder):
    spec = importlib.util.spec_from_file_location("use", folder / "use.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_files_are_the_same_each_time_and_others_stay(folder):
    (folder / "mine.txt").write_text("stays")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert invoke("clean", "digits", "--out", folder).exit_code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_torch_and_datasets_take_the_lists(folder, digits):
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import use, numpy as np;"
        "from torch.utils.data import TensorDataset; import torch; from datasets import Dataset;"
        "whole = torch.arange(500); subset = use.torch_subset(TensorDataset(whole), 'test');"
        "rows = use.select(Dataset.from_dict({'i': list(range(500))}), 'test');"
        "kept = [int(row[0]) for row in subset]; assert kept == rows['i'][:] == use.kept('test');"
        "assert len(kept) == 497 and not {3, 31, 42} & set(kept); print(use.corrections('test'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, folder], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    given = int(digits.examples["test"].labels[41])
    assert done.stdout.strip() == str({40: [7], 41: [given, 2], 42: []})


def test_lists_in_the_forms_of_others(folder, digits):
    pairs = pd.read_csv(folder / "duplicates.csv")
    assert pairs[["TestID", "TrainID", "Judgment"]].to_numpy().tolist() == [[3, 10, 1]]
    within = pd.read_csv(folder / "duplicates_train.csv")
    assert within[["TestID", "TrainID", "Judgment"]].to_numpy().tolist() == [[20, 21, 0], [21, 22, 2]]
    votes = {row["id"]: row for row in json.loads((folder / "label_votes_test.json").read_text())}
    assert votes[43]["mturk"] == {"given": 2, "guessed": 0, "neither": 0, "both": 0}
    assert (votes[43]["our_guessed_label"], votes[43]["our_guessed_label_name"]) == (9, "9")
    assert votes[42]["our_guessed_label"] is None
    real = json.loads((folder / "valid_labels_test.json").read_text())
    labels = digits.examples["test"].labels
    assert (real[40], real[41], real[42], real[43]) == ([7], [labels[41], 2], [], [labels[43]])
    assert [row for i, row in enumerate(real) if i not in (40, 41, 42)] == [
        [label] for i, label in enumerate(labels) if i not in (40, 41, 42)
    ]
    table = pd.read_parquet(folder / "verdicts.parquet")
    assert (len(table), set(table["reviewer"])) == (12, {"Ann", "Bob"})


def test_cleanlab_reads_the_graph(folder, digits, own_digits_cache):
    from cleanlab import Datalab

    invoke("build", "digits", "--query", "train", "--database", "train")
    assert len(list(own_digits_cache.glob("neighbors/*"))) > 4, "what is built here stays here"
    invoke("clean", "digits", "--out", folder)
    graph = use(folder).knn_graph("train")
    neighbors = open_results(SourceRequest("digits", query="train", database="train")).neighbors_by("kernel")
    assert graph.shape == (1297, 1297)
    np.testing.assert_array_equal(graph.indices.reshape(1297, -1), neighbors.indices)
    np.testing.assert_allclose(graph.data.reshape(1297, -1), 1 - neighbors.values.astype(float))
    lab = Datalab({"label": digits.examples["train"].labels}, label_name="label")
    lab.find_issues(knn_graph=graph, issue_types={"near_duplicate": {}})
    nearest = lab.get_issues("near_duplicate")["distance_to_nearest_neighbor"]
    np.testing.assert_allclose(nearest, 1 - neighbors.values[:, 0].astype(float), atol=1e-9)


def test_table_for_embedding_atlas(digits):
    neighbors = digits.neighbors_by("kernel")
    content = atlas_parquet(digits, {"test": neighbors}, digits.similarity("kernel"))
    table = pd.read_parquet(io.BytesIO(content))
    assert table["example"].tolist()[:2] + table["example"].tolist()[-1:] == [
        "test:0",
        "test:1",
        "train:1296",
    ]
    first = table["neighbors"][0]
    assert table["example"][first["ids"]].tolist() == [f"train:{i}" for i in neighbors.indices[0]]
    np.testing.assert_allclose(first["distances"], 1 - neighbors.values[0].astype(float))
    assert table["neighbors"][500:].isna().all()


class Sample:
    def __init__(self):
        self.tags = ["mine"]


class Samples(list):
    def iter_samples(self, autosave):
        assert autosave
        return iter(self)


def test_tags_for_fiftyone(folder):
    samples = Samples(Sample() for _ in range(500))
    use(folder).tag_fiftyone(samples, "test")
    assert samples[3].tags == ["drop", "duplicate-across-splits", "judged", "mine"]
    assert samples[40].tags == ["keep", "label-guessed", "mine"]
    assert samples[0].tags == ["keep", "mine"]


def test_nothing_judged_is_one_line_and_no_folder(digits, tmp_path):
    done = invoke("clean", "digits", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "Nobody has judged anything yet" in done.stderr
    assert not (tmp_path / "out").exists()


def test_one_format_alone(digits, planted_verdicts):
    out = planted_verdicts / "one"
    assert invoke("clean", "digits", "--out", out, "--format", "cifair").exit_code == 0
    names = {path.name for path in out.iterdir()}
    assert names == {
        "README.md", "export.json", "duplicates.csv", "duplicates_test.csv", "duplicates_train.csv",
    }  # fmt: skip
    content = (out / "README.md").read_text()
    assert "duplicates*.csv" in content
    assert "knn_graph" not in content
