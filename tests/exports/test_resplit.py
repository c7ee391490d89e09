"""A new split: no group across, every example once, sizes and shares kept, verdicts over the threshold."""

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from kernel_core.errors import RequestError
from kernel_core.exports.resplit import class_shares, index_lists, resplit
from kernel_core.findings.groups import NearPairs
from kernel_core.results.opening import open_results
from kernel_core.sources.source import SourceRequest
from tests.support.command import invoke
from tests.support.verdicts import Plant

NOTHING = pd.DataFrame(columns=["a_split", "a_index", "b_split", "b_index", "verdict", "leaked"])


def pairs(*links):
    first, second = np.array(sorted(links), np.int64).reshape(-1, 2).T
    return NearPairs(first, second, np.ones(len(first), np.float32), 0.9, ("test→train",), 0)


def judged(*rows):
    """(a, b, verdict) of examples → a table of decided pairs."""
    return pd.DataFrame(
        [(*a, *b, verdict, verdict == "exact") for a, b, verdict in rows], columns=NOTHING.columns
    )


@pytest.mark.parametrize("seed", range(3))
def test_no_link_is_across_and_every_example_is_there_once(seed):
    rng = np.random.default_rng(seed)
    labels = {"test": rng.integers(0, 4, 150), "train": rng.integers(0, 4, 500 + 30 * seed)}
    count = sum(map(len, labels.values()))
    links = {(min(a, b), max(a, b)) for a, b in rng.integers(0, count, (80, 2)).tolist() if a != b}
    new = resplit(pairs(*links), NOTHING, labels, seed)
    side = new.table["new_split"].to_numpy()
    assert all(side[a] == side[b] for a, b in links)
    assert (new.table.groupby("group")["new_split"].nunique().drop(0) == 1).all()
    lists = index_lists(new.table)
    for old, of_split in labels.items():
        assert sorted(lists["test"][old] + lists["train"][old]) == list(range(len(of_split)))
    shares = class_shares(new.table, tuple("abcd"))
    assert shares["new_test"].sum() == (side == "test").sum() == 150
    whole = np.bincount(np.concatenate(list(labels.values()))) / count
    assert abs(shares["new_test"] - whole * 150).max() < 1, "examples without a duplicate fill each class"
    again = resplit(pairs(*links), NOTHING, labels, seed).table
    pd.testing.assert_frame_equal(again, new.table)
    assert (resplit(pairs(*links), NOTHING, labels, seed + 1).table["new_split"] != side).any()


def test_groups_alone_keep_sizes_and_shares():
    rng = np.random.default_rng(0)
    labels = {"test": rng.integers(0, 3, 2_000), "train": rng.integers(0, 3, 18_000)}
    order = rng.permutation(20_000)
    sizes = rng.integers(2, 12, 4_000).cumsum()
    groups = np.split(order, sizes[sizes < 19_990])
    links = [(min(a, b), max(a, b)) for of in groups for a, b in pairwise(of.tolist())]
    table = resplit(pairs(*links), NOTHING, labels, 0).table
    assert (table["group"] > 0).all()
    assert (table.groupby("group")["new_split"].nunique() == 1).all()
    in_test = table[table["new_split"] == "test"]
    assert abs(len(in_test) - 2_000) < 50
    whole = np.bincount(table["label"]) / 10
    assert abs(np.bincount(in_test["label"]) - whole).max() < 30
    of_size = table.groupby("group").size()
    kept = of_size[in_test["group"].unique()]
    assert abs(kept.mean() - of_size.mean()) < 0.5, "neither side has the large groups"


def test_size_is_kept_where_groups_bring_some_classes_too_many():
    labels = {"test": np.arange(1_000) % 500, "train": np.arange(9_000) % 500}
    chosen = np.random.default_rng(0).permutation(10_000)[:6_000].reshape(-1, 6)
    links = [(min(a, b), max(a, b)) for of in chosen.tolist() for a, b in pairwise(of)]
    table = resplit(pairs(*links), NOTHING, labels, 0).table
    in_test = table[table["new_split"] == "test"]
    assert len(in_test) == 1_000
    assert np.bincount(in_test["label"]).max() > 2, "a class has two at its share"


def test_verdicts_link_and_cut():
    labels = {"test": np.arange(60) % 2, "train": np.arange(240) % 2}
    a, b, c = ("test", 3), ("train", 4), ("train", 5)
    near = pairs((3, 64), (3, 65))
    machine = resplit(near, NOTHING, labels, 0)
    assert (machine.pairs, machine.crossing, machine.table["group"].max()) == (2, 1, 1)
    assert (machine.table["group"] > 0).sum() == 3
    changed = resplit(
        near, judged((a, b, "different"), (a, c, "exact"), (c, ("train", 9), "exact")), labels, 0
    )
    assert (changed.pairs, changed.cut, changed.added) == (2, 1, 1)
    grouped = changed.table[changed.table["group"] > 0]
    assert list(zip(grouped["old_split"], grouped["index"], strict=True)) == [a, c, ("train", 9)]
    unsure = resplit(near, judged((a, b, "unsure")), labels, 0)
    assert (unsure.pairs, unsure.cut, unsure.added) == (2, 0, 0)


def test_small_and_single_splits():
    tiny = resplit(pairs((0, 1)), NOTHING, {"test": np.zeros(1, int), "train": np.zeros(2, int)}, 0)
    assert len(tiny.table) == 3
    assert tiny.table["new_split"].nunique() == 2
    with pytest.raises(RequestError, match="needs a test and a training set"):
        resplit(pairs(), NOTHING, {"test": np.zeros(5, int)}, 0)


@pytest.mark.usefixtures("own_digits_cache")
def test_verb_writes_the_split_and_takes_verdicts(tmp_path, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_VERDICTS", str(tmp_path / "v.jsonl"))
    plant = Plant(open_results(SourceRequest("digits")), tmp_path / "v.jsonl")
    plant(("test", 1), ("train", 1), "exact")
    done = invoke("resplit", "digits", "--threshold", 0.9, "--out", tmp_path / "new")
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "new/resplit.json").read_text())
    table = pd.read_csv(tmp_path / "new/resplit.csv", keep_default_na=False)
    side = {
        (row.old_split, row.index_): row.new_split
        for row in table.rename(columns={"index": "index_"}).itertuples()
    }
    assert side["test", 1] == side["train", 1]
    assert (written["added"], written["cut"]) == (1, 0)
    assert written["sizes"]["new"] == table["new_split"].value_counts().to_dict()
    for split in ("train", "test"):
        rows = pd.read_csv(tmp_path / "new" / f"{split}.csv")
        assert {side[key] for key in zip(rows["old_split"], rows["index"], strict=True)} == {split}
        lists = written["indices"][split]
        assert len(rows) == len(lists["test"]) + len(lists["train"]) == written["sizes"]["new"][split]
    assert "of these were across the splits, now none is" in done.stdout
    assert "verdicts brought 1 and took away 0" in done.stdout
