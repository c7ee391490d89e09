"""The verb `score`: known pairs in, measures out; unknown examples are named; a judged pool is a truth."""

import io
import json

import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from kernel_core.results.opening import open_results
from kernel_core.sources.source import SourceRequest
from tests.support.command import invoke


@pytest.fixture
def nearest(digits_cache, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", digits_cache["KERNEL_EXPLORER_CACHE"])
    return open_results(SourceRequest("digits")).neighbors_by("kernel")


def test_scores_of_known_pairs(nearest, tmp_path):
    listed = [(i, nearest.indices[i, 0 if i % 2 else 1]) for i in range(0, 60, 3)]
    truth = tmp_path / "truth.txt"
    truth.write_text("".join(f"test:{i} train:{j}\n" for i, j in listed) + "test:9999 train:0\n")
    done = invoke("score", "digits", "--truth", truth, "--similarity", "kernel", "--similarity", "pixels",
                  "--json")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "warning: line 21 is left out: 'test:9999' is out of range" in done.stderr
    found = json.loads(done.stdout)
    assert (found["used"], found["positives"], found["negative_pairs"]) == (20, 20, 0)
    rows = {(row["similarity"], row["measure"]): row for row in found["scores"]}
    positive = [i in dict(listed) for i in range(len(nearest.values))]
    expected = average_precision_score(positive, nearest.values[:, 0])
    row = rows["kernel", "average_precision"]
    assert row["value"] == pytest.approx(expected)
    assert row["low"] < row["value"] < row["high"]
    assert row["difference"] == row["difference_low"] == row["difference_high"] == 0
    assert rows["kernel", "twin_first"]["value"] == 0.5
    assert rows["pixels", "average_precision"]["difference"] != 0
    assert rows["kernel", "auroc"]["value"] is None
    text = invoke("score", "digits", "--truth", truth, "--similarity", "kernel").stdout
    assert "20 of 20 known pairs are test→train" in text
    assert "are unknown, and count as having no twin" in text


def test_judged_pool_is_a_truth(nearest, tmp_path):
    both = "--similarity", "kernel", "--similarity", "pixels"
    done = invoke("score", "digits", *both, "--pool", 10, "--csv", "-")
    table = pd.read_csv(io.StringIO(done.stdout), dtype=str)
    assert 10 <= len(table) <= 20
    assert table["verdict"].isna().all()
    table["verdict"] = ["exact", "different"] * (len(table) // 2) + ["different"] * (len(table) % 2)
    table.to_csv(tmp_path / "pool.csv", index=False)
    scores = json.loads(invoke("score", "digits", *both, "--truth", tmp_path / "pool.csv", "--json").stdout)
    assert scores["used"] == len(table)
    assert all(0 <= row["value"] <= 1 for row in scores["scores"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "Give --truth FILE to score rankings, or --pool K"),
        (["--pool", "3", "--truth", "x"], "Give --truth FILE to score rankings, or --pool K"),
        (["--truth", "/nowhere.txt", "--similarity", "kernel"], "does not exist"),
        (["--pool", "3", "--similarity", "penultimate-euclidean", "--order", "twin"], "no twin score by"),
    ],
)
def test_what_cannot_be_scored_is_one_line(nearest, options, words):
    done = invoke("score", "digits", *options)
    assert done.exit_code in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.output
