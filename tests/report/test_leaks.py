"""`kernel-explorer leaks`: its numbers counted again in plain loops, its files read back, bad input."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from kernel_core.findings.pairs import nearest_pairs
from kernel_core.report.gap_bootstrap import gaps
from kernel_core.report.leak_causal import effect
from kernel_core.results.opening import open_results
from kernel_core.review.sampling import default_strata, draw_sample
from kernel_core.review.verdicts import Shown
from kernel_core.sources.source import SourceRequest
from tests.support.command import invoke
from tests.support.verdicts import Plant

LEAKED = ("exact", "near-duplicate", "very similar")
WORDS = (*LEAKED, "different", "different", "different", "unsure")


@pytest.fixture
def digits(digits_cache, monkeypatch, tmp_path):
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", digits_cache["KERNEL_EXPLORER_CACHE"])
    monkeypatch.setenv("KERNEL_EXPLORER_VERDICTS", str(tmp_path / "v.jsonl"))
    return open_results(SourceRequest("digits"))


@pytest.fixture
def plant(digits, tmp_path):
    return Plant(digits, tmp_path / "v.jsonl")


@pytest.fixture
def ranking(digits):
    return nearest_pairs(digits.neighbors_by("kernel"), *digits.labels)


@pytest.fixture
def said(plant, ranking):
    """Verdicts of Ann on the first 60 pairs; by pair, in order of rank."""
    words = {}
    for rank, pair in enumerate(ranking.head(60).itertuples()):
        word = words[pair.query_index, pair.database_index] = WORDS[rank * 5 % len(WORDS)]
        plant(
            ("test", pair.query_index),
            ("train", pair.database_index),
            word,
            "Ann|<b>",
            at=f"2026-01-{rank:02d}",
        )
    return words


def report(folder, *options):
    done = invoke("leaks", "digits", "--out", folder, *options)
    assert done.exit_code == 0, done.output
    return json.loads((folder / "leak.json").read_text())


def test_counts_are_those_of_plain_loops(said, digits, ranking, tmp_path):
    found = report(tmp_path / "out")
    leaked = {test for (test, _), word in said.items() if word in LEAKED}
    assert (found["rate"]["found"], found["rate"]["of"]) == (len(leaked), 500)
    assert found["rate"]["value"] == len(leaked) / 500
    for row in found["by_verdict"]:
        assert row["pairs"] == list(said.values()).count(row["verdict"])
    for c, row in enumerate(found["by_class"]):
        members = [i for i in range(500) if digits.labels[0][i] == c]
        assert (row["found"], row["of"]) == (sum(i in leaked for i in members), len(members))
    (between, *within) = found["by_splits"]
    assert (between["judged"], between["duplicates"]) == (60, len([w for w in said.values() if w in LEAKED]))
    assert all(row["judged"] == 0 and row["value"] is None for row in within)
    for name, side in (("test", 0), ("train", 1)):
        lines = (tmp_path / f"out/drop_{name}.txt").read_text().split()
        assert lines == [str(i) for i in sorted({p[side] for p, word in said.items() if word in LEAKED})]
    covered = found["coverage"]
    assert [row["judged"] for row in covered[:2]] == [60, 0]
    order = list(said.values())
    last = next(n for n, word in enumerate(reversed(order)) if word != "different")
    assert (found["stopping"]["judged_to"], found["stopping"]["run"]) == (60, last)
    table = pd.read_csv(tmp_path / "out/pairs.csv")
    assert table["rank"].tolist() == list(range(1, 61))
    assert table["verdict"].tolist() == order


def test_accuracies_are_those_of_plain_loops(said, digits, tmp_path):
    rows = {row["key"]: row for row in report(tmp_path / "out")["accuracy"]}
    leaked = {test for (test, _), word in said.items() if word in LEAKED}
    labels, train = digits.labels
    votes = digits.predictions.run_votes  # all 256 runs
    nearest = digits.neighbors["pixels"].indices[:, :3]
    right = {
        "single": [np.mean(votes[i] == labels[i]) for i in range(500)],
        "ensemble": [float(digits.predictions.predicted[i] == labels[i]) for i in range(500)],
        "pixels_knn3": [float(np.bincount(train[nearest[i]]).argmax() == labels[i]) for i in range(500)],
    }
    for key, values in right.items():
        parts = {
            "all": values,
            "clean": [value for i, value in enumerate(values) if i not in leaked],
            "leaked": [value for i, value in enumerate(values) if i in leaked],
        }
        for part, of in parts.items():
            assert rows[key][part]["value"] == pytest.approx(np.mean(of))
            assert rows[key][part]["low"] <= np.mean(of) <= rows[key][part]["high"]
        gap = np.mean(parts["clean"]) - np.mean(parts["leaked"])
        assert rows[key]["gap_leaked"]["value"] == pytest.approx(gap)
        matched = sum(
            np.mean([values[i] for i in range(500) if i not in leaked and labels[i] == labels[j]]) - values[j]
            for j in leaked
        ) / len(leaked)
        assert rows[key]["gap_matched"]["value"] == pytest.approx(matched)


def test_second_run_writes_the_same_bytes_and_leaves_other_files(said, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    report(out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    report(out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert set(before) == {
        "leak.json", "leak.md", "leak.html", "pairs.csv", "drop_test.txt", "drop_train.txt", "mine.txt",
    }  # fmt: skip


def test_every_table_of_the_markdown_is_valid_and_names_are_escaped(said, tmp_path):
    report(tmp_path / "out")
    text = (tmp_path / "out/leak.md").read_text()
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()]
        assert len({len(row) for row in rows}) == 1
        assert all(re.fullmatch(r" -+:? ", cell) for cell in rows[1])
    assert r"Ann\|\<b\>" in text
    html = (tmp_path / "out/leak.html").read_text()
    assert "Ann|&lt;b&gt;" in html
    assert "<b>" not in html
    assert 'src="data:image/png;base64,' in html
    report(tmp_path / "out", "--no-images", "--anonymous")
    html = (tmp_path / "out/leak.html").read_text()
    assert "<img" not in html
    assert "reviewer 1" in html
    assert "Ann" not in "".join(path.read_text() for path in (tmp_path / "out").iterdir())


def test_without_verdicts_only_machines_speak(digits, tmp_path):
    found = report(tmp_path / "out")
    assert found["rate"]["value"] is None
    assert "No pair has been judged yet" in (tmp_path / "out/leak.md").read_text()
    assert "## Rate" not in (tmp_path / "out/leak.md").read_text()
    rules = {row["rule"].split(" from")[0]: row["pairs"] for row in found["machine"]["rules"]}
    assert rules["equal bytes"] == found["machine"]["copies"]["shared"]
    assert rules["similarity"] > 0
    assert (tmp_path / "out/drop_test.txt").read_text() == ""


def test_reviewers_who_differ_in_kind_agree_on_the_leak(plant, ranking, tmp_path):
    pairs = [(("test", p.query_index), ("train", p.database_index)) for p in ranking.head(3).itertuples()]
    for pair, words in zip(
        pairs, (("exact", "very similar"), ("exact", "different"), ("exact", "exact")), strict=True
    ):
        for name, word in zip(("Ann", "Bob"), words, strict=True):
            plant(*pair, word, name)
    for rule in ("majority", "unanimous", "adjudicated"):
        found = report(tmp_path / "out", "--rule", rule)
        assert (found["rate"]["found"], found["judged"]["undecided"]) == (2, 1)
    found = report(tmp_path / "out", "--leaked", "exact")
    assert found["rate"]["found"] == 1


def test_bad_options_are_one_line(digits, tmp_path):
    done = invoke("leaks", "digits", "--out", tmp_path / "out", "--leaked", "exact,similar")
    assert done.exit_code == 2
    assert "expected one or more of exact, near-duplicate, very similar" in done.stderr
    (tmp_path / "file").touch()
    done = invoke("leaks", "digits", "--out", tmp_path / "file/out")
    assert done.exit_code == 2
    assert "takes no files" in done.stderr


def test_groups_are_resampled_whole():
    rng = np.random.default_rng(3)
    base = (rng.random((1, 100)) < 0.7).astype(float)
    right = np.repeat(base, 4, axis=1)  # each image four times: the interval must be that of 100 images
    leaked, groups = np.arange(400) < 80, np.arange(400) // 4
    labels = np.zeros(400, np.int64)
    (whole,) = gaps(right, leaked, labels, groups, 1)
    (single,) = gaps(base, leaked[::4], labels[::4], np.arange(100), 1)
    (apart,) = gaps(right, leaked, labels, np.arange(400), 1)
    width = {name: gap["gap_leaked"]["high"] - gap["gap_leaked"]["low"]
             for name, gap in (("whole", whole), ("single", single), ("apart", apart))}  # fmt: skip
    assert width["whole"] == pytest.approx(width["single"])
    assert width["apart"] == pytest.approx(width["whole"] / 2, rel=0.15)


def test_effect_of_planted_twins_is_found():
    rng = np.random.default_rng(1)
    with_ = rng.random((40, 200)) < 0.5
    values = (rng.random((40, 200)) < np.where(with_, 0.9, 0.6)).astype(float)
    found = effect(values, with_, np.arange(40))
    slow = np.mean([values[i][with_[i]].mean() - values[i][~with_[i]].mean() for i in range(40)])
    assert found["value"] == pytest.approx(slow)
    assert found["low"] < 0.3 < found["high"]
    assert found["high"] - found["low"] < 0.1
    assert effect(values, np.ones_like(with_), np.arange(40)) is None


def test_estimate_comes_from_the_sample_and_not_from_the_queue(plant, ranking, tmp_path):
    truth = [rank <= 70 or rank % 9 == 0 for rank in range(1, len(ranking) + 1)]
    pairs = [(("test", p.query_index), ("train", p.database_index)) for p in ranking.itertuples()]

    def judge(rank, **fields):
        plant(*pairs[rank - 1], "exact" if truth[rank - 1] else "different", **fields)

    for rank in range(1, 31):
        judge(rank)
    assert "Not estimated" in markdown_of(tmp_path / "queue")
    shown = Shown("kernel", filter="sample:kernel:kernel:150:5")
    for row in draw_sample(len(ranking), 150, seed=5).itertuples():
        if row.rank > 30:
            drawn = {"stratum": row.stratum, "inclusion_probability": row.inclusion_probability}
            judge(row.rank, design="sample", shown=shown, **drawn)
    found = report(tmp_path / "out")["estimate"]
    total = found["total"]
    assert total["low"] <= sum(truth) <= total["high"]
    slow = 0.0
    for stratum in default_strata(len(ranking)):
        inside = range(stratum.first, stratum.last + 1)
        queue = [truth[rank - 1] for rank in inside if rank <= 30]
        drawn = [
            truth[r - 1] for r in draw_sample(len(ranking), 150, seed=5)["rank"] if r in inside and r > 30
        ]
        slow += sum(queue) + (len(inside) - len(queue)) * np.mean(drawn)
    assert total["estimate"] == pytest.approx(slow)
    assert found["along"][-1]["recall"] == pytest.approx(1)
    assert "An estimated" in markdown_of(tmp_path / "out")


def markdown_of(folder):
    report(folder)
    return (folder / "leak.md").read_text()
