"""`kernel-explorer corrections`: its numbers counted again in plain loops, and its files read back."""

import json

import numpy as np
import pandas as pd
import pytest

from kernel_core.results.label_check import check_labels
from kernel_core.results.opening import open_results
from kernel_core.sources.source import SourceRequest
from tests.support.command import invoke
from tests.support.verdicts import Plant

WORDS = "given", "guessed", "both", "neither", "unsure"


@pytest.fixture
def digits(digits_cache, monkeypatch, tmp_path):
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", digits_cache["KERNEL_EXPLORER_CACHE"])
    monkeypatch.setenv("KERNEL_EXPLORER_VERDICTS", str(tmp_path / "v.jsonl"))
    return open_results(SourceRequest("digits"))


@pytest.fixture
def plant(digits, tmp_path):
    return Plant(digits, tmp_path / "v.jsonl")


def report(folder, *options):
    done = invoke("corrections", "digits", "--out", folder, *options)
    assert done.exit_code == 0, done.output
    return json.loads((folder / "corrections.json").read_text())


def test_numbers_are_those_of_plain_loops(plant, digits, tmp_path):
    ranking = check_labels(digits).head(40)
    said = {}
    for n, row in enumerate(ranking.itertuples()):
        word, proposed = WORDS[n * 3 % 5], digits.class_names[row.proposed]
        said[row.query_index] = word, int(row.proposed)
        plant(("test", row.query_index), None, word, proposed_label=proposed)
    found = report(tmp_path / "out")
    wrong = [i for i, (word, _) in said.items() if word in ("guessed", "neither")]
    sure = [i for i, (word, _) in said.items() if word != "unsure"]
    test = next(row for row in found["by_split"] if row["split"] == "test")
    assert (test["judged"]["found"], test["judged"]["of"]) == (len(wrong), len(sure))
    assert test["all"]["value"] == len(wrong) / 500
    assert {row["verdict"]: row["labels"] for row in found["by_verdict"]} == dict.fromkeys(WORDS, 8)
    labels, votes = digits.labels[0], digits.predictions.run_votes
    right = {"single": [], "ensemble": []}
    for i in range(500):
        word, proposed = said.get(i, ("given", 0))
        if word == "neither":
            continue
        accepted = {"guessed": {proposed}, "both": {proposed, labels[i]}}.get(word, {labels[i]})
        right["ensemble"].append(digits.predictions.predicted[i] in accepted)
        right["single"].append(np.mean([vote in accepted for vote in votes[i]]))
    rows = {row["key"]: row for row in found["accuracy"]}
    for key, values in right.items():
        assert rows[key]["corrected"]["of"] == len(values)
        assert rows[key]["corrected"]["value"] == pytest.approx(np.mean(values))
        change = rows[key]["difference"]
        assert change["value"] == pytest.approx(np.mean(values) - rows[key]["given"]["value"])
        assert change["low"] < change["value"] < change["high"]
    table = pd.read_csv(tmp_path / "out/corrections.csv", keep_default_na=False)
    assert sorted(table["index"]) == sorted(
        i for i, (word, _) in said.items() if word not in ("given", "unsure")
    )
    assert set(table.loc[table["verdict"] == "neither", "proposed"]) == {""}
    assert (found["stopping"]["judged_to"], found["coverage"][0]["judged"]) == (40, 40)


def test_without_verdicts_and_with_a_class_that_is_none(plant, tmp_path):
    found = report(tmp_path / "out")
    assert "No label has been judged yet" in (tmp_path / "out/corrections.md").read_text()
    assert found["corrections"] == []
    plant(("train", 3), None, "guessed", proposed_label="<i>zebra")
    found = report(tmp_path / "out", "--no-images")
    assert [(row["split"], row["proposed"]) for row in found["corrections"]] == [("train", "")]
    assert all(row["difference"]["value"] == 0 for row in found["accuracy"])
    assert "<i>" not in (tmp_path / "out/corrections.html").read_text()
