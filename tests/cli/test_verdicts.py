"""The verb `verdicts`: counts, agreement, tables, files of colleagues, and one line for each bad input."""

import io
import json
import shutil

import pandas as pd
import pytest

import kernel_core
from kernel_core.errors import RequestError
from kernel_core.findings.pairs import nearest_pairs
from kernel_core.results.opening import open_results
from kernel_core.sources.source import SourceRequest
from tests.support.command import invoke
from tests.support.verdicts import Plant


@pytest.fixture
def digits(digits_cache, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", digits_cache["KERNEL_EXPLORER_CACHE"])
    return open_results(SourceRequest("digits"))


@pytest.fixture
def pairs(digits):
    table = nearest_pairs(digits.neighbors_by("kernel"), *digits.labels)
    rows = zip(table["query_index"].tolist(), table["database_index"].tolist(), strict=True)
    return [(("test", a), ("train", b)) for a, b in rows]


@pytest.fixture
def plant(digits, tmp_path, monkeypatch, pairs):
    """Verdicts of three on four pairs, and of one on a label."""
    monkeypatch.setenv("KERNEL_EXPLORER_VERDICTS", str(tmp_path / "v.jsonl"))
    plant = Plant(digits, tmp_path / "v.jsonl")
    for name, said in (("Ann", "enns"), ("Bob", "ends"), ("Cy", "dn")):
        for pair, letter in zip(pairs, said, strict=False):
            word = {"e": "exact", "n": "near-duplicate", "d": "different", "s": "very similar"}[letter]
            plant(*pair, word, name, blind=True, browser=name)
    plant(pairs[0][0], None, "guessed", proposed_label="3")
    return plant


def run(*options):
    return invoke("verdicts", "digits", *options)


def csv_of(*options):
    return pd.read_csv(io.StringIO(run(*options, "--csv", "-").stdout), keep_default_na=False)


def test_summary_counts_and_agreement(plant):
    done = run()
    assert done.exit_code == 0, done.stderr
    assert "4 pairs judged, 10 verdicts stand: 10 from queues" in done.stdout
    assert "4 pairs have verdicts of two reviewers or more; 2 are disputed and open (2 on" in done.stdout
    assert "1 labels judged" in done.stdout
    found = json.loads(run("--kind", "pair", "--json").stdout)
    assert list(found["kinds"]) == ["pair"]
    pair = found["kinds"]["pair"]
    assert pair["counts"]["disputed"] == 2
    percent, cohen, *_ = pair["agreement"]
    assert percent["value"] == pytest.approx((1 / 3 + 1 + 0 + 1) / 4)
    assert cohen["value"] is None
    assert [(row["first"], row["second"], row["agree"]) for row in pair["by_two"]] == [
        ("Ann", "Bob", 3), ("Ann", "Cy", 1), ("Bob", "Cy", 1),
    ]  # fmt: skip
    two = json.loads(run("--kind", "pair", "--reviewer", "Ann", "--reviewer", "Bob", "--json").stdout)
    assert two["kinds"]["pair"]["agreement"][0]["value"] == 0.75
    assert len(found["rows"]) == 10


def test_tables_of_standing_verdicts_consensus_and_disputes(plant, pairs, tmp_path):
    standing = csv_of()
    assert list(standing)[:5] == ["kind", "a_split", "a_index", "b_split", "b_index"]
    assert standing["kind"].tolist() == ["pair"] * 10 + ["label"]
    majority = csv_of("--rule", "majority", "--kind", "pair")
    by_test = dict(zip(majority["a_index"], majority["verdict"], strict=True))
    assert by_test == {
        pairs[0][0][1]: "exact",
        pairs[1][0][1]: "near-duplicate",
        pairs[3][0][1]: "very similar",
    }
    assert len(csv_of("--rule", "unanimous", "--kind", "pair")) == 2
    disputed = csv_of("--disputed")
    assert sorted(disputed["a_index"]) == sorted([pairs[0][0][1], pairs[2][0][1]])
    assert run("--rule", "majority", "--parquet", tmp_path / "c.parquet").exit_code == 0
    assert len(pd.read_parquet(tmp_path / "c.parquet")) == 4
    assert "give one of them" in run("--disputed", "--unmatched").stderr


def test_notebook_gives_consensus_and_agreement(plant, pairs):
    explorer = kernel_core.open("digits", verdicts=plant.path)
    rows = explorer.consensus(rule="unanimous")[["a", "b", "verdict", "votes"]].to_numpy().tolist()
    names = [[f"{split}:{index}" for split, index in pair] for pair in pairs]
    assert sorted(rows) == sorted([[*names[1], "near-duplicate", 3], [*names[3], "very similar", 2]])
    assert explorer.consensus("label")["proposed_label"].tolist() == ["3"]
    percent = explorer.agreement(by_side=True).set_index("measure").loc["percent"]
    assert (percent["value"], percent["items"]) == (pytest.approx((1 / 3 + 1 + 0 + 1) / 4), 4)
    with pytest.raises(RequestError, match="expected one of majority, unanimous, adjudicated"):
        explorer.consensus(rule="most")


def test_what_no_longer_matches_is_listed(plant, pairs):
    moved = plant.verdict(*pairs[5], "exact").to_json()
    moved["a"]["sha256"] = "0" * 64
    with plant.path.open("a") as file:
        file.write(json.dumps(moved) + "\nnonsense\n")
    done = run("--unmatched")
    name = f"test:{pairs[5][0][1]}"
    assert "1 of 12 verdicts are on examples that digits does not have" in done.stderr
    assert "line 13 is no verdict" in done.stderr
    assert done.stdout.splitlines()[1].split()[:4] == ["pair", name, f"train:{pairs[5][1][1]}", name]


def test_merge_adds_a_colleagues_file_once(plant, pairs, tmp_path, digits):
    colleague = Plant(digits, tmp_path / "dee.jsonl")
    colleague(*pairs[0], "exact", "Dee")
    colleague(*pairs[7], "exact", "Ann", browser="another")
    first = run("--merge", colleague.path)
    assert f"{colleague.path}: 2 of 2 lines were added." in first.stderr
    assert "Ann judged in both files, in different browsers" in first.stderr
    assert "12 verdicts" in first.stdout
    assert "several browsers under one name: Ann (2)" in first.stderr
    content = plant.path.read_bytes()
    again = run("--merge", colleague.path)
    assert "0 of 2 lines were added; the others were there already" in again.stderr
    assert "Ann judged" not in again.stderr
    assert plant.path.read_bytes() == content


def test_file_that_cannot_be_merged_is_one_line(plant, pairs, tmp_path):
    content = plant.path.read_bytes()
    foreign = [plant.verdict(*pairs[i], "exact").to_json() for i in range(3)]
    for verdict in foreign:
        verdict["a"]["sha256"], verdict["shown"]["source"] = "0" * 64, "cifar10"
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps(verdict) + "\n" for verdict in foreign))
    (tmp_path / "text.jsonl").write_text("hello\n")
    good = tmp_path / "good.jsonl"
    shutil.copy(plant.path, good)
    for path, words, status in (
        (other, "0 of 3 verdicts in", 1),
        (other, "are on examples of digits; the file names cifar10. Nothing was merged.", 1),
        (tmp_path / "text.jsonl", "has no verdicts (line 1 is no verdict (it is not JSON))", 1),
        (tmp_path, "is a folder", 1),
        (tmp_path / "none.jsonl", "does not exist; expected a file of verdicts to merge", 2),
        (plant.path, "is the file to merge into", 2),
    ):
        done = run("--merge", good, "--merge", path)
        assert (done.exit_code, words in done.stderr) == (status, True), done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert plant.path.read_bytes() == content


def test_nothing_judged_and_unknown_reviewer(plant):
    assert "No verdict of Eve stands; expected a reviewer of Ann, Bob, Cy" in run("--reviewer", "Eve").stderr
    plant.path.unlink()
    done = run()
    assert "No verdict stands. Open the app" in done.stdout
    assert csv_of("--rule", "majority").empty
